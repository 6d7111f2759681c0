/* SPDX-License-Identifier: MIT */
/* State of a device, and helpers shared by the files of this directory. */
#ifndef PLUGMAP_SRC_VIRTIO_MEM_DEVICE_H
#define PLUGMAP_SRC_VIRTIO_MEM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/virtio_mem.h>

/* A source of the discard manager tracks the plugged blocks: other sources may forbid access to
 * parts of them. */
struct PmVirtioMem {
    PmDiscardManager *manager;
    PmDiscardSource *source; /* owned by the manager */
    uint64_t discard_claim;  /* on the manager's RAM */
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
    bool keep_memory;
    GError *refusal; /* of PM_REFUSAL; NULL: none */
    PmVirtioMemSizeFunc plugged_size_changed;
    PmVirtioMemSizeFunc config_changed;
    void *user_data;
};

/* The usable size that a requested size needs. */
uint64_t pm_virtio_mem_wanted_usable_size(const PmVirtioMem *device, uint64_t requested_size);

/* Calls plugged_size_changed if the plugged size differs from @before. */
void pm_virtio_mem_notify_plugged(PmVirtioMem *device, uint64_t before);

/* Discards all blocks and shrinks the usable region. On failure changes nothing, returns the cause
 * and sets @error. */
PmRefusal pm_virtio_mem_unplug_all(PmVirtioMem *device, GError **error);

#endif
