/* SPDX-License-Identifier: MIT */
/* A device's own file, /dev/vfio/devices/vfioN. Linux: drivers/vfio/device_cdev.c. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_DEVICE_CDEV_H
#define PLUGMAP_SRC_FAKE_VFIO_DEVICE_CDEV_H

#include "fake/vfio/vfio_device.h"

/* A descriptor or -errno. */
int pm_device_cdev_open(PmFakeVfioDevice *device, int flags);

#endif
