/* SPDX-License-Identifier: MIT */
/* Watching an address space for the sake of a dirty log: dirty tracking stays on, and unmapping,
 * which discards dirty bits, is reported. */
#ifndef PLUGMAP_SRC_IOMMU_WATCH_H
#define PLUGMAP_SRC_IOMMU_WATCH_H

#include <plugmap/iommu.h>
#include <plugmap/ram.h>

/* A type of its own, so that no I/O address is taken for one. */
typedef struct {
    uint64_t bytes;
} PmRamOffset;

/*
 * @unmapping: dirty bits of blocks are lost: they are about to be unmapped, perhaps in vain, or
 * nothing was tracked before, or will be from now on. From any thread.
 * @closing: the last reference to the PmIommu was dropped: the watch is removed, and the PmIommu is
 * gone after the call.
 * Both are called with the lock of the PmIommu held, and must not call it.
 */
typedef struct {
    void (*unmapping)(void *user_data, const PmRam *ram, PmRamOffset offset, uint64_t size);
    void (*closing)(void *user_data);
    void *user_data;
} PmIommuWatch;

/* Turns dirty tracking on, if there is any: see pm_iommu_get_dirty_kind(). Reports everything that
 * is mapped. @watch: must stay valid until it is removed. Errors: those of
 * pm_iommu_set_dirty_tracking(), but not PM_ERROR_UNSUPPORTED. */
bool pm_iommu_add_watch(PmIommu *iommu, const PmIommuWatch *watch, GError **error);

/* Reports everything that is mapped. The last watch turns dirty tracking off, unless it was on
 * before the first one. @watch is removed even if that fails. Errors: those of
 * pm_iommu_set_dirty_tracking(). */
bool pm_iommu_remove_watch(PmIommu *iommu, const PmIommuWatch *watch, GError **error);

/*
 * As pm_iommu_read_dirty(), for all that claims have mapped of a RAM: bit 0 is the page at offset
 * 0. Without dirty tracking, all of it is dirty. Leaves out claims that were never mapped for
 * writing. With PM_ERROR_MEMORY and PM_ERROR_KERNEL, @bitmap has the bits read so far.
 */
bool pm_iommu_read_dirty_ram(PmIommu *iommu, const PmRam *ram, uint64_t page_size, uint64_t *bitmap,
                             GError **error);

#endif
