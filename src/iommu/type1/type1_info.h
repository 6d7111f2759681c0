/* SPDX-License-Identifier: MIT */
/* What a type1 IOMMU says of itself: VFIO_IOMMU_GET_INFO and its chain of capabilities. */
#ifndef PLUGMAP_SRC_IOMMU_TYPE1_TYPE1_INFO_H
#define PLUGMAP_SRC_IOMMU_TYPE1_TYPE1_INFO_H

#include <plugmap/iommu.h>

/*
 * PmType1Info: zero-initialise before the first use.
 * @n_available: UINT64_MAX if the kernel does not say.
 * @ranges: ascending, apart; NULL if the kernel does not say.
 */
typedef struct {
    uint64_t page_sizes;
    uint64_t n_available;
    PmIovaRange *ranges;
    size_t n_ranges;
} PmType1Info;

/* Asks, with as much room as the kernel wants. Errors: PM_ERROR_KERNEL, PM_ERROR_BAD_INPUT,
 * PM_ERROR_MEMORY. */
bool pm_type1_info_query(PmKernel *kernel, int container, PmType1Info *info, GError **error);

/*
 * Reads an answer of @size bytes. Capabilities that are not known are skipped; a chain that leaves
 * the answer, is misaligned or goes round is refused. Errors: PM_ERROR_BAD_INPUT, PM_ERROR_MEMORY;
 * @info is empty then.
 */
bool pm_type1_info_parse(const void *answer, size_t size, PmType1Info *info, GError **error);

void pm_type1_info_clear(PmType1Info *info);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmType1Info, pm_type1_info_clear)

#endif
