/* SPDX-License-Identifier: MIT */
/* What a guest's driver sends. */
#ifndef PLUGMAP_TESTS_UTIL_REQUEST_UTIL_H
#define PLUGMAP_TESTS_UTIL_REQUEST_UTIL_H

#include <plugmap/virtio_mem.h>
#include <plugmap/virtio_mem_wire.h>

/* Returns the answer (PmVirtioMemAnswer), or -1 with @error if there is none. @type: of
 * PmVirtioMemRequestType. */
static inline int send_request(PmVirtioMem *device, unsigned type, uint64_t address,
                               uint64_t n_blocks, GError **error)
{
    PmVirtioMemRequest request;
    PmVirtioMemResponse response;
    PmVirtioMemAnswer answer;

    pm_virtio_mem_request_init(&request, type, address, (uint16_t)n_blocks);
    if (!pm_virtio_mem_handle(device, &request, sizeof(request), &response, sizeof(response),
                              error) ||
        !pm_virtio_mem_response_decode(&response, &answer, NULL, error))
        return -1;
    return (int)answer;
}

#endif
