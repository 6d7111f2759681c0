/* SPDX-License-Identifier: MIT */
/* The answer of a type1 IOMMU to VFIO_IOMMU_GET_INFO, with its capability chain. */
#ifndef PLUGMAP_SRC_IOMMU_TYPE1_TYPE1_INFO_H
#define PLUGMAP_SRC_IOMMU_TYPE1_TYPE1_INFO_H

#include <plugmap/iommu.h>

/*
 * PmType1Info: zero-initialise before the first use.
 * @n_available: UINT64_MAX if the kernel does not report it.
 * @ranges: ascending, disjoint; NULL if the kernel does not report them.
 * @dirty_page_sizes, @max_dirty_bytes: of VFIO_IOMMU_DIRTY_PAGES: bit n for pages of 2^n bytes, and
 * the largest bitmap; 0 if the kernel does not have it.
 */
typedef struct {
    uint64_t page_sizes;
    uint64_t n_available;
    PmIovaRange *ranges;
    size_t n_ranges;
    uint64_t dirty_page_sizes;
    uint64_t max_dirty_bytes;
} PmType1Info;

/* Queries the kernel, with a buffer as large as it needs. Errors: PM_ERROR_KERNEL,
 * PM_ERROR_BAD_INPUT, PM_ERROR_MEMORY. */
bool pm_type1_info_query(PmKernel *kernel, int container, PmType1Info *info, GError **error);

/*
 * Parses an answer of @size bytes. Skips unknown capabilities, and rejects a chain that leaves the
 * answer, is misaligned or loops. Errors: PM_ERROR_BAD_INPUT, PM_ERROR_MEMORY; @info is empty then.
 */
bool pm_type1_info_parse(const void *answer, size_t size, PmType1Info *info, GError **error);

void pm_type1_info_clear(PmType1Info *info);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmType1Info, pm_type1_info_clear)

#endif
