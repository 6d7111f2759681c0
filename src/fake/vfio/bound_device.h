/* SPDX-License-Identifier: MIT */
/* A device that belongs to an iommufd, and is attached to a page table of it or not. Linux:
 * drivers/iommu/iommufd/device.c, drivers/vfio/iommufd.c. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_BOUND_DEVICE_H
#define PLUGMAP_SRC_FAKE_VFIO_BOUND_DEVICE_H

#include "fake/iommufd/iommufd.h"
#include "fake/pci/pci_device.h"

typedef struct PmBoundDevice {
    PmObject object;
    PmFakeIommufd *iommufd; /* which it keeps */
    PmPciDevice *device;
    bool attached;
} PmBoundDevice;

/* Returns 0, or -EPERM: somebody else owns DMA of the group. */
int pm_bound_device_bind(PmPciDevice *device, PmFakeIommufd *iommufd);
/* The same, and attaches it to the IOAS of the type1 interface. -ENODEV (there is none), and the
 * errors of attaching. */
int pm_bound_device_bind_compat(PmPciDevice *device, PmFakeIommufd *iommufd);
/* Detaches it, too. */
void pm_bound_device_unbind(PmBoundDevice *bound);

/* Attaches it to an IOAS or a page table instead of what it is attached to. @pt_id becomes the page
 * table's. Returns 0, -ENOENT, -EINVAL or what pm_ioas_add_table() returns. */
int pm_bound_device_attach(PmBoundDevice *bound, uint32_t *pt_id);
/* Nothing to do if it is not attached. */
void pm_bound_device_detach(PmBoundDevice *bound);

#endif
