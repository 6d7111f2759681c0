/* SPDX-License-Identifier: MIT */
#include "fake/vfio/vfio_device.h"

PmFakeVfioDevice *pm_fake_vfio_device_new(struct PmGroup *group, PmPciDevice *pci, unsigned number)
{
    PmFakeVfioDevice *device = g_new0(PmFakeVfioDevice, 1);

    device->group = group;
    device->pci = pci;
    device->number = number;
    return device;
}

void pm_fake_vfio_device_free(void *data)
{
    PmFakeVfioDevice *device = data;

    pm_pci_device_free(device->pci);
    g_free(device);
}

void pm_fake_vfio_device_unbind(PmFakeVfioDevice *device)
{
    pm_iommufd_device_unbind(device->bound);
    device->bound = NULL;
}
