/* SPDX-License-Identifier: MIT */
/* What an iommufd and the devices of an IOMMU group have together: all are bound to the same one,
 * and those that are attached share a page table. Linux: struct iommufd_group of
 * drivers/iommu/iommufd/device.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_GROUP_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_GROUP_H

#include "fake/iommufd/hwpt.h"

typedef struct {
    PmFakeIommufd *owner; /* NULL: no device is bound */
    unsigned n_bound;
    PmHwpt *hwpt;        /* NULL: no device is attached */
    GPtrArray *attached; /* devices, by what they reserve addresses as */
} PmIommufdGroup;

void pm_iommufd_group_init(PmIommufdGroup *group);
void pm_iommufd_group_clear(PmIommufdGroup *group);

/* One more device is bound. Returns 0, or -EPERM: to another iommufd. */
int pm_iommufd_group_bind(PmIommufdGroup *group, PmFakeIommufd *iommufd);
void pm_iommufd_group_unbind(PmIommufdGroup *group);

/* A device that is not attached is from now on. Returns 0, -EINVAL (the group has another page
 * table) or -EADDRINUSE. */
int pm_iommufd_group_join(PmIommufdGroup *group, PmHwpt *hwpt, void *device);
/* It is no more; the page table, which may be of no use then, is the caller's to put. */
PmHwpt *pm_iommufd_group_leave(PmIommufdGroup *group, void *device);
/* Takes all attached devices to another page table. Returns 0 or -EADDRINUSE. */
int pm_iommufd_group_replace(PmIommufdGroup *group, PmHwpt *hwpt);

#endif
