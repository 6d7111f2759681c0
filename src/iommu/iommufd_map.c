/* SPDX-License-Identifier: MIT */
/* iommufd's calls that map and unmap, and what their errors mean. */
#include "iommu/iommufd.h"

#include <errno.h>

#include "base/error_text.h"
#include "iommu/iommu_error.h"
#include "iommu/kernel_calls.h"
#include "kernel-uapi/iommufd.h"

const PmIommuCause pm_iommufd_map_causes[] = {
    {EEXIST, PM_ERROR_OVERLAP,
     "the address space has an area there that was not made through this object: find who else has "
     "the iommufd's descriptor"},
    {EFAULT, PM_ERROR_BAD_ADDRESS, PM_IOMMU_CAUSE_BAD_ADDRESS},
    {EINVAL, PM_ERROR_KERNEL,
     "the kernel finds the request invalid, though it was right for the address space as it was: "
     "the valid I/O addresses are fewer now (another device has been attached, for which some are "
     "reserved for interrupts or by the firmware)"},
    {ENOSPC, PM_ERROR_LIMIT, "the kernel's page table has no room"},
    {EPERM, PM_ERROR_PERMISSION, "the memory may not be mapped for writing"},
    {EBADF, PM_ERROR_INVALID_ARGUMENT, "the file behind the memory is not open"},
    {ENOENT, PM_ERROR_NOT_FOUND, "the I/O address space is gone: open it again"},
    {ENODEV, PM_ERROR_NOT_FOUND, PM_IOMMU_CAUSE_GONE},
    {ECHILD, PM_ERROR_PERMISSION, PM_KERNEL_CAUSE_INHERITED},
    {EINTR, PM_ERROR_KERNEL, PM_IOMMU_CAUSE_SIGNAL},
    {0, PM_ERROR_KERNEL, PM_SEE_KERNEL_LOG},
};

const PmIommuCause pm_iommufd_unmap_causes[] = {
    {ENOENT, PM_ERROR_UNMAP_MISMATCH,
     "the kernel has no area there, or one that is only partly in the range, and may have removed "
     "those before it: what is mapped there is not known, purge it"},
    {EFAULT, PM_ERROR_KERNEL, PM_IOMMU_CAUSE_BAD_REQUEST},
    {ENOMEM, PM_ERROR_MEMORY, PM_IOMMU_CAUSE_NO_MEMORY},
    {EBUSY, PM_ERROR_BUSY,
     "somebody else who has the iommufd's descriptor is mapping or unmapping there: try again"},
    {EDEADLOCK, PM_ERROR_BUSY, "a device's driver goes on using the memory: stop it and try again"},
    {ENODEV, PM_ERROR_NOT_FOUND, PM_IOMMU_CAUSE_GONE},
    {ECHILD, PM_ERROR_PERMISSION, PM_KERNEL_CAUSE_INHERITED},
    {EINTR, PM_ERROR_KERNEL, PM_IOMMU_CAUSE_SIGNAL},
    {0, PM_ERROR_KERNEL, PM_SEE_KERNEL_LOG},
};

/* It goes from mapping to mapping. */
const int pm_iommufd_unmap_stops_halfway[] = {EBUSY, EDEADLOCK, 0};

/* Kernels before 6.13 do not know the request at all; this one is refused by all others. */
bool pm_iommufd_can_map_files(const PmIommufd *iommufd)
{
    struct iommu_ioas_map_file nowhere = {.size = sizeof nowhere, .fd = -1};

    return pm_iommufd_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &nowhere) != -ENOTTY;
}

static uint32_t map_flags(const PmIommuRequest *request)
{
    uint32_t flags = IOMMU_IOAS_MAP_FIXED_IOVA;

    if (request->access & PM_IOMMU_READ)
        flags |= IOMMU_IOAS_MAP_READABLE;
    if (request->access & PM_IOMMU_WRITE)
        flags |= IOMMU_IOAS_MAP_WRITEABLE;
    return flags;
}

static int map_by_address(const PmIommufd *iommufd, const PmIommuRequest *request,
                          uint64_t *n_mapped)
{
    struct iommu_ioas_map map = {
        .size = sizeof map,
        .flags = map_flags(request),
        .ioas_id = iommufd->ioas,
        .user_va = request->host + *n_mapped * request->block_size,
        .length = request->block_size,
        .iova = request->iova + *n_mapped * request->block_size,
    };

    for (; *n_mapped < request->n_blocks; ++*n_mapped) {
        int result = pm_iommufd_ioctl(iommufd, IOMMU_IOAS_MAP, &map);

        if (result < 0)
            return result;
        map.user_va += request->block_size;
        map.iova += request->block_size;
    }
    return 0;
}

static int map_by_file(const PmIommufd *iommufd, const PmIommuRequest *request, uint64_t *n_mapped)
{
    struct iommu_ioas_map_file map = {
        .size = sizeof map,
        .flags = map_flags(request),
        .ioas_id = iommufd->ioas,
        .fd = request->fd,
        .start = request->file_offset,
        .length = request->block_size,
        .iova = request->iova,
    };

    for (; *n_mapped < request->n_blocks; ++*n_mapped) {
        int result = pm_iommufd_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &map);

        if (result < 0)
            return result;
        map.start += request->block_size;
        map.iova += request->block_size;
    }
    return 0;
}

/* The kernel takes only memfds and files of hugetlbfs, which EINVAL for the first block says. */
int pm_iommufd_map(PmIommu *iommu, const PmIommuRequest *request, uint64_t *n_mapped)
{
    const PmIommufd *iommufd = (const PmIommufd *)iommu;
    int result;

    *n_mapped = 0;
    if (request->fd < 0 || !iommufd->maps_files)
        return map_by_address(iommufd, request, n_mapped);
    result = map_by_file(iommufd, request, n_mapped);
    if (result == -EINVAL && *n_mapped == 0)
        return map_by_address(iommufd, request, n_mapped);
    return result;
}

/* On ENOENT the kernel may have removed what lies before the place that stopped it, and does not
 * say how much. */
int pm_iommufd_unmap(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    const PmIommufd *iommufd = (const PmIommufd *)iommu;
    struct iommu_ioas_unmap unmap = {
        .size = sizeof unmap, .ioas_id = iommufd->ioas, .iova = iova, .length = size};
    int result = pm_iommufd_ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap);

    *n_bytes = unmap.length;
    return MIN(result, 0);
}

int pm_iommufd_unmap_all(PmIommu *iommu, uint64_t *n_bytes)
{
    return pm_iommufd_unmap(iommu, 0, UINT64_MAX, n_bytes);
}

/* By a copy of the page to where it is, which cannot be made if there is one: EEXIST. */
bool pm_iommufd_is_mapped(PmIommu *iommu, uint64_t iova)
{
    const PmIommufd *iommufd = (const PmIommufd *)iommu;
    struct iommu_ioas_copy copy = {
        .size = sizeof copy,
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        .dst_ioas_id = iommufd->ioas,
        .src_ioas_id = iommufd->ioas,
        .length = pm_iommu_page_size(iommu),
        .dst_iova = iova,
        .src_iova = iova,
    };

    return pm_iommufd_ioctl(iommufd, IOMMU_IOAS_COPY, &copy) != -ENOENT;
}
