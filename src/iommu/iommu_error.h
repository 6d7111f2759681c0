/* SPDX-License-Identifier: MIT */
/* Error messages of PmIommu. Each function sets @error and returns false. */
#ifndef PLUGMAP_SRC_IOMMU_IOMMU_ERROR_H
#define PLUGMAP_SRC_IOMMU_IOMMU_ERROR_H

#include "iommu/claim_state.h"

#define PM_IOMMU_ENTRY_LIMIT "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"

/* Messages that both back ends use. */
#define PM_IOMMU_CAUSE_BAD_ADDRESS                                                                 \
    "the kernel cannot pin the host memory: check that all of it is mapped, readable for a "       \
    "device "                                                                                      \
    "that "                                                                                        \
    "reads and writable for one that writes, and within its backing file"
#define PM_IOMMU_CAUSE_BAD_REQUEST "the kernel could not read the request"
#define PM_IOMMU_CAUSE_GONE        "the device or its IOMMU is gone: open it again"
#define PM_IOMMU_CAUSE_NO_MEMORY   "the kernel is out of memory: free some and try again"
#define PM_IOMMU_CAUSE_SIGNAL      "interrupted by a signal: try again"

/* The kernel failed to map the block after the first @n_mapped. */
bool pm_iommu_fail_map(PmIommu *iommu, const PmIommuRequest *request, uint64_t n_mapped,
                       int error_number, GError **error);

/* @block_size: size of each mapping in the range. */
bool pm_iommu_fail_unmap(const PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t block_size,
                         int error_number, GError **error);

/* The range is not valid: lists the valid ones, and the nearest multiple of @alignment that fits.
 */
bool pm_iommu_fail_range(const PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t alignment,
                         GError **error);

/* @n_more mappings of the claim do not fit beside those in use and reserved. The lock is held. */
bool pm_iommu_fail_limit(const PmIommuClaim *claim, uint64_t n_more, GError **error);

/* @n_reserved: bytes that claims have reserved, in addition to those in use. */
bool pm_iommu_fail_locked(const PmLockedMemory *locked, uint64_t n_bytes, uint64_t n_reserved,
                          GError **error);

bool pm_iommu_fail_locked_query(int error_number, GError **error);

/* The valid ranges, for a message. Free with g_free(). */
char *pm_iommu_list_ranges(const PmIommu *iommu);

#endif
