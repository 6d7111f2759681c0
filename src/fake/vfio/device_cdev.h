/* SPDX-License-Identifier: MIT */
/* The device cdev, /dev/vfio/devices/vfioN. Linux: drivers/vfio/device_cdev.c. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_DEVICE_CDEV_H
#define PLUGMAP_SRC_FAKE_VFIO_DEVICE_CDEV_H

#include "fake/vfio/vfio_device.h"

/* Returns a descriptor or -errno. */
int pm_device_cdev_open(PmFakeVfioDevice *device, int flags);

#endif
