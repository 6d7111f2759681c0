/* SPDX-License-Identifier: MIT */
/* An IOMMU group: the devices that the IOMMU cannot tell apart, which go to one owner together. */
#ifndef PLUGMAP_SRC_VFIO_GROUP_H
#define PLUGMAP_SRC_VFIO_GROUP_H

#include <plugmap/kernel.h>

/* Opens /dev/vfio/@group. Returns the descriptor, or -1 with an error: those of
 * pm_vfio_open_node(). */
int pm_vfio_group_open(PmKernel *kernel, unsigned group, const char *sysfs_root, GError **error);

/* PM_ERROR_NOT_VIABLE: which device of the group has a host driver, and how to change that. Returns
 * false. */
bool pm_vfio_fail_not_viable(GError **error, unsigned group, const char *sysfs_root);

/* Puts the open group @fd, which is number @group, into a container, if all of its devices can go.
 * Errors: PM_ERROR_NOT_VIABLE, PM_ERROR_BUSY, PM_ERROR_IOVA_RANGE (something is mapped where they
 * have no addresses), PM_ERROR_KERNEL. */
bool pm_vfio_group_set_container(PmKernel *kernel, int fd, unsigned group, const char *sysfs_root,
                                 int container, GError **error);

#endif
