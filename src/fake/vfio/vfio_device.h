/* SPDX-License-Identifier: MIT */
/* A PCI device as VFIO has it. Linux: struct vfio_device. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_VFIO_DEVICE_H
#define PLUGMAP_SRC_FAKE_VFIO_VFIO_DEVICE_H

#include "fake/iommufd/iommufd_device.h"
#include "fake/pci/pci_device.h"

struct PmGroup;

typedef struct {
    PmPciDevice *pci;
    struct PmGroup *group;
    unsigned number;        /* of its file, /dev/vfio/devices/vfioN */
    PmIommufdDevice *bound; /* to an iommufd; NULL: to none */
} PmFakeVfioDevice;

/* Takes @pci. @number: of one whose driver is vfio-pci. */
PmFakeVfioDevice *pm_fake_vfio_device_new(struct PmGroup *group, PmPciDevice *pci, unsigned number);
void pm_fake_vfio_device_free(void *data); /* a PmFakeVfioDevice; for GLib's containers */

void pm_fake_vfio_device_unbind(PmFakeVfioDevice *device);

#endif
