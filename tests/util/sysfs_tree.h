/* SPDX-License-Identifier: MIT */
/* A kernel with a sysfs that a test creates in a temporary directory, for cases that the fake
 * kernel's sysfs does not have. */
#ifndef PLUGMAP_TESTS_UTIL_SYSFS_TREE_H
#define PLUGMAP_TESTS_UTIL_SYSFS_TREE_H

#include <plugmap/kernel.h>

/* Returns a new reference; the last one removes the directory. Forwards everything but sysfs to
 * @next, which must outlive it; NULL: other calls fail. */
PmKernel *sysfs_tree_new(PmKernel *next);

/* A PCI device. @group: IOMMU group, or negative for none. @driver: NULL for none. */
void sysfs_tree_add(PmKernel *tree, const char *address, int group, const char *driver);

/* Lists a device as VFIO's vfio@number. @has_cdev: with /dev/vfio/devices/vfio@number. */
void sysfs_tree_add_vfio(PmKernel *tree, const char *address, int number, bool has_cdev);

/* Adds a link to @target to a device's directory. */
void sysfs_tree_add_link(PmKernel *tree, const char *address, const char *name, const char *target);

#endif
