/* SPDX-License-Identifier: MIT */
#include "iommu/range_check.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "iommu/iommu_error.h"

bool pm_iommu_check_aligned(const PmIommu *iommu, const char *what, uint64_t value, GError **error)
{
    uint64_t page_size = pm_iommu_page_size(iommu);
    g_autofree char *page_text = NULL;

    if (value % page_size == 0)
        return true;
    page_text = pm_size_format(page_size);
    return pm_fail(error, PM_ERROR_UNALIGNED,
                   "invalid %s 0x%" PRIx64 ": must be a multiple of the IOMMU's page size, %s",
                   what, value, page_text);
}

bool pm_iommu_check_size(const PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    if (size == 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "the range at I/O address 0x%" PRIx64 " is empty", iova);
    return pm_iommu_check_aligned(iommu, "I/O address", iova, error) &&
           pm_iommu_check_aligned(iommu, "size", size, error);
}

bool pm_iommu_check_blocks(const PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t block_size,
                           GError **error)
{
    if (!pm_iommu_check_size(iommu, iova, size, error) ||
        !pm_iommu_check_aligned(iommu, "block size", block_size, error))
        return false;
    if (block_size == 0 || size % block_size != 0)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "0x%" PRIx64 " bytes are not whole blocks of 0x%" PRIx64 " bytes", size,
                       block_size);
    if (size - 1 <= UINT64_MAX - iova &&
        pm_iommu_geometry_has(pm_iommu_geometry(iommu), iova, iova + (size - 1)))
        return true;
    return pm_iommu_fail_range(iommu, iova, size, block_size, error);
}

bool pm_iommu_check_range(const PmIommu *iommu, uint64_t iova, uint64_t size, GError **error)
{
    return pm_iommu_check_blocks(iommu, iova, size, pm_iommu_page_size(iommu), error);
}
