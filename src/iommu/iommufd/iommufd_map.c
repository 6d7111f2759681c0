/* SPDX-License-Identifier: MIT */
/* Mapping and unmapping with iommufd, and what the errors mean. */
#include "iommu/iommufd/iommufd.h"

#include <errno.h>

#include "base/error_text.h"
#include "iommu/iommu_error.h"
#include "kernel-uapi/iommufd.h"
#include "kernel/kernel_calls.h"

const PmIommuCause pm_iommufd_map_causes[] = {
    {EEXIST, PM_ERROR_OVERLAP,
     "the IOAS has an area there that this object did not map: find who else has the iommufd's "
     "descriptor"},
    {EFAULT, PM_ERROR_BAD_ADDRESS, PM_IOMMU_CAUSE_BAD_ADDRESS},
    {EINVAL, PM_ERROR_KERNEL,
     "the address is no longer valid: attaching another device reserved I/O addresses (for "
     "interrupts, or by the firmware)"},
    {ENOSPC, PM_ERROR_LIMIT, "the page table is full"},
    {EPERM, PM_ERROR_PERMISSION, "the memory or its file is read-only"},
    {EBADF, PM_ERROR_INVALID_ARGUMENT, "the backing file is not open"},
    {ENOENT, PM_ERROR_NOT_FOUND, "the IOAS was destroyed: open it again"},
    {ENODEV, PM_ERROR_NOT_FOUND, PM_IOMMU_CAUSE_GONE},
    {ECHILD, PM_ERROR_PERMISSION, PM_KERNEL_CAUSE_INHERITED},
    {EINTR, PM_ERROR_KERNEL, PM_IOMMU_CAUSE_SIGNAL},
    {0, PM_ERROR_KERNEL, PM_SEE_KERNEL_LOG},
};

const PmIommuCause pm_iommufd_unmap_causes[] = {
    {ENOENT, PM_ERROR_UNMAP_MISMATCH,
     "the IOAS has no area there, or one that the range cuts; areas before it may be removed: "
     "purge the claim"},
    {EFAULT, PM_ERROR_KERNEL, PM_IOMMU_CAUSE_BAD_REQUEST},
    {ENOMEM, PM_ERROR_MEMORY, PM_IOMMU_CAUSE_NO_MEMORY},
    {EBUSY, PM_ERROR_BUSY,
     "somebody else with the iommufd's descriptor is mapping or unmapping there: try again"},
    {EDEADLOCK, PM_ERROR_BUSY, "a device's driver keeps using the memory: stop it and try again"},
    {ENODEV, PM_ERROR_NOT_FOUND, PM_IOMMU_CAUSE_GONE},
    {ECHILD, PM_ERROR_PERMISSION, PM_KERNEL_CAUSE_INHERITED},
    {EINTR, PM_ERROR_KERNEL, PM_IOMMU_CAUSE_SIGNAL},
    {0, PM_ERROR_KERNEL, PM_SEE_KERNEL_LOG},
};

/* Checks mapping by mapping. */
const int pm_iommufd_unmap_stops_halfway[] = {EBUSY, EDEADLOCK, 0};

/* Kernels before 6.13 do not know the request; all others reject this one. A kernel without memory
 * shows neither; mapping by address then works on both. */
bool pm_iommufd_can_map_files(const PmIommufd *iommufd)
{
    struct iommu_ioas_map_file nowhere = {.size = sizeof nowhere, .fd = -1};
    int result = pm_iommufd_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &nowhere);

    return result != -ENOTTY && result != -ENOMEM;
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

static int map_by_address(const PmIommufd *iommufd, const PmIommuRequest *request, uint64_t block)
{
    struct iommu_ioas_map map = {
        .size = sizeof map,
        .flags = map_flags(request),
        .ioas_id = iommufd->ioas,
        .user_va = request->host + block * request->block_size,
        .length = request->block_size,
        .iova = request->iova + block * request->block_size,
    };

    return pm_iommufd_ioctl(iommufd, IOMMU_IOAS_MAP, &map);
}

static int map_by_file(const PmIommufd *iommufd, const PmIommuRequest *request, uint64_t block)
{
    struct iommu_ioas_map_file map = {
        .size = sizeof map,
        .flags = map_flags(request),
        .ioas_id = iommufd->ioas,
        .fd = request->fd,
        .start = request->file_offset + block * request->block_size,
        .length = request->block_size,
        .iova = request->iova + block * request->block_size,
    };

    return pm_iommufd_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &map);
}

bool pm_iommufd_maps_by_file(const PmIommu *iommu, const PmIommuRequest *request)
{
    return request->fd >= 0 && ((const PmIommufd *)iommu)->maps_files;
}

/* Errors for files that the kernel can still map by address: neither memfd nor hugetlbfs (EINVAL,
 * EBADF), sealed (EPERM), or hugetlb pages that it miscounts (ENOMEM). */
static bool may_be_the_files(int result)
{
    return result == -EINVAL || result == -EBADF || result == -EPERM || result == -EOPNOTSUPP ||
           result == -ENOMEM;
}

/* Block by block, so that one block that fails by file does not keep the others from it. */
int pm_iommufd_map(PmIommu *iommu, const PmIommuRequest *request, uint64_t *n_mapped)
{
    const PmIommufd *iommufd = (const PmIommufd *)iommu;
    bool by_file = pm_iommufd_maps_by_file(iommu, request);
    int result = 0;

    for (*n_mapped = 0; *n_mapped < request->n_blocks && result == 0; *n_mapped += result == 0) {
        if (by_file)
            result = map_by_file(iommufd, request, *n_mapped);
        if (!by_file || may_be_the_files(result))
            result = map_by_address(iommufd, request, *n_mapped);
    }
    return result;
}

/* On ENOENT the kernel may have removed areas before the one that stopped it, and does not report
 * how many. */
int pm_iommufd_unmap(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    const PmIommufd *iommufd = (const PmIommufd *)iommu;
    struct iommu_ioas_unmap unmap = {
        .size = sizeof unmap, .ioas_id = iommufd->ioas, .iova = iova, .length = size};
    int result = pm_iommufd_ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap);

    *n_bytes = unmap.length;
    return MIN(result, 0);
}

/* The kernel checks for other areas in the range (EEXIST) before it checks the alignment of the
 * host address (EINVAL). If it maps the range nevertheless, unmap it. */
PmIommuPresence pm_iommufd_probe(PmIommu *iommu, uint64_t iova, uint64_t size)
{
    const PmIommufd *iommufd = (const PmIommufd *)iommu;
    struct iommu_ioas_map map = {
        .size = sizeof map,
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        .ioas_id = iommufd->ioas,
        .user_va = 1,
        .length = size,
        .iova = iova,
    };
    uint64_t n_bytes;

    /* Near 2^64 bytes EINVAL is about the length. */
    if (size > INT64_MAX)
        return PM_IOMMU_UNSURE;
    switch (pm_iommufd_ioctl(iommufd, IOMMU_IOAS_MAP, &map)) {
    case -EEXIST:
        return PM_IOMMU_PRESENT;
    case -EINVAL:
        return PM_IOMMU_ABSENT;
    case 0:
        (void)pm_iommufd_unmap(iommu, iova, size, &n_bytes);
        return PM_IOMMU_UNSURE;
    default:
        return PM_IOMMU_UNSURE;
    }
}
