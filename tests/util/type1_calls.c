/* SPDX-License-Identifier: MIT */
#include "util/type1_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel-uapi/vfio.h"

int type1_map(PmKernel *kernel, int container, uint32_t flags, uint64_t iova, const void *host,
              uint64_t size)
{
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof(map),
        .flags = flags,
        .vaddr = (uintptr_t)host,
        .iova = iova,
        .size = size,
    };

    return kernel->ops->ioctl(kernel, container, VFIO_IOMMU_MAP_DMA, &map);
}

int type1_unmap(PmKernel *kernel, int container, uint32_t flags, uint64_t iova, uint64_t size,
                uint64_t *n_bytes)
{
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof(unmap),
        .flags = flags,
        .iova = iova,
        .size = size,
    };
    int result = kernel->ops->ioctl(kernel, container, VFIO_IOMMU_UNMAP_DMA, &unmap);

    if (n_bytes != NULL)
        *n_bytes = unmap.size;
    return result;
}

uint32_t type1_available(PmKernel *kernel, int container)
{
    union {
        struct vfio_iommu_type1_info info;
        uint8_t bytes[256];
    } response = {.info = {.argsz = sizeof(response)}};

    assert_int_equal(kernel->ops->ioctl(kernel, container, VFIO_IOMMU_GET_INFO, &response), 0);
    for (uint32_t offset = response.info.cap_offset; offset != 0;) {
        struct vfio_iommu_type1_info_dma_avail available;

        memcpy(&available, response.bytes + offset, sizeof(available));
        if (available.header.id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)
            return available.avail;
        offset = available.header.next;
    }
    fail_msg("no capability dma_avail");
    return 0;
}
