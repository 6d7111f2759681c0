/* SPDX-License-Identifier: MIT */
/* A device that is bound to an iommufd, and attached to a page table of it or not. Linux:
 * drivers/iommu/iommufd/device.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_DEVICE_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_DEVICE_H

#include "fake/iommufd/iommufd_group.h"

typedef struct {
    PmObject object;
    PmFakeIommufd *iommufd; /* which it keeps */
    PmIommufdGroup *group;
    bool is_attached;
} PmIommufdDevice;

/* Binds a device of the group. Returns 0 with @device set, or -EPERM: somebody else owns DMA of the
 * group. */
int pm_iommufd_device_bind(PmIommufdGroup *group, PmFakeIommufd *iommufd, PmIommufdDevice **device);
/* Detaches it, too. */
void pm_iommufd_device_unbind(PmIommufdDevice *device);

/* Attaches it to an IOAS or a page table instead of what it is attached to. @pt_id becomes the page
 * table's. Returns 0, -ENOENT, -EINVAL or what pm_ioas_add_table() returns. */
int pm_iommufd_device_attach(PmIommufdDevice *device, uint32_t *pt_id);
/* Nothing to do if it is not attached. */
void pm_iommufd_device_detach(PmIommufdDevice *device);

#endif
