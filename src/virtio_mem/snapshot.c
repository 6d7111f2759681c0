/* SPDX-License-Identifier: MIT */
#include <plugmap/virtio_mem_snapshot.h>

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "memory/discard_source_restore.h"
#include "virtio_mem/refusal.h"
#include "virtio_mem/snapshot_check.h"

static PmSnapshot state_of(const PmVirtioMem *device)
{
    return (PmSnapshot){
        .flags = device->broken ? PM_SNAPSHOT_BROKEN : 0,
        .address = device->address,
        .region_size = device->region_size,
        .block_size = device->block_size,
        .node = device->node,
        .plugged_size = pm_virtio_mem_get_plugged_size(device),
        .usable_size = device->usable_size,
        .requested_size = device->requested_size,
        .features = device->accepted_features,
    };
}

static void put_bitmap(uint8_t *bytes, const PmVirtioMem *device)
{
    uint64_t offset = 0;
    uint64_t size = 0;

    while (pm_discard_source_next_populated(device->source, offset + size, device->region_size,
                                            &offset, &size))
        pm_snapshot_put_plugged(bytes, offset / device->block_size, size / device->block_size);
}

/* Its size depends on the region's, which the caller chooses. */
static void *allocate(uint64_t size, GError **error)
{
    void *bytes = g_try_malloc0(size);

    if (bytes == NULL)
        pm_fail(error, PM_ERROR_MEMORY,
                "cannot allocate %" PRIu64 " bytes for a snapshot: free memory on the host", size);
    return bytes;
}

GBytes *pm_virtio_mem_save(const PmVirtioMem *device, GError **error)
{
    const PmSnapshot snapshot = state_of(device);
    uint64_t size = pm_snapshot_size_for(device);
    uint8_t *bytes = allocate(size, error);

    if (bytes == NULL)
        return NULL;
    pm_snapshot_put_header(bytes, &snapshot);
    put_bitmap(bytes, device);
    pm_snapshot_put_checksum(bytes, size);
    return g_bytes_new_take(bytes, size);
}

static bool check_nothing_plugged(const PmVirtioMem *device, GError **error)
{
    uint64_t plugged = pm_virtio_mem_get_plugged_size(device);
    g_autofree char *plugged_text = pm_size_format(plugged);

    return plugged == 0 || pm_fail(error, PM_ERROR_BUSY,
                                   "virtio-mem: the device at 0x%" PRIx64
                                   " has %s plugged: load a snapshot into a new device",
                                   device->address, plugged_text);
}

static bool plug(PmVirtioMem *device, const PmSnapshot *snapshot, GError **error)
{
    g_autoptr(PmBitmap) plugged = pm_bitmap_new(snapshot->n_blocks);
    uint64_t first = 0;
    uint64_t count = 0;

    if (plugged == NULL)
        return pm_fail(error, PM_ERROR_MEMORY,
                       "cannot allocate a bitmap of %" PRIu64 " blocks: free memory on the host",
                       snapshot->n_blocks);
    while (pm_snapshot_next_run(snapshot, first + count, &first, &count))
        pm_bitmap_set(plugged, first, count);
    return pm_discard_source_restore(device->source, plugged, device->prefault_threads, error);
}

/* Not a reason to fail: it is in quarantine, and each request retries to free it. */
static void free_unplugged(PmVirtioMem *device)
{
    g_autofree char *stuck_text = NULL;
    uint64_t stuck;

    pm_discard_source_free_discarded(device->source);
    stuck = pm_discard_manager_get_quarantined(device->manager);
    if (stuck == 0)
        return;
    stuck_text = pm_size_format(stuck);
    pm_log(G_LOG_LEVEL_WARNING,
           "virtio-mem: loaded the snapshot of the device at 0x%" PRIx64
           ", but the host did not free %s of unplugged memory: they are in quarantine",
           device->address, stuck_text);
}

bool pm_virtio_mem_load(PmVirtioMem *device, GBytes *snapshot, GError **error)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(snapshot, &size);
    PmSnapshot state;

    if (!check_nothing_plugged(device, error) ||
        !pm_snapshot_read(device, bytes, size, &state, error) || !plug(device, &state, error))
        return false;
    device->usable_size = state.usable_size;
    device->requested_size = state.requested_size;
    device->accepted_features = state.features;
    device->broken = (state.flags & PM_SNAPSHOT_BROKEN) != 0;
    pm_refusal_clear(device);
    if (!device->keep_memory)
        free_unplugged(device);
    pm_virtio_mem_notify_plugged(device, 0);
    return true;
}
