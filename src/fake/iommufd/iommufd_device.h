/* SPDX-License-Identifier: MIT */
/* A device bound to an iommufd, and perhaps attached to one of its page tables. Linux:
 * drivers/iommu/iommufd/device.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_DEVICE_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_DEVICE_H

#include "fake/iommufd/iommufd_group.h"

typedef struct {
    PmObject object;
    PmFakeIommufd *iommufd; /* a reference */
    PmIommufdGroup *group;
    bool is_attached;
} PmIommufdDevice;

/* Binds a device of the group. Returns 0 with @device set, or -EPERM (the group's DMA has
 * another owner). */
int pm_iommufd_device_bind(PmIommufdGroup *group, PmFakeIommufd *iommufd, PmIommufdDevice **device);
/* Detaches it if needed. */
void pm_iommufd_device_unbind(PmIommufdDevice *device);

/* Attaches it to an IOAS or a page table, replacing the current one. Sets @pt_id to the page
 * table's. Returns 0, -ENOENT, -EINVAL or what pm_ioas_add_table() returns. */
int pm_iommufd_device_attach(PmIommufdDevice *device, uint32_t *pt_id);
/* Does nothing if it is not attached. */
void pm_iommufd_device_detach(PmIommufdDevice *device);

#endif
