/* SPDX-License-Identifier: MIT */
/* A PCI device as VFIO sees it. Linux: struct vfio_device. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_VFIO_DEVICE_H
#define PLUGMAP_SRC_FAKE_VFIO_VFIO_DEVICE_H

#include "fake/iommufd/iommufd_device.h"
#include "fake/pci/pci_device.h"

struct PmGroup;

typedef struct {
    PmPciDevice *pci;
    struct PmGroup *group;
    unsigned number;        /* N of /dev/vfio/devices/vfioN */
    PmIommufdDevice *bound; /* NULL: to no iommufd */
} PmFakeVfioDevice;

/* Owns @pci. @number: the device cdev's, if the driver is vfio-pci. */
PmFakeVfioDevice *pm_fake_vfio_device_new(struct PmGroup *group, PmPciDevice *pci, unsigned number);
void pm_fake_vfio_device_free(void *data); /* a PmFakeVfioDevice; a GDestroyNotify */

void pm_fake_vfio_device_unbind(PmFakeVfioDevice *device);

#endif
