/* SPDX-License-Identifier: MIT */
#include "trace/trace.h"

#include <inttypes.h>
#include <string.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "kernel-uapi/virtio_mem.h"
#include "trace/format.h"

/* More than any machine records; what they take in memory is bounded by it. */
#define MAX_EVENTS 4000000

static const char *const type_names[PM_EVENT_N_TYPES] = {
    [PM_EVENT_PLUG] = "plug",   [PM_EVENT_UNPLUG] = "unplug", [PM_EVENT_UNPLUG_ALL] = "unplug-all",
    [PM_EVENT_STATE] = "state", [PM_EVENT_RESIZE] = "resize", [PM_EVENT_RESET] = "reset",
};

const char *const pm_response_names[] = {
    [VIRTIO_MEM_RESP_ACK] = "ack",
    [VIRTIO_MEM_RESP_NACK] = "nack",
    [VIRTIO_MEM_RESP_BUSY] = "busy",
    [VIRTIO_MEM_RESP_ERROR] = "error",
    NULL,
};

const char *const pm_state_names[] = {
    [VIRTIO_MEM_STATE_PLUGGED] = "plugged",
    [VIRTIO_MEM_STATE_UNPLUGGED] = "unplugged",
    [VIRTIO_MEM_STATE_MIXED] = "mixed",
    NULL,
};

const char *pm_event_type_name(PmEventType type)
{
    return type_names[type];
}

static PmTrace *trace_new(const char *path)
{
    PmTrace *trace = g_new0(PmTrace, 1);

    trace->file = g_strdup(path);
    trace->events = g_array_new(FALSE, FALSE, sizeof(PmTraceEvent));
    return trace;
}

void pm_trace_free(PmTrace *trace)
{
    if (trace == NULL)
        return;
    g_array_unref(trace->events);
    g_free(trace->file);
    g_free(trace);
}

bool pm_trace_add(PmTrace *trace, const PmLineReader *reader, PmTraceEvent event, GError **error)
{
    if (trace->events->len >= MAX_EVENTS)
        return pm_line_fail(reader, error, "more than %d events: split the trace", MAX_EVENTS);
    event.line = reader->line;
    g_array_append_val(trace->events, event);
    return true;
}

bool pm_trace_check_geometry(const PmTrace *trace, GError **error)
{
    g_autofree char *size = pm_size_format(trace->region_size);
    g_autofree char *block = pm_size_format(trace->block_size);
    g_autofree char *requested = pm_size_format(trace->requested_size);

    if (trace->block_size < 4096 || !((trace->block_size & (trace->block_size - 1)) == 0))
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "a block size of %s cannot be: it is a power of two, at least 4K", block);
    if (trace->region_size == 0 || trace->region_size % trace->block_size != 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "a region of %s cannot be: it is one or more whole blocks of %s", size,
                       block);
    /* What reserving the memory would refuse, but without the line. */
    if (trace->region_size > INT64_MAX - trace->block_size)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "a region of %s cannot be: a process has 128T of addresses", size);
    if (trace->region_address % trace->block_size != 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "a region at 0x%" PRIx64 " cannot be: its address is a multiple of the "
                       "block size, %s",
                       trace->region_address, block);
    if (trace->region_address > UINT64_MAX - (trace->region_size - 1))
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "a region of %s at 0x%" PRIx64 " reaches beyond the 64-bit address space",
                       size, trace->region_address);
    if (trace->requested_size % trace->block_size != 0 ||
        trace->requested_size > trace->region_size)
        return pm_fail(
            error, PM_ERROR_BAD_INPUT,
            "a requested size of %s cannot be: it is whole blocks of %s, and at most the "
            "region's %s",
            requested, block, size);
    return true;
}

bool pm_trace_bound_requested(const PmTrace *trace, uint64_t usable, uint64_t *bound)
{
    uint64_t blocks = (PM_TRACE_USABLE_EXTENT + trace->block_size - 1) / trace->block_size;
    uint64_t extent = blocks * trace->block_size;

    *bound = usable;
    if (usable == 0 || usable == trace->region_size)
        return true;
    *bound = usable - extent;
    return usable % trace->block_size == 0 && usable < trace->region_size && usable > extent;
}

bool pm_trace_check_range(const PmTrace *trace, const PmTraceEvent *event, GError **error)
{
    uint64_t size = event->n_blocks * trace->block_size;
    uint64_t offset = event->address - trace->region_address;
    g_autofree char *blocks = NULL;

    if (event->address >= trace->region_address && offset <= trace->region_size &&
        size <= trace->region_size - offset)
        return true;
    blocks = pm_counted(event->n_blocks, "block");
    return pm_fail(error, PM_ERROR_BAD_INPUT,
                   "a range of %s at 0x%" PRIx64 " is outside the region, 0x%" PRIx64 "–0x%" PRIx64,
                   blocks, event->address, trace->region_address,
                   trace->region_address + (trace->region_size - 1));
}

/* Our own format says so in its first line; everything else is taken for a log. */
static bool detect(PmLineReader *reader, PmTraceFormat *format, GError **error)
{
    bool end;

    if (!pm_line_reader_next(reader, &end, error))
        return false;
    if (end)
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s: is empty: there is nothing to replay",
                       reader->path);
    if (*format == PM_TRACE_FORMAT_AUTO)
        *format = g_str_has_prefix(reader->text, PM_TRACE_MAGIC) ? PM_TRACE_FORMAT_PLUGMAP
                                                                 : PM_TRACE_FORMAT_QEMU_LOG;
    pm_line_reader_unread(reader);
    return true;
}

PmTrace *pm_trace_load(const char *path, PmTraceFormat format, const PmTraceGeometry *given,
                       GError **error)
{
    static const PmTraceGeometry nothing_given;
    g_autoptr(PmTrace) trace = trace_new(path);
    g_autofree PmLineReader *reader = g_new0(PmLineReader, 1);
    bool loaded;

    if (!pm_line_reader_open(reader, path, error))
        return NULL;
    if (given == NULL)
        given = &nothing_given;
    loaded =
        detect(reader, &format, error) &&
        (format == PM_TRACE_FORMAT_PLUGMAP ? pm_format_plugmap_read(reader, given, trace, error)
                                           : pm_format_qemu_read(reader, given, trace, error));
    pm_line_reader_close(reader);
    return loaded ? g_steal_pointer(&trace) : NULL;
}
