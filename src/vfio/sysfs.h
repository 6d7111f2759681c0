/* SPDX-License-Identifier: MIT */
/* What sysfs has about PCI devices and IOMMU groups. */
#ifndef PLUGMAP_SRC_VFIO_SYSFS_H
#define PLUGMAP_SRC_VFIO_SYSFS_H

#include <stdbool.h>

#include <plugmap/kernel.h>

/*
 * The IOMMU group of a PCI device that is ready for VFIO. Errors: PM_ERROR_INVALID_ARGUMENT (not a
 * PCI address), PM_ERROR_NOT_FOUND (no such device; no IOMMU; no driver), PM_ERROR_BUSY (bound to
 * another driver), PM_ERROR_PERMISSION (a forked child), PM_ERROR_KERNEL. @group is set on success
 * only.
 */
bool pm_sysfs_find_group(PmKernel *kernel, const char *device, unsigned *group, GError **error);

/* Whether a PCI device has a device cdev (/dev/vfio/devices/vfioN). */
bool pm_sysfs_has_device_file(PmKernel *kernel, const char *device);

/*
 * The device cdev of a PCI device that is ready for VFIO, a new string at @path, and its group.
 * Errors: those of pm_sysfs_find_group(); PM_ERROR_UNSUPPORTED (it has none).
 */
bool pm_sysfs_find_device_file(PmKernel *kernel, const char *device, char **path, unsigned *group,
                               GError **error);

/* The devices of a group and their drivers, a new string: "0000:00:07.0: vfio-pci, 0000:00:07.1:
 * serial". */
char *pm_sysfs_describe_group(PmKernel *kernel, unsigned group);

/* Commands that unbind the host drivers of a group, each on a line of its own after two spaces; a
 * new string, empty if there are no such drivers. */
char *pm_sysfs_describe_unbinding(PmKernel *kernel, unsigned group);

#endif
