/* SPDX-License-Identifier: MIT */
/* Device nodes in /dev/vfio: opening them, and advice if that fails. */
#ifndef PLUGMAP_SRC_VFIO_DEVICE_NODE_H
#define PLUGMAP_SRC_VFIO_DEVICE_NODE_H

#include <plugmap/kernel.h>

#include "base/error_text.h"

/*
 * Opens @path for reading and writing. @if_missing: advice if it does not exist. Returns the
 * descriptor, or -1 with an error: PM_ERROR_NOT_FOUND, PM_ERROR_PERMISSION, PM_ERROR_BUSY,
 * PM_ERROR_KERNEL.
 */
int pm_vfio_open_node(PmKernel *kernel, const char *path, const char *if_missing, GError **error);

/* The first request on a descriptor of the caller failed: PM_ERROR_INVALID_ARGUMENT if the error
 * shows that it is not @what ("a VFIO group"), else as pm_fail_ioctl(). Returns false. */
bool pm_vfio_fail_descriptor(GError **error, int error_number, int fd, const char *what);

/* Whether @fd is of a device. Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_KERNEL. */
bool pm_vfio_check_device(PmKernel *kernel, int fd, GError **error);

/* PM_ERROR_BUSY: the device is in the address space already. Returns false. */
bool pm_vfio_fail_attached(GError **error, const char *device);

/* PM_ERROR_NOT_FOUND: the device is not in the address space. Returns false. */
bool pm_vfio_fail_not_attached(GError **error, const char *device);

/* PM_ERROR_BUSY: the last device of an address space must stay. Returns false. */
bool pm_vfio_fail_last_device(GError **error, const char *device);

#endif
