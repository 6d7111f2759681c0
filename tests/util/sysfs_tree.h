/* SPDX-License-Identifier: MIT */
/* A kernel with a sysfs that a test makes up, in a temporary folder: for what the fake kernel's own
 * never looks like. */
#ifndef PLUGMAP_TESTS_UTIL_SYSFS_TREE_H
#define PLUGMAP_TESTS_UTIL_SYSFS_TREE_H

#include <plugmap/kernel.h>

/* A new reference; the last one removes the folder. All but sysfs is @next's, which lives as long;
 * NULL: there is nothing else. */
PmKernel *sysfs_tree_new(PmKernel *next);

/* A PCI device. @group: of the IOMMU, or negative for none. @driver: NULL for none. */
void sysfs_tree_add(PmKernel *tree, const char *address, int group, const char *driver);

/* Gives a device that is there a file of its own: /dev/vfio/devices/vfio@number. */
void sysfs_tree_add_file(PmKernel *tree, const char *address, int number);

/* Puts a link to @target into a device's folder. */
void sysfs_tree_add_link(PmKernel *tree, const char *address, const char *name, const char *target);

#endif
