/* SPDX-License-Identifier: MIT */
/* A made-up sysfs in a temporary folder, for tests that open devices by address. */
#ifndef PLUGMAP_TESTS_UTIL_SYSFS_TREE_H
#define PLUGMAP_TESTS_UTIL_SYSFS_TREE_H

/* A new folder; free with sysfs_tree_free(), which removes it. */
char *sysfs_tree_new(void);
void sysfs_tree_free(char *root);

/* A PCI device. @group: of the IOMMU, or negative for none. @driver: NULL for none. */
void sysfs_tree_add(const char *root, const char *address, int group, const char *driver);

/* Gives a device that is there a file of its own: /dev/vfio/devices/vfio@number. */
void sysfs_tree_add_file(const char *root, const char *address, int number);

#endif
