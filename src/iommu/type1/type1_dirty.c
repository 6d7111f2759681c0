/* SPDX-License-Identifier: MIT */
/* Dirty bits of type1. With a vfio-pci device, the kernel reports every page that it has pinned. */
#include "iommu/type1/type1.h"

#include <string.h>

#include "base/error_text.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"
#include "vfio/device_node.h"

static uint64_t n_bytes_of(uint64_t n_bits)
{
    return ((n_bits - 1) / 64 + 1) * sizeof(uint64_t);
}

static int dirty_pages(PmIommu *iommu, void *argument)
{
    const PmType1 *type1 = (const PmType1 *)iommu;

    int result = pm_kernel_ioctl(iommu->kernel, type1->container, VFIO_IOMMU_DIRTY_PAGES, argument);

    return MIN(result, 0);
}

bool pm_type1_set_dirty_tracking(PmIommu *iommu, bool enabled, GError **error)
{
    struct vfio_iommu_type1_dirty_bitmap request = {
        .argsz = sizeof request,
        .flags = enabled ? VFIO_IOMMU_DIRTY_PAGES_FLAG_START : VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
    };
    int result;

    if (pm_iommu_get_dirty_kind(iommu) == PM_IOMMU_DIRTY_NONE)
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "this kernel's type1 (before Linux 5.8) does not report dirty pages: treat "
                       "every mapped page as dirty");
    if (iommu->tracks_dirty == enabled)
        return true;
    result = dirty_pages(iommu, &request);
    iommu->tracks_dirty = enabled && result == 0;
    if (result == 0)
        return true;
    return pm_fail_ioctl(error, -result,
                         enabled ? "treat every mapped page as dirty, and " PM_SEE_KERNEL_LOG
                                 : "the kernel keeps its bitmaps, to no effect; " PM_SEE_KERNEL_LOG,
                         "%s dirty tracking in the container", enabled ? "starting" : "stopping");
}

int pm_type1_read_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                        uint64_t *bitmap)
{
    struct vfio_iommu_type1_dirty_bitmap_get get = {
        .iova = iova,
        .size = size,
        .bitmap = {.pgsize = page_size, .size = n_bytes_of(size / page_size)},
    };
    union {
        struct vfio_iommu_type1_dirty_bitmap header; /* ends with get */
        char bytes[sizeof(struct vfio_iommu_type1_dirty_bitmap) + sizeof(get)];
    } request = {
        .header = {.argsz = sizeof request, .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP},
    };

    get.bitmap.data = bitmap;
    memcpy(request.bytes + sizeof request.header, &get, sizeof get);
    return dirty_pages(iommu, &request);
}

int pm_type1_unmap_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                         uint64_t *bitmap, uint64_t *n_bytes)
{
    const PmType1 *type1 = (const PmType1 *)iommu;
    struct vfio_bitmap found = {.pgsize = page_size, .size = n_bytes_of(size / page_size)};
    union {
        struct vfio_iommu_type1_dma_unmap unmap; /* ends with found */
        char bytes[sizeof(struct vfio_iommu_type1_dma_unmap) + sizeof(found)];
    } request = {
        .unmap = {.argsz = sizeof request,
                  .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
                  .iova = iova,
                  .size = size},
    };
    int result;

    found.data = bitmap;
    memcpy(request.bytes + sizeof request.unmap, &found, sizeof found);
    result = pm_kernel_ioctl(iommu->kernel, type1->container, VFIO_IOMMU_UNMAP_DMA, &request);
    *n_bytes = request.unmap.size;
    return MIN(result, 0);
}
