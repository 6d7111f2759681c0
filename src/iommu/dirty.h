/* SPDX-License-Identifier: MIT */
/* A bitmap of the caller's, into which dirty bits are merged. */
#ifndef PLUGMAP_SRC_IOMMU_DIRTY_H
#define PLUGMAP_SRC_IOMMU_DIRTY_H

#include "iommu/address_space.h"

/* @iova, @last: the range to read; @offset: bytes from the start of the bitmap's first page to
 * @iova;
 * @page_size: bytes per bit. */
typedef struct {
    uint64_t iova;
    uint64_t last;
    uint64_t offset;
    uint64_t page_size;
    uint64_t *bitmap;
} PmDirtyReading;

/* Validates a range and page size. Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_UNALIGNED. */
bool pm_dirty_reading_init(PmDirtyReading *reading, const PmIommu *iommu, uint64_t iova,
                           uint64_t size, uint64_t page_size, uint64_t *bitmap, GError **error);

/* PM_ERROR_INVALID_ARGUMENT if tracking is off. The lock is held. */
bool pm_dirty_check_tracked(const PmIommu *iommu, GError **error);

/* Dirty bits of one kernel call. */
typedef struct {
    uint64_t iova;
    uint64_t size;
    uint64_t unit;   /* bytes per bit */
    uint64_t *found; /* free with g_free() */
} PmDirtyPiece;

/* Makes an empty piece of mappings of @block_size bytes. Errors: PM_ERROR_MEMORY. */
bool pm_dirty_piece_init(PmDirtyPiece *piece, const PmIommu *iommu, const PmDirtyReading *reading,
                         uint64_t iova, uint64_t size, uint64_t block_size, GError **error);

/* Merges the bits of a piece into the caller's bitmap. */
void pm_dirty_merge(const PmDirtyReading *reading, PmDirtyPiece *piece);

/* Sets the bits of pages that have a byte in a range; @offset: from the start of the first page. */
void pm_dirty_set_pages(const PmDirtyReading *reading, uint64_t offset, uint64_t size);

/* Reads a run that begins at or after @reading's iova. The lock is held, and tracking is on. */
bool pm_dirty_read_run(PmIommu *iommu, const PmDirtyReading *reading, PmIommuRun run,
                       GError **error);

/* The error of reading a piece. */
bool pm_dirty_fail(const PmDirtyPiece *piece, int error_number, GError **error);

#endif
