/* SPDX-License-Identifier: MIT */
#include "iommu/address_space.h"

#include "kernel/kernel_calls.h"

bool pm_iommu_is_inherited(const PmIommu *iommu)
{
    return pm_kernel_is_inherited(iommu->kernel);
}

void pm_iommu_lock(PmIommu *iommu)
{
    if (!pm_iommu_is_inherited(iommu))
        pthread_mutex_lock(&iommu->lock);
}

void pm_iommu_unlock(PmIommu *iommu)
{
    if (!pm_iommu_is_inherited(iommu))
        pthread_mutex_unlock(&iommu->lock);
}

void pm_iommu_lock_devices(PmIommu *iommu)
{
    if (!pm_iommu_is_inherited(iommu))
        pthread_mutex_lock(&iommu->devices_lock);
}

void pm_iommu_unlock_devices(PmIommu *iommu)
{
    if (!pm_iommu_is_inherited(iommu))
        pthread_mutex_unlock(&iommu->devices_lock);
}

void pm_iommu_lock_all(PmIommu *iommu)
{
    pm_iommu_lock(iommu);
    pm_iommu_lock_devices(iommu);
}

void pm_iommu_unlock_all(PmIommu *iommu)
{
    pm_iommu_unlock_devices(iommu);
    pm_iommu_unlock(iommu);
}

void pm_iommu_set_geometry(PmIommu *iommu, uint64_t page_sizes, PmIovaRange *ranges,
                           size_t n_ranges)
{
    PmIommuGeometry *geometry = g_new0(PmIommuGeometry, 1);

    geometry->older = iommu->geometry;
    geometry->page_sizes = page_sizes;
    geometry->ranges = ranges;
    geometry->n_ranges = n_ranges;
    g_atomic_pointer_set(&iommu->geometry, geometry);
}

const PmIommuGeometry *pm_iommu_geometry(const PmIommu *iommu)
{
    return g_atomic_pointer_get(&((PmIommu *)iommu)->geometry);
}

bool pm_iommu_geometry_has(const PmIommuGeometry *geometry, uint64_t iova, uint64_t last)
{
    for (size_t i = 0; i < geometry->n_ranges; i++) {
        if (geometry->ranges[i].start <= iova && last <= geometry->ranges[i].last)
            return true;
    }
    return false;
}

uint64_t pm_iommu_page_size(const PmIommu *iommu)
{
    uint64_t page_sizes = pm_iommu_geometry(iommu)->page_sizes;

    return page_sizes & -page_sizes;
}

void pm_iommu_set_dirty_kind(PmIommu *iommu, PmIommuDirtyKind kind)
{
    g_atomic_int_set(&iommu->dirty_kind, (int)kind);
}

static void free_geometries(PmIommuGeometry *geometry)
{
    while (geometry != NULL) {
        PmIommuGeometry *older = geometry->older;

        g_free(geometry->ranges);
        g_free(geometry);
        geometry = older;
    }
}

void pm_iommu_drop_holder(PmIommu *iommu)
{
    if (!g_atomic_ref_count_dec(&iommu->holders))
        return;
    pm_kernel_unref(iommu->kernel);
    pm_range_map_free(iommu->claims);
    pthread_mutex_destroy(&iommu->devices_lock);
    pthread_mutex_destroy(&iommu->lock);
    free_geometries(iommu->geometry);
    g_free(iommu);
}
