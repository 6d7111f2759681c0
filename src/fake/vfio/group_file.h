/* SPDX-License-Identifier: MIT */
/* The group file, /dev/vfio/N, and the files of devices opened through it. Linux:
 * drivers/vfio/group.c. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_GROUP_FILE_H
#define PLUGMAP_SRC_FAKE_VFIO_GROUP_FILE_H

#include "fake/vfio/group.h"

/* Returns a descriptor or -errno. */
int pm_group_open(PmGroup *group, int flags);

#endif
