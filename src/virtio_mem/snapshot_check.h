/* SPDX-License-Identifier: MIT */
/* Whether a device can have the state of a snapshot. */
#ifndef PLUGMAP_SRC_VIRTIO_MEM_SNAPSHOT_CHECK_H
#define PLUGMAP_SRC_VIRTIO_MEM_SNAPSHOT_CHECK_H

#include "virtio_mem/device.h"
#include "virtio_mem/snapshot_format.h"

/* Bytes of each snapshot of @device. */
uint64_t pm_snapshot_size_for(const PmVirtioMem *device);

/*
 * Reads and checks everything. @bytes: the snapshot, or the beginning of one that is too long, with
 * at least one byte more than pm_snapshot_size_for(). They must outlive @snapshot. Errors:
 * PM_ERROR_BAD_INPUT.
 */
bool pm_snapshot_read(const PmVirtioMem *device, const uint8_t *bytes, uint64_t size,
                      PmSnapshot *snapshot, GError **error);

#endif
