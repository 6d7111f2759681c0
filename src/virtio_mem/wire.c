/* SPDX-License-Identifier: MIT */
#include <plugmap/virtio_mem_wire.h>

#include <string.h>

#include "base/error_text.h"
#include "kernel-uapi/virtio_mem.h"

G_STATIC_ASSERT(sizeof(PmVirtioMemRequest) == sizeof(struct virtio_mem_req));
G_STATIC_ASSERT(sizeof(PmVirtioMemResponse) == sizeof(struct virtio_mem_resp));

/* PLUG, UNPLUG and STATE share this layout. */
void pm_virtio_mem_request_init(PmVirtioMemRequest *request, unsigned type, uint64_t address,
                                uint16_t n_blocks)
{
    const struct virtio_mem_req wire = {
        .type = GUINT16_TO_LE((uint16_t)type),
        .u.plug = {.addr = GUINT64_TO_LE(address), .nb_blocks = GUINT16_TO_LE(n_blocks)},
    };

    memcpy(request->bytes, &wire, sizeof(wire));
}

bool pm_virtio_mem_response_decode(const PmVirtioMemResponse *response, PmVirtioMemAnswer *answer,
                                   PmVirtioMemState *state, GError **error)
{
    struct virtio_mem_resp wire;
    uint16_t type;
    uint16_t range_state;

    memcpy(&wire, response->bytes, sizeof(wire));
    type = GUINT16_FROM_LE(wire.type);
    range_state = GUINT16_FROM_LE(wire.u.state.state);
    if (type > VIRTIO_MEM_RESP_ERROR)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid virtio-mem response %u: must be ACK (0), NACK (1), BUSY (2) or "
                       "ERROR (3)",
                       type);
    if (type == VIRTIO_MEM_RESP_ACK && state != NULL) {
        if (range_state > VIRTIO_MEM_STATE_MIXED)
            return pm_fail(error, PM_ERROR_BAD_INPUT,
                           "invalid virtio-mem state %u: must be plugged (0), unplugged (1) or "
                           "mixed (2)",
                           range_state);
        *state = (PmVirtioMemState)range_state;
    }
    *answer = (PmVirtioMemAnswer)type;
    return true;
}
