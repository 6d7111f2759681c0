/* SPDX-License-Identifier: MIT */
/* The files below /dev/vfio: opening them, and saying what to do when that fails. */
#ifndef PLUGMAP_VFIO_DEVICE_NODE_H
#define PLUGMAP_VFIO_DEVICE_NODE_H

#include <plugmap/kernel.h>

/*
 * Opens @path for reading and writing. @if_missing: what to do if it is not there. Returns the
 * descriptor, or -1 with an error: PM_ERROR_NOT_FOUND, PM_ERROR_PERMISSION, PM_ERROR_BUSY,
 * PM_ERROR_KERNEL.
 */
int pm_vfio_open_node(PmKernel *kernel, const char *path, const char *if_missing, GError **error);

/* «WHAT failed: ERRNO», PM_ERROR_KERNEL. Returns false. */
bool pm_vfio_fail_ioctl(GError **error, const char *what, int error_number);

/* PM_ERROR_NOT_FOUND: the device is not in the address space. Returns false. */
bool pm_vfio_fail_not_attached(GError **error, const char *device);

/* PM_ERROR_BUSY: it is the last one there, so that it cannot be taken out. Returns false. */
bool pm_vfio_fail_last_device(GError **error, const char *device);

#endif
