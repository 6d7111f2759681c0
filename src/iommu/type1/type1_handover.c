/* SPDX-License-Identifier: MIT */
/* Handing a container to another process: VFIO_DMA_UNMAP_FLAG_VADDR and VFIO_DMA_MAP_FLAG_VADDR
 * (vfio_iommu_type1.c, vfio_dma_do_unmap and vfio_dma_do_map). Mappings keep their pinned pages;
 * only the host address changes, and the process that is charged. */
#include <errno.h>

#include "base/error_text.h"
#include "iommu/type1/type1.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"

static int unmap_address(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof unmap,
        .flags = VFIO_DMA_UNMAP_FLAG_VADDR,
        .iova = iova,
        .size = size,
    };
    int result = pm_kernel_ioctl(iommu->kernel, ((const PmType1 *)iommu)->container,
                                 VFIO_IOMMU_UNMAP_DMA, &unmap);

    *n_bytes = unmap.size;
    return MIN(result, 0);
}

static int map_address(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t host)
{
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof map,
        .flags = VFIO_DMA_MAP_FLAG_VADDR,
        .vaddr = host,
        .iova = iova,
        .size = size,
    };
    int result = pm_kernel_ioctl(iommu->kernel, ((const PmType1 *)iommu)->container,
                                 VFIO_IOMMU_MAP_DMA, &map);

    return MIN(result, 0);
}

/* The kernel checks for mediated devices before it looks for mappings; there is none in the last
 * page, which it could not unmap. */
bool pm_type1_check_handover(PmIommu *iommu, GError **error)
{
    uint64_t page_size = pm_iommu_page_size(iommu);
    uint64_t n_bytes;
    int result = pm_kernel_ioctl(iommu->kernel, ((const PmType1 *)iommu)->container,
                                 VFIO_CHECK_EXTENSION, (void *)(uintptr_t)VFIO_UPDATE_VADDR);

    if (result < 0)
        return pm_fail_ioctl(error, -result, PM_SEE_KERNEL_LOG,
                             "asking the container whether host addresses can change");
    if (result == 0)
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "cannot hand over the container: its kernel cannot change host addresses "
                       "(VFIO_UPDATE_VADDR): type1 of Linux 5.12 or later is required");
    result = unmap_address(iommu, -page_size, page_size, &n_bytes);
    if (result == 0)
        return true;
    if (result != -EBUSY)
        return pm_fail_ioctl(error, -result, PM_SEE_KERNEL_LOG,
                             "checking whether the container can be handed over");
    (void)pm_fail(error, PM_ERROR_UNSUPPORTED,
                  "cannot hand over the container: EBUSY: it has a mediated device, whose driver "
                  "uses host addresses: detach that device first");
    return pm_note_errno(error, EBUSY);
}

int pm_type1_invalidate(PmIommu *iommu, const PmIommuRequest *run)
{
    uint64_t size = run->block_size * run->n_blocks;
    uint64_t n_bytes;
    int result = unmap_address(iommu, run->iova, size, &n_bytes);

    if (result < 0)
        return result;
    return n_bytes == size ? 0 : -ENOENT;
}

/* EINVAL: the address is still valid, or the mapping is not exactly this block. */
static int set_block(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t host)
{
    uint64_t n_bytes;
    int result = map_address(iommu, iova, size, host);

    if (result != -EINVAL)
        return result;
    result = unmap_address(iommu, iova, size, &n_bytes);
    if (result < 0)
        return result;
    return n_bytes == size ? map_address(iommu, iova, size, host) : -EINVAL;
}

int pm_type1_set_address(PmIommu *iommu, const PmIommuRequest *run)
{
    int result = 0;

    for (uint64_t i = 0; i < run->n_blocks && result == 0; i++)
        result = set_block(iommu, run->iova + i * run->block_size, run->block_size,
                           run->host + i * run->block_size);
    return result;
}

void pm_type1_describe(const PmIommu *iommu, PmIommuFiles *files)
{
    const PmType1 *type1 = (const PmType1 *)iommu;

    files->backend = PM_IOMMU_TYPE1;
    files->fd = type1->container;
    pm_vfio_group_set_describe(&type1->groups, files->files);
}

void pm_type1_forget(PmIommu *iommu)
{
    pm_vfio_group_set_forget(&((PmType1 *)iommu)->groups);
}
