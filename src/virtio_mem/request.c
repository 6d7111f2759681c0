/* SPDX-License-Identifier: MIT */
/* The guest's requests. The order of the checks in a handler determines the response. */
#include <inttypes.h>
#include <string.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/probes.h"
#include "kernel-uapi/virtio_mem.h"
#include "memory/ram_private.h"
#include "virtio_mem/device.h"
#include "virtio_mem/refusal.h"

/* A request in host byte order. Padding is ignored. */
typedef struct {
    uint16_t type;
    uint16_t n_blocks;
    uint64_t address;
    /* Relative to the region; set by range_is_valid(). */
    uint64_t offset;
    uint64_t size;
} Request;

static const char *const type_names[] = {
    [VIRTIO_MEM_REQ_PLUG] = "PLUG",
    [VIRTIO_MEM_REQ_UNPLUG] = "UNPLUG",
    [VIRTIO_MEM_REQ_UNPLUG_ALL] = "UNPLUG_ALL",
    [VIRTIO_MEM_REQ_STATE] = "STATE",
};

/* Records why a request is refused. @cause: the underlying error, or NULL. Returns false. */
static bool note(PmVirtioMem *device, const Request *request, PmRefusal refusal, const char *reason,
                 const GError *cause)
{
    const char *name = type_names[request->type];
    g_autofree char *blocks = pm_counted(request->n_blocks, "block");
    g_autofree char *message = NULL;

    if (request->type == VIRTIO_MEM_REQ_UNPLUG_ALL)
        message = g_strdup_printf("%s refused: %s", name, reason);
    else
        message = g_strdup_printf("%s of %s at 0x%" PRIx64 " refused: %s", name, blocks,
                                  request->address, reason);
    pm_refusal_set(device, refusal, message, cause);
    return false;
}

/* A refusal without an underlying error. Returns false, for "return refuse(...)". */
G_GNUC_PRINTF(4, 5)
static bool refuse(PmVirtioMem *device, const Request *request, PmRefusal refusal,
                   const char *format, ...)
{
    g_autofree char *reason = NULL;
    va_list arguments;

    va_start(arguments, format);
    reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return note(device, request, refusal, reason, NULL);
}

static bool refuse_for(PmVirtioMem *device, const Request *request, const GError *cause)
{
    return note(device, request, pm_refusal_of_error(cause), cause->message, cause);
}

/* Requests are limited to the usable region. */
static bool range_is_valid(PmVirtioMem *device, Request *request)
{
    uint64_t usable_end = device->address + device->usable_size;
    uint64_t size;
    uint64_t end;

    if (request->address % device->block_size != 0) {
        g_autofree char *block_text = pm_size_format(device->block_size);

        return refuse(device, request, PM_REFUSAL_BAD_RANGE,
                      "address is not a multiple of the block size, %s", block_text);
    }
    if (request->n_blocks == 0)
        return refuse(device, request, PM_REFUSAL_BAD_RANGE, "no blocks");
    if (__builtin_mul_overflow(request->n_blocks, device->block_size, &size) ||
        __builtin_add_overflow(request->address, size, &end))
        return refuse(device, request, PM_REFUSAL_BAD_RANGE,
                      "range wraps around the address space");
    if (request->address < device->address || request->address >= usable_end || end > usable_end)
        return refuse(device, request, PM_REFUSAL_BAD_RANGE,
                      "range end 0x%" PRIx64 " is outside the usable region, 0x%" PRIx64
                      " to 0x%" PRIx64,
                      end, device->address, usable_end);
    request->offset = request->address - device->address;
    request->size = size;
    return true;
}

static bool fits_requested_size(PmVirtioMem *device, const Request *request)
{
    uint64_t plugged = pm_virtio_mem_get_plugged_size(device);
    g_autofree char *plugged_text = NULL;
    g_autofree char *size_text = NULL;
    g_autofree char *requested_text = NULL;
    uint64_t wanted;

    if (!__builtin_add_overflow(plugged, request->size, &wanted) &&
        wanted <= device->requested_size)
        return true;
    plugged_text = pm_size_format(plugged);
    size_text = pm_size_format(request->size);
    requested_text = pm_size_format(device->requested_size);
    return refuse(device, request, PM_REFUSAL_REQUESTED_SIZE,
                  "%s plugged, %s more would exceed the requested size, %s", plugged_text,
                  size_text, requested_text);
}

