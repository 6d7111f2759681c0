/* SPDX-License-Identifier: MIT */
#include "fake/vfio/group.h"

#include <errno.h>

PmGroup *pm_group_new(PmFakeMemory *memory, unsigned number)
{
    PmGroup *group = g_new0(PmGroup, 1);

    group->memory = memory;
    group->number = number;
    group->devices = g_ptr_array_new_with_free_func(pm_fake_vfio_device_free);
    pm_iommufd_group_init(&group->iommufd_group);
    return group;
}

void pm_group_free(void *data)
{
    PmGroup *group = data;

    g_ptr_array_unref(group->devices);
    pm_iommufd_group_clear(&group->iommufd_group);
    g_free(group);
}

PmPageTable *pm_group_page_table(const PmGroup *group)
{
    return group->iommufd_group.hwpt != NULL ? group->iommufd_group.hwpt->table
                                             : pm_container_page_table(group->container);
}

static PmPageTable *page_table_of(void *group)
{
    return pm_group_page_table(group);
}

PmFakeVfioDevice *pm_group_add_device(PmGroup *group, const char *address, const char *driver,
                                      unsigned number)
{
    PmPciDevice *pci = pm_pci_device_new(group->memory, address, driver, page_table_of, group);
    PmFakeVfioDevice *device = pm_fake_vfio_device_new(group, pci, number);

    g_ptr_array_add(group->devices, device);
    return device;
}

bool pm_group_in_use(const PmGroup *group)
{
    return group->is_open || group->n_device_files > 0 || group->n_bound_files > 0;
}

bool pm_group_is_held(const PmGroup *group)
{
    return group->is_open || group->container != NULL;
}

bool pm_group_is_viable(const PmGroup *group)
{
    for (guint i = 0; i < group->devices->len; i++) {
        const PmFakeVfioDevice *device = g_ptr_array_index(group->devices, i);

        if (device->pci->driver != NULL && device->pci->edu == NULL)
            return false;
    }
    return true;
}

int pm_group_bind(PmFakeVfioDevice *device, PmFakeIommufd *iommufd)
{
    PmGroup *group = device->group;

    if (!pm_group_is_viable(group))
        return -EPERM;
    return pm_iommufd_device_bind(&group->iommufd_group, iommufd, &device->bound);
}
