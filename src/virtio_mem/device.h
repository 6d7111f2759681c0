/* SPDX-License-Identifier: MIT */
/* What the files of this room share: the state of a device and the steps between them. */
#ifndef PLUGMAP_SRC_VIRTIO_MEM_DEVICE_H
#define PLUGMAP_SRC_VIRTIO_MEM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/virtio_mem.h>

/* Which blocks are plugged, and how many, is known to the manager alone. */
struct PmVirtioMem {
    PmDiscardManager *manager;
    uint64_t address;
    uint64_t block_size;
    uint64_t region_size;
    uint64_t usable_size;
    uint64_t usable_extent;
    uint64_t requested_size;
    uint64_t offered_features;
    uint64_t accepted_features;
    uint16_t node;
    unsigned prefault_threads;
    bool migrating;
    bool broken;
    GError *refusal; /* of PM_REFUSAL; NULL: none */
    PmVirtioMemSizeFunc plugged_size_changed;
    PmVirtioMemSizeFunc config_changed;
    void *user_data;
};

/* The usable size that the requested size calls for. */
uint64_t pm_virtio_mem_wanted_usable_size(const PmVirtioMem *device);

/* Calls plugged_size_changed if the plugged size is not @before any more. */
void pm_virtio_mem_notify_plugged(PmVirtioMem *device, uint64_t before);

/* Discards all blocks, if there are any, and lets the usable region shrink. On failure nothing has
 * changed; returns the cause and sets @error. */
PmRefusal pm_virtio_mem_unplug_all(PmVirtioMem *device, GError **error);

#endif
