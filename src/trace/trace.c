/* SPDX-License-Identifier: MIT */
#include "trace/trace.h"

#include "kernel-uapi/virtio_iommu.h"
#include "kernel-uapi/virtio_mem.h"

static const char *const type_names[PM_EVENT_N_TYPES] = {
    [PM_EVENT_PLUG] = "plug",
    [PM_EVENT_UNPLUG] = "unplug",
    [PM_EVENT_UNPLUG_ALL] = "unplug-all",
    [PM_EVENT_STATE] = "state",
    [PM_EVENT_RESIZE] = "resize",
    [PM_EVENT_RESET] = "reset",
    [PM_EVENT_CONVERT] = "convert",
    [PM_EVENT_IOMMU_MAP] = "iommu-map",
    [PM_EVENT_IOMMU_UNMAP] = "iommu-unmap",
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

const char *const pm_iommu_status_names[] = {
    [VIRTIO_IOMMU_S_OK] = "ok",         [VIRTIO_IOMMU_S_IOERR] = "ioerr",
    [VIRTIO_IOMMU_S_UNSUPP] = "unsupp", [VIRTIO_IOMMU_S_DEVERR] = "deverr",
    [VIRTIO_IOMMU_S_INVAL] = "inval",   [VIRTIO_IOMMU_S_RANGE] = "range",
    [VIRTIO_IOMMU_S_NOENT] = "noent",   [VIRTIO_IOMMU_S_FAULT] = "fault",
    [VIRTIO_IOMMU_S_NOMEM] = "nomem",   NULL,
};

const char *const pm_access_names[] = {"-", "r", "w", "rw", NULL};

const char *pm_event_type_name(PmEventType type)
{
    return type_names[type];
}

bool pm_event_type_has_blocks(PmEventType type)
{
    return type == PM_EVENT_PLUG || type == PM_EVENT_UNPLUG || type == PM_EVENT_STATE;
}

bool pm_event_type_is_iommu(PmEventType type)
{
    return type == PM_EVENT_IOMMU_MAP || type == PM_EVENT_IOMMU_UNMAP;
}

static void clear_region(void *data)
{
    PmTraceRegion *region = data;

    g_free(region->name);
}

PmTrace *pm_trace_new(const char *file)
{
    PmTrace *trace = g_new0(PmTrace, 1);

    trace->file = g_strdup(file);
    trace->regions = g_array_new(FALSE, FALSE, sizeof(PmTraceRegion));
    g_array_set_clear_func(trace->regions, clear_region);
    trace->events = g_array_new(FALSE, FALSE, sizeof(PmTraceEvent));
    return trace;
}

void pm_trace_free(PmTrace *trace)
{
    if (trace == NULL)
        return;
    g_array_unref(trace->regions);
    g_array_unref(trace->events);
    g_free(trace->file);
    g_free(trace->warning);
    g_free(trace);
}

PmTraceRegion *pm_trace_region(const PmTrace *trace, unsigned index)
{
    return &g_array_index(trace->regions, PmTraceRegion, index);
}

PmTraceRegion *pm_trace_add_region(PmTrace *trace, PmTraceRegion region)
{
    g_array_append_val(trace->regions, region);
    return pm_trace_region(trace, trace->regions->len - 1);
}

void pm_trace_get_window(const PmTrace *trace, uint64_t *address, uint64_t *size)
{
    uint64_t last = 0;

    *address = UINT64_MAX;
    for (guint i = 0; i < trace->regions->len; i++) {
        const PmTraceRegion *region = pm_trace_region(trace, i);

        *address = MIN(*address, region->address);
        last = MAX(last, region->address + (region->size - 1));
    }
    *size = last - *address + 1;
}
