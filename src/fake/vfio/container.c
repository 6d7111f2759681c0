/* SPDX-License-Identifier: MIT */
#include "fake/vfio/container.h"

#include <errno.h>

#include "fake/type1/type1.h"
#include "kernel-uapi/vfio.h"

#define NESTING_IOMMU 6 /* type1 reports it, but no driver supports it */

static void free_if_unused(PmContainer *container)
{
    if (container->is_open || container->n_groups > 0)
        return;
    g_free(container);
}

static void release_container(void *object)
{
    PmContainer *container = object;

    container->is_open = false;
    free_if_unused(container);
}

static int check_extension(const PmContainer *container, uintptr_t extension)
{
    switch (extension) {
    case VFIO_TYPE1_IOMMU:
    case VFIO_TYPE1v2_IOMMU:
    case NESTING_IOMMU:
    case VFIO_UNMAP_ALL:
        return 1;
    case VFIO_UPDATE_VADDR:
        return container->iommu != NULL;
    default:
        return 0;
    }
}

static int set_iommu(PmContainer *container, uintptr_t type)
{
    if (container->n_groups == 0 || container->iommu != NULL)
        return -EINVAL;
    switch (type) {
    case VFIO_TYPE1_IOMMU:
    case VFIO_TYPE1v2_IOMMU:
        container->iommu = pm_fake_type1_new(container->memory, type == VFIO_TYPE1v2_IOMMU);
        return 0;
    case NESTING_IOMMU:
    case VFIO_UNMAP_ALL:
        /* Extensions, not IOMMU types: the driver reports them but fails to open. */
        return -EINVAL;
    default:
        return -ENODEV;
    }
}

static int container_ioctl(void *object, unsigned long request, void *argument)
{
    PmContainer *container = object;

    switch (request) {
    case VFIO_GET_API_VERSION:
        return VFIO_API_VERSION;
    case VFIO_CHECK_EXTENSION:
        return check_extension(container, (uintptr_t)argument);
    case VFIO_SET_IOMMU:
        return set_iommu(container, (uintptr_t)argument);
    default:
        return container->iommu != NULL ? pm_fake_type1_ioctl(container->iommu, request, argument)
                                        : -EINVAL;
    }
}

const PmFileOps pm_container_file_ops = {
    .release = release_container,
    .ioctl = container_ioctl,
    .ioctl_kind = pm_fake_type1_ioctl_kind,
    .mmap_error = ENODEV,
};

int pm_container_open(PmFakeMemory *memory, int flags)
{
    PmContainer *container = g_new0(PmContainer, 1);
    int fd = pm_file_table_open(&memory->machine->files, &pm_container_file_ops, container, flags);

    container->memory = memory;
    container->is_open = fd >= 0;
    free_if_unused(container);
    return fd;
}

int pm_container_join(PmContainer *container)
{
    if (container->iommu != NULL && pm_fake_type1_has_invalid_addresses(container->iommu))
        return -EBUSY;
    container->n_groups++;
    return 0;
}

void pm_container_leave(PmContainer *container)
{
    if (--container->n_groups == 0)
        g_clear_pointer(&container->iommu, pm_fake_type1_free);
    free_if_unused(container);
}

PmPageTable *pm_container_page_table(const PmContainer *container)
{
    return container != NULL && container->iommu != NULL ? container->iommu->table : NULL;
}
