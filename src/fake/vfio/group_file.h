/* SPDX-License-Identifier: MIT */
/* The file of a group, /dev/vfio/N, and those of devices that are got through it. Linux:
 * drivers/vfio/group.c. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_GROUP_FILE_H
#define PLUGMAP_SRC_FAKE_VFIO_GROUP_FILE_H

#include "fake/vfio/group.h"

/* A descriptor or -errno. */
int pm_group_open(PmGroup *group, int flags);

#endif
