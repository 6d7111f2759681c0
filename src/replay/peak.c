/* SPDX-License-Identifier: MIT */
#include "replay/peak.h"

#include "base/bitmap.h"
#include "base/error_text.h"
#include "kernel-uapi/virtio_mem.h"

typedef struct {
    const PmTraceRegion *region;
    PmBitmap *plugged;
    uint64_t requested;
} Device;

static void free_device(void *data)
{
    Device *device = data;

    pm_bitmap_free(device->plugged);
    g_free(device);
}

static GPtrArray *make_devices(const PmTrace *trace, GError **error)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func(free_device);

    for (guint i = 0; i < trace->regions->len; i++) {
        Device *device = g_new0(Device, 1);

        g_ptr_array_add(devices, device);
        device->region = pm_trace_region(trace, i);
        device->requested = device->region->requested_size;
        device->plugged = pm_bitmap_new(device->region->size / device->region->block_size);
        if (device->plugged == NULL) {
            (void)pm_fail(error, PM_ERROR_MEMORY, "%s: out of memory for the block bitmaps",
                          trace->file);
            return NULL;
        }
    }
    return g_steal_pointer(&devices);
}

static uint64_t plugged_bytes(const Device *device)
{
    return pm_bitmap_n_set(device->plugged) * device->region->block_size;
}

static uint64_t sum(const GPtrArray *devices)
{
    uint64_t n_bytes = 0;

    for (guint i = 0; i < devices->len; i++)
        n_bytes += plugged_bytes(g_ptr_array_index(devices, i));
    return n_bytes;
}

/* A NACK that is not judged is replayed as a NACK. */
static bool may_plug(const Device *device, const PmTraceEvent *event, uint64_t first)
{
    uint64_t end = first + event->n_blocks;
    uint64_t n_bytes = event->n_blocks * device->region->block_size;

    if (device->region->requested_is_bound && event->response == VIRTIO_MEM_RESP_NACK)
        return false;
    return plugged_bytes(device) + n_bytes <= device->requested &&
           pm_bitmap_next_set(device->plugged, first, end) == end;
}

static void clear_all(Device *device)
{
    pm_bitmap_clear(device->plugged, 0, pm_bitmap_n_bits(device->plugged));
}

static void play_range(Device *device, const PmTraceEvent *event)
{
    const PmTraceRegion *region = device->region;
    uint64_t first = (event->address - region->address) / region->block_size;
    uint64_t end = first + event->n_blocks;

    /* The device refuses ranges that are not whole blocks of the region. */
    if (event->address < region->address || event->address % region->block_size != 0 ||
        first >= pm_bitmap_n_bits(device->plugged) || end > pm_bitmap_n_bits(device->plugged))
        return;
    if (event->type == PM_EVENT_PLUG && may_plug(device, event, first))
        pm_bitmap_set(device->plugged, first, event->n_blocks);
    if (event->type == PM_EVENT_UNPLUG && pm_bitmap_next_clear(device->plugged, first, end) == end)
        pm_bitmap_clear(device->plugged, first, event->n_blocks);
}

static void play(GPtrArray *devices, const PmTraceEvent *event)
{
    Device *device;

    if (event->type == PM_EVENT_RESET) {
        for (guint i = 0; i < devices->len; i++)
            clear_all(g_ptr_array_index(devices, i));
        return;
    }
    if (pm_event_type_is_iommu(event->type))
        return;
    device = g_ptr_array_index(devices, event->region);
    if (event->type == PM_EVENT_RESIZE)
        device->requested = event->size;
    else if (event->type == PM_EVENT_UNPLUG_ALL)
        clear_all(device);
    else if (event->type != PM_EVENT_CONVERT)
        play_range(device, event);
}

bool pm_trace_peak(const PmTrace *trace, uint64_t *n_bytes, GError **error)
{
    g_autoptr(GPtrArray) devices = make_devices(trace, error);

    if (devices == NULL)
        return false;
    *n_bytes = 0;
    for (guint i = 0; i < trace->events->len; i++) {
        play(devices, &g_array_index(trace->events, PmTraceEvent, i));
        *n_bytes = MAX(*n_bytes, sum(devices));
    }
    return true;
}
