/* SPDX-License-Identifier: MIT */
/* The files below /dev/vfio: opening them, and saying what to do when that fails. */
#ifndef PLUGMAP_SRC_VFIO_DEVICE_NODE_H
#define PLUGMAP_SRC_VFIO_DEVICE_NODE_H

#include <plugmap/kernel.h>

#include "base/error_text.h"

/*
 * Opens @path for reading and writing. @if_missing: what to do if it is not there. Returns the
 * descriptor, or -1 with an error: PM_ERROR_NOT_FOUND, PM_ERROR_PERMISSION, PM_ERROR_BUSY,
 * PM_ERROR_KERNEL.
 */
int pm_vfio_open_node(PmKernel *kernel, const char *path, const char *if_missing, GError **error);

/* Advice where all that a call on a device's file takes is there. */
#define PM_VFIO_CHECK_DEVICE                                                                       \
    "check that the device is awake and still bound to vfio-pci, and " PM_SEE_KERNEL_LOG

/* "WHAT failed: ERRNO; ADVICE", PM_ERROR_KERNEL; ECHILD is PM_ERROR_PERMISSION with advice of its
 * own. @what: a format; names the object. Returns false. */
bool pm_vfio_fail_ioctl(GError **error, int error_number, const char *advice, const char *what, ...)
    G_GNUC_PRINTF(4, 5);

/* The first call on a descriptor that the caller has opened failed: PM_ERROR_INVALID_ARGUMENT where
 * that says that it is not @what ("a VFIO group"), else as pm_vfio_fail_ioctl(). Returns false. */
bool pm_vfio_fail_descriptor(GError **error, int error_number, int fd, const char *what);

/* PM_ERROR_NOT_FOUND: the device is not in the address space. Returns false. */
bool pm_vfio_fail_not_attached(GError **error, const char *device);

/* PM_ERROR_BUSY: it is the last one there, so that it cannot be taken out. Returns false. */
bool pm_vfio_fail_last_device(GError **error, const char *device);

#endif
