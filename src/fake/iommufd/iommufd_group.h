/* SPDX-License-Identifier: MIT */
/* State shared by the devices of an IOMMU group in iommufd: all are bound to the same iommufd,
 * and those attached share a page table. Linux: struct iommufd_group of
 * drivers/iommu/iommufd/device.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_GROUP_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_GROUP_H

#include "fake/iommufd/hwpt.h"

typedef struct {
    PmFakeIommufd *owner; /* NULL: no device is bound */
    unsigned n_bound;
    PmHwpt *hwpt;        /* NULL: no device is attached */
    GPtrArray *attached; /* devices, as owners of reserved addresses */
} PmIommufdGroup;

void pm_iommufd_group_init(PmIommufdGroup *group);
void pm_iommufd_group_clear(PmIommufdGroup *group);

/* Binds one more device. Returns 0, or -EPERM (the group is bound to another iommufd). */
int pm_iommufd_group_bind(PmIommufdGroup *group, PmFakeIommufd *iommufd);
void pm_iommufd_group_unbind(PmIommufdGroup *group);

/* Attaches a device that is not attached. Returns 0, -EINVAL (the group has another page table)
 * or -EADDRINUSE. */
int pm_iommufd_group_join(PmIommufdGroup *group, PmHwpt *hwpt, void *device);
/* Detaches the device. The caller puts the returned page table. */
PmHwpt *pm_iommufd_group_leave(PmIommufdGroup *group, void *device);
/* Moves all attached devices to another page table. Returns 0 or -EADDRINUSE. */
int pm_iommufd_group_replace(PmIommufdGroup *group, PmHwpt *hwpt);

#endif
