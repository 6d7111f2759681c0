/* SPDX-License-Identifier: MIT */
/*
 * Chooses I/O addresses: valid for the devices, outside the ranges to avoid, and of no claim.
 *
 * Ranges of the two classes come from separate parts of the address space, so that a fixed range
 * never fails to fit because of temporary ones, and fixed ranges are not scattered between them.
 * Freed space is reused, and merged with the free space around it.
 *
 * Time: O(log n) for n ranges; more only if no hole has room for the size and the alignment
 * together, or for each claim of others that is in the way.
 * Memory: about 250 bytes for each hole; there are at most as many as ranges taken (at most
 * PM_IOVA_MAX_TAKEN), claims and ranges to avoid.
 *
 * Threads: safe from several threads at once.
 */
#ifndef PLUGMAP_SRC_BUFFERS_IOVA_ALLOCATOR_H
#define PLUGMAP_SRC_BUFFERS_IOVA_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/iommu.h>

#define PM_IOVA_MAX_TAKEN (UINT64_C(1) << 20)

typedef struct PmIovaAllocator PmIovaAllocator;

/* PM_IOVA_TEMPORARY: for one request. */
typedef enum {
    PM_IOVA_FIXED,
    PM_IOVA_TEMPORARY,
} PmIovaClass;

/*
 * PmIovaAllocatorConfig:
 * @iommu: its valid ranges are used, and what others claim in it, now or later, is avoided. Not
 * referenced: must outlive the allocator. NULL: only @valid.
 * @window: only addresses in it; all zero: any.
 * @avoid, @n_avoid: for example guest RAM that will be mapped later. In any order, may overlap.
 * @valid, @n_valid: the valid ranges without @iommu, ascending.
 * @page_size: the unit of all ranges; a power of two.
 * @temporary_size: bytes for temporary ranges, taken from the highest addresses; at most half of
 * all. 0: none.
 */
typedef struct {
    PmIommu *iommu;
    PmIovaRange window;
    const PmIovaRange *avoid;
    size_t n_avoid;
    const PmIovaRange *valid;
    size_t n_valid;
    uint64_t page_size;
    uint64_t temporary_size;
} PmIovaAllocatorConfig;

/* Address 0 is never used: some devices take it for none. Pages that are only partly valid are not
 * used either. */
PmIovaAllocator *pm_iova_allocator_new(const PmIovaAllocatorConfig *config);

/* Whatever is taken. NULL does nothing. */
void pm_iova_allocator_free(PmIovaAllocator *allocator);

/*
 * Takes the smallest free range that has room, of those the lowest. With an alignment of more than
 * a page, holes that have room only without it may be skipped for a larger one; but it fails only
 * if there is no room at all.
 * @size: not 0, a multiple of the page size. @alignment: a power of two; 0: the page size.
 * Claim it at once: if that fails with PM_ERROR_OVERLAP, somebody was faster; put it and retry.
 * Errors: PM_ERROR_LIMIT (no room).
 */
bool pm_iova_allocator_take(PmIovaAllocator *allocator, PmIovaClass iova_class, uint64_t size,
                            uint64_t alignment, uint64_t *iova, GError **error);

/* Frees a range that was taken. */
void pm_iova_allocator_put(PmIovaAllocator *allocator, PmIovaClass iova_class, uint64_t iova,
                           uint64_t size);

/* Bytes that are free, not counting claims of others that were in the way. */
uint64_t pm_iova_allocator_get_n_free(PmIovaAllocator *allocator, PmIovaClass iova_class);

/* The number of holes that these are in. */
uint64_t pm_iova_allocator_get_n_holes(PmIovaAllocator *allocator, PmIovaClass iova_class);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmIovaAllocator, pm_iova_allocator_free)

#endif
