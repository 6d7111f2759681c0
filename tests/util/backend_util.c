/* SPDX-License-Identifier: MIT */

#include "util/backend_util.h"
#include <plugmap/fake.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"

bool backend_is_iommufd(void)
{
    return g_strcmp0(g_getenv("PLUGMAP_BACKEND"), "iommufd") == 0;
}

PmKernel *backend_fake_new(const PmFakeConfig *config, GError **error)
{
    PmFakeConfig used;

    pm_fake_config_init(&used);
    if (config != NULL)
        used = *config;
    used.iommufd = backend_is_iommufd();
    return pm_fake_kernel_new(&used, error);
}

PmIommu *backend_open(PmKernel *kernel, unsigned index, GError **error)
{
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = kernel, .has_group = true, .group = index + 1};
    g_autofree char *device = g_strdup_printf("0000:00:%02x.0", index + 4);
    g_autofree char *file = g_strdup_printf("/dev/vfio/devices/vfio%u", index);
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = kernel, .device = device, .device_file = file};

    return backend_is_iommufd() ? pm_iommu_iommufd_new(&iommufd, error)
                                : pm_iommu_type1_new(&type1, error);
}

PmIommu *backend_open_device(PmKernel *kernel, const char *device, GError **error)
{
    const PmType1Config type1 = {.struct_size = sizeof(type1), .kernel = kernel, .device = device};
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = kernel, .device = device};

    return backend_is_iommufd() ? pm_iommu_iommufd_new(&iommufd, error)
                                : pm_iommu_type1_new(&type1, error);
}

uint64_t backend_get_pinned(PmKernel *fake)
{
    return backend_is_iommufd() ? pm_fake_kernel_get_pinned(fake) : pm_fake_kernel_get_locked(fake);
}

unsigned long backend_map_request(void)
{
    return backend_is_iommufd() ? IOMMU_IOAS_MAP : VFIO_IOMMU_MAP_DMA;
}

unsigned long backend_unmap_request(void)
{
    return backend_is_iommufd() ? IOMMU_IOAS_UNMAP : VFIO_IOMMU_UNMAP_DMA;
}

bool backend_is_probe(unsigned long request, const void *argument)
{
    const struct iommu_ioas_map *iommufd = argument;
    const struct vfio_iommu_type1_dma_map *type1 = argument;

    if (request != backend_map_request())
        return false;
    return backend_is_iommufd() ? iommufd->user_va == 1 : type1->vaddr == -type1->size;
}

void backend_set_unmapped(void *argument, uint64_t n_bytes)
{
    struct iommu_ioas_unmap *iommufd = argument;
    struct vfio_iommu_type1_dma_unmap *type1 = argument;

    if (backend_is_iommufd())
        iommufd->length = n_bytes;
    else
        type1->size = n_bytes;
}

void backend_add_to_unmapped(void *argument, uint64_t n_bytes)
{
    struct iommu_ioas_unmap *iommufd = argument;
    struct vfio_iommu_type1_dma_unmap *type1 = argument;

    if (backend_is_iommufd())
        iommufd->length += n_bytes;
    else
        type1->size += n_bytes;
}