/* Names the first block in the wrong state: it shows where guest and host disagree. */
static bool refuse_for_block(PmVirtioMem *device, const Request *request, uint64_t offset,
                             const char *state)
{
    return refuse(device, request, PM_REFUSAL_BLOCK_STATE, "block at 0x%" PRIx64 " is already %s",
                  device->address + offset, state);
}

static bool is_unplugged(PmVirtioMem *device, const Request *request)
{
    uint64_t run_offset = request->offset;
    uint64_t run_size;

    if (pm_discard_source_is_discarded(device->source, request->offset, request->size))
        return true;
    pm_discard_source_next_populated(device->source, request->offset,
                                     request->offset + request->size, &run_offset, &run_size);
    return refuse_for_block(device, request, run_offset, "plugged");
}

static bool is_plugged(PmVirtioMem *device, const Request *request)
{
    uint64_t run_offset = request->offset;
    uint64_t run_size;

    if (pm_discard_source_is_populated(device->source, request->offset, request->size))
        return true;
    pm_discard_source_next_discarded(device->source, request->offset,
                                     request->offset + request->size, &run_offset, &run_size);
    return refuse_for_block(device, request, run_offset, "unplugged");
}

/* The destination already has, or is receiving, the state of the blocks. */
static bool may_change(PmVirtioMem *device, const Request *request)
{
    if (!device->migrating)
        return true;
    return refuse(device, request, PM_REFUSAL_MIGRATION,
                  "migration in progress: retry when it has completed");
}

static bool populate(PmVirtioMem *device, const Request *request)
{
    g_autoptr(GError) error = NULL;

    if (pm_discard_source_populate(device->source, request->offset, request->size, 0,
                                   device->prefault_threads, &error))
        return true;
    return refuse_for(device, request, error);
}

static bool discard(PmVirtioMem *device, const Request *request)
{
    g_autoptr(GError) error = NULL;

    if (pm_discard_source_discard(device->source, request->offset, request->size, 0, &error))
        return true;
    return refuse_for(device, request, error);
}

static uint16_t handle_plug(PmVirtioMem *device, Request *request)
{
    if (!range_is_valid(device, request))
        return VIRTIO_MEM_RESP_ERROR;
    /* Before the block states: a driver that has not noticed a lower requested size gets NACK, not
     * ERROR. */
    if (!fits_requested_size(device, request))
        return VIRTIO_MEM_RESP_NACK;
    if (!is_unplugged(device, request))
        return VIRTIO_MEM_RESP_ERROR;
    if (!may_change(device, request) || !populate(device, request))
        return VIRTIO_MEM_RESP_BUSY;
    return VIRTIO_MEM_RESP_ACK;
}

/* Never NACK: a guest may always unplug. */
static uint16_t handle_unplug(PmVirtioMem *device, Request *request)
{
    if (!range_is_valid(device, request))
        return VIRTIO_MEM_RESP_ERROR;
    if (!is_plugged(device, request))
        return VIRTIO_MEM_RESP_ERROR;
    if (!may_change(device, request) || !discard(device, request))
        return VIRTIO_MEM_RESP_BUSY;
    return VIRTIO_MEM_RESP_ACK;
}

static uint16_t handle_unplug_all(PmVirtioMem *device, const Request *request)
{
    g_autoptr(GError) error = NULL;
    PmRefusal refusal = pm_virtio_mem_unplug_all(device, &error);

    if (refusal == PM_REFUSAL_NONE)
        return VIRTIO_MEM_RESP_ACK;
    note(device, request, refusal, error->message, refusal == PM_REFUSAL_MIGRATION ? NULL : error);
    return VIRTIO_MEM_RESP_BUSY;
}

/* Read-only, so never BUSY. */
static uint16_t handle_state(PmVirtioMem *device, Request *request, uint16_t *state)
{
    if (!range_is_valid(device, request))
        return VIRTIO_MEM_RESP_ERROR;
    if (pm_discard_source_is_populated(device->source, request->offset, request->size))
        *state = VIRTIO_MEM_STATE_PLUGGED;
    else if (pm_discard_source_is_discarded(device->source, request->offset, request->size))
        *state = VIRTIO_MEM_STATE_UNPLUGGED;
    else
        *state = VIRTIO_MEM_STATE_MIXED;
    return VIRTIO_MEM_RESP_ACK;
}

