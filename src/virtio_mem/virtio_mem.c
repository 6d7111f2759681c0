/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/probes.h"
#include "kernel-uapi/virtio_mem.h"
#include "virtio_mem/device.h"
#include "virtio_mem/refusal.h"

PmDiscardManager *pm_virtio_mem_get_manager(const PmVirtioMem *device)
{
    return device->manager;
}

PmDiscardSource *pm_virtio_mem_get_source(const PmVirtioMem *device)
{
    return device->source;
}

uint64_t pm_virtio_mem_get_address(const PmVirtioMem *device)
{
    return device->address;
}

uint64_t pm_virtio_mem_get_block_size(const PmVirtioMem *device)
{
    return device->block_size;
}

uint64_t pm_virtio_mem_get_region_size(const PmVirtioMem *device)
{
    return device->region_size;
}

uint64_t pm_virtio_mem_get_usable_size(const PmVirtioMem *device)
{
    return device->usable_size;
}

uint64_t pm_virtio_mem_get_plugged_size(const PmVirtioMem *device)
{
    return pm_discard_source_get_populated(device->source);
}

uint64_t pm_virtio_mem_get_requested_size(const PmVirtioMem *device)
{
    return device->requested_size;
}

uint64_t pm_virtio_mem_get_features(const PmVirtioMem *device)
{
    return device->offered_features;
}

uint64_t pm_virtio_mem_get_accepted_features(const PmVirtioMem *device)
{
    return device->accepted_features;
}

bool pm_virtio_mem_set_features(PmVirtioMem *device, uint64_t features, GError **error)
{
    uint64_t inaccessible = UINT64_C(1) << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE;

    if ((features & ~device->offered_features) != 0)
        return pm_fail(error, PM_ERROR_BAD_REQUEST,
                       "virtio-mem: driver accepted features 0x%" PRIx64 ", but only 0x%" PRIx64
                       " are offered",
                       features, device->offered_features);
    if ((device->offered_features & ~features & inaccessible) != 0)
        return pm_fail(error, PM_ERROR_BAD_REQUEST,
                       "virtio-mem: driver accepted features 0x%" PRIx64
                       " without UNPLUGGED_INACCESSIBLE (0x%" PRIx64
                       "): set no_unplugged_inaccessible to support it",
                       features, inaccessible);
    device->accepted_features = features;
    return true;
}

void pm_virtio_mem_config_read(const PmVirtioMem *device, uint64_t offset, void *buffer,
                               size_t size)
{
    const struct virtio_mem_config config = {
        .block_size = GUINT64_TO_LE(device->block_size),
        .node_id = GUINT16_TO_LE(device->node),
        .addr = GUINT64_TO_LE(device->address),
        .region_size = GUINT64_TO_LE(device->region_size),
        .usable_region_size = GUINT64_TO_LE(device->usable_size),
        .plugged_size = GUINT64_TO_LE(pm_virtio_mem_get_plugged_size(device)),
        .requested_size = GUINT64_TO_LE(device->requested_size),
    };

    if (size == 0)
        return;
    memset(buffer, 0, size);
    if (offset < sizeof(config))
        memcpy(buffer, (const char *)&config + offset, MIN(size, sizeof(config) - offset));
}

uint64_t pm_virtio_mem_wanted_usable_size(const PmVirtioMem *device, uint64_t requested_size)
{
    uint64_t size;
    uint64_t beyond_block;

    if (requested_size == 0)
        return 0;
    if (__builtin_add_overflow(requested_size, device->usable_extent, &size) ||
        size > device->region_size)
        return device->region_size;
    /* Stays within the region, whose size is a multiple of the block size. */
    beyond_block = size % device->block_size;
    return beyond_block == 0 ? size : size - beyond_block + device->block_size;
}

bool pm_virtio_mem_set_requested_size(PmVirtioMem *device, uint64_t size, GError **error)
{
    g_autofree char *block_text = pm_size_format(device->block_size);
    g_autofree char *region_text = pm_size_format(device->region_size);

    if (size % device->block_size != 0)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "virtio-mem: invalid requested_size 0x%" PRIx64
                       ": must be a multiple of block_size %s",
                       size, block_text);
    if (size > device->region_size)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "virtio-mem: invalid requested_size 0x%" PRIx64
                       ": must be at most the region size, %s",
                       size, region_text);
    device->requested_size = size;
    /* Never shrink it here: the guest may be using memory past the new size. */
    device->usable_size = MAX(device->usable_size, pm_virtio_mem_wanted_usable_size(device, size));
    if (device->config_changed != NULL)
        device->config_changed(device, size, device->user_data);
    return true;
}

void pm_virtio_mem_set_migrating(PmVirtioMem *device, bool migrating)
{
    device->migrating = migrating;
}

void pm_virtio_mem_set_keep_memory(PmVirtioMem *device, bool keep)
{
    device->keep_memory = keep;
}

void pm_virtio_mem_notify_plugged(PmVirtioMem *device, uint64_t before)
{
    uint64_t now = pm_virtio_mem_get_plugged_size(device);

    if (now != before && device->plugged_size_changed != NULL)
        device->plugged_size_changed(device, now, device->user_data);
}

static PmRefusal unplug_all(PmVirtioMem *device, GError **error)
{
    g_autoptr(GError) failure = NULL;
    bool something = pm_virtio_mem_get_plugged_size(device) != 0 ||
                     pm_discard_manager_get_quarantined(device->manager) != 0;

    if (something && device->migrating) {
        pm_fail(error, PM_ERROR_BUSY, "migration in progress: retry when it has completed");
        return PM_REFUSAL_MIGRATION;
    }
    if (something && !pm_discard_source_discard_all(device->source, &failure)) {
        PmRefusal cause = pm_refusal_of_error(failure);

        g_propagate_error(error, g_steal_pointer(&failure));
        return cause;
    }
    device->usable_size = pm_virtio_mem_wanted_usable_size(device, device->requested_size);
    return PM_REFUSAL_NONE;
}

PmRefusal pm_virtio_mem_unplug_all(PmVirtioMem *device, GError **error)
{
    uint64_t plugged = pm_virtio_mem_get_plugged_size(device);
    PmRefusal refusal;

    PM_PROBE(unplug_all__begin, device, device->address, plugged);
    refusal = unplug_all(device, error);
    PM_PROBE(unplug_all__end, device, device->address, plugged,
             refusal == PM_REFUSAL_NONE ? VIRTIO_MEM_RESP_ACK : VIRTIO_MEM_RESP_BUSY);
    return refusal;
}

void pm_virtio_mem_device_reset(PmVirtioMem *device)
{
    pm_refusal_clear(device);
    device->accepted_features = 0;
    device->broken = false;
}

bool pm_virtio_mem_system_reset(PmVirtioMem *device, GError **error)
{
    GError *failure = NULL;
    g_autofree char *message = NULL;
    uint64_t before = pm_virtio_mem_get_plugged_size(device);
    PmRefusal refusal;

    pm_refusal_clear(device);
    refusal = pm_virtio_mem_unplug_all(device, &failure);
    pm_virtio_mem_notify_plugged(device, before);
    if (refusal == PM_REFUSAL_NONE)
        return true;
    message = g_strdup_printf("system reset of the virtio-mem device at 0x%" PRIx64 " refused: %s",
                              device->address, failure->message);
    pm_refusal_set(device, refusal, message, refusal == PM_REFUSAL_MIGRATION ? NULL : failure);
    pm_reword(failure, (PmError)failure->code, "%s", message);
    g_propagate_error(error, failure);
    return false;
}
