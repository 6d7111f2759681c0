/* SPDX-License-Identifier: MIT */
#include "fake/type1/type1.h"

#include <errno.h>

#include "fake/type1/type1_dirty.h"
#include "fake/type1/type1_info.h"
#include "fake/type1/type1_map.h"
#include "fake/type1/type1_unmap.h"
#include "kernel-uapi/vfio.h"

int pm_fake_type1_ioctl(PmFakeType1 *type1, unsigned long request, void *argument)
{
    switch (request) {
    case VFIO_IOMMU_GET_INFO:
        return pm_fake_type1_get_info(type1, argument);
    case VFIO_IOMMU_MAP_DMA:
        return pm_fake_type1_map(type1, argument);
    case VFIO_IOMMU_UNMAP_DMA:
        return pm_fake_type1_unmap(type1, argument);
    case VFIO_IOMMU_DIRTY_PAGES:
        return pm_fake_type1_dirty_pages(type1, argument);
    default:
        return -ENOTTY;
    }
}

PmFakeCall pm_fake_type1_ioctl_kind(unsigned long request)
{
    switch (request) {
    case VFIO_IOMMU_MAP_DMA:
        return PM_FAKE_CALL_MAP;
    case VFIO_IOMMU_UNMAP_DMA:
        return PM_FAKE_CALL_UNMAP;
    default:
        return PM_FAKE_CALL_IOCTL;
    }
}