static uint16_t plug(PmVirtioMem *device, Request *request)
{
    uint64_t size = request->n_blocks * device->block_size;
    uint16_t answer;

    PM_PROBE(plug__begin, device, request->address, size);
    answer = handle_plug(device, request);
    PM_PROBE(plug__end, device, request->address, size, answer);
    return answer;
}

static uint16_t unplug(PmVirtioMem *device, Request *request)
{
    uint64_t size = request->n_blocks * device->block_size;
    uint16_t answer;

    PM_PROBE(unplug__begin, device, request->address, size);
    answer = handle_unplug(device, request);
    PM_PROBE(unplug__end, device, request->address, size, answer);
    return answer;
}

static uint16_t dispatch(PmVirtioMem *device, Request *request, uint16_t *state)
{
    switch (request->type) {
    case VIRTIO_MEM_REQ_PLUG:
        return plug(device, request);
    case VIRTIO_MEM_REQ_UNPLUG:
        return unplug(device, request);
    case VIRTIO_MEM_REQ_UNPLUG_ALL:
        return handle_unplug_all(device, request);
    default:
        return handle_state(device, request, state);
    }
}

/* PLUG, UNPLUG and STATE have the same layout. */
static Request decode(const void *bytes)
{
    struct virtio_mem_req wire;

    memcpy(&wire, bytes, sizeof(wire));
    return (Request){
        .type = GUINT16_FROM_LE(wire.type),
        .n_blocks = GUINT16_FROM_LE(wire.u.plug.nb_blocks),
        .address = GUINT64_FROM_LE(wire.u.plug.addr),
    };
}

static void encode(uint16_t type, uint16_t state, void *bytes)
{
    const struct virtio_mem_resp wire = {
        .type = GUINT16_TO_LE(type),
        .u.state.state = GUINT16_TO_LE(state),
    };

    memcpy(bytes, &wire, sizeof(wire));
}

static void log_answer(const PmVirtioMem *device, const Request *request, uint16_t answer)
{
    static const char *const names[] = {
        [VIRTIO_MEM_RESP_ACK] = "ack",
        [VIRTIO_MEM_RESP_NACK] = "nack",
        [VIRTIO_MEM_RESP_BUSY] = "busy",
        [VIRTIO_MEM_RESP_ERROR] = "error",
    };

    pm_log(G_LOG_LEVEL_DEBUG,
           "virtio-mem at 0x%" PRIx64 ": %s, address 0x%" PRIx64 ", blocks %u: %s", device->address,
           type_names[request->type], request->address, request->n_blocks, names[answer]);
}

/* The guest violated the protocol: the device stops responding. */
G_GNUC_PRINTF(3, 4)
static bool violated(PmVirtioMem *device, GError **error, const char *format, ...)
{
    g_autofree char *reason = NULL;
    g_autofree char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    device->broken = true;
    message =
        g_strdup_printf("virtio-mem: %s: device is broken until the driver resets it", reason);
    pm_refusal_set(device, PM_REFUSAL_PROTOCOL, message, NULL);
    return pm_fail(error, PM_ERROR_BAD_REQUEST, "%s", message);
}

bool pm_virtio_mem_handle(PmVirtioMem *device, const void *request, size_t request_size,
                          void *response, size_t response_size, GError **error)
{
    uint64_t before = pm_virtio_mem_get_plugged_size(device);
    uint16_t state = 0;
    uint16_t answer;
    Request decoded;

    if (!pm_ram_check_process(pm_discard_manager_get_ram(device->manager), error))
        return false;
    pm_refusal_clear(device);
    if (device->broken)
        return violated(device, error, "an earlier request violated the protocol");
    if (request_size < sizeof(struct virtio_mem_req))
        return violated(device, error, "request too short: requires %zu bytes, got %zu",
                        sizeof(struct virtio_mem_req), request_size);
    if (response_size < sizeof(struct virtio_mem_resp))
        return violated(device, error, "response buffer too short: requires %zu bytes, got %zu",
                        sizeof(struct virtio_mem_resp), response_size);
    decoded = decode(request);
    if (decoded.type >= G_N_ELEMENTS(type_names))
        return violated(device, error, "unknown request type %u", decoded.type);

    answer = dispatch(device, &decoded, &state);
    log_answer(device, &decoded, answer);
    pm_virtio_mem_notify_plugged(device, before);
    encode(answer, state, response);
    return true;
}
