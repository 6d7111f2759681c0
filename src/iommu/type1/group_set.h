/* SPDX-License-Identifier: MIT */
/* The groups of one container, and the device files opened through them. */
#ifndef PLUGMAP_SRC_IOMMU_TYPE1_GROUP_SET_H
#define PLUGMAP_SRC_IOMMU_TYPE1_GROUP_SET_H

#include <plugmap/kernel.h>

/* Fields are this object's own; set up with pm_vfio_group_set_init(). */
typedef struct {
    PmKernel *kernel; /* lives as long */
    int container;
    char *sysfs_root;
    GArray *groups;     /* of Group; group_set.c */
    GPtrArray *devices; /* of Device; group_set.c */
} PmVfioGroupSet;

/* @sysfs_root is copied. */
void pm_vfio_group_set_init(PmVfioGroupSet *set, PmKernel *kernel, const char *sysfs_root);

/* Closes device files and groups. */
void pm_vfio_group_set_clear(PmVfioGroupSet *set);

/* Puts group number @group into the container. Errors: those of pm_vfio_group_open() and
 * pm_vfio_group_set_container(). */
bool pm_vfio_group_set_add(PmVfioGroupSet *set, unsigned group, GError **error);

/* The same with the group of a device, which keeps it there; if another device has put it there,
 * this one keeps it, too. Errors: also those of pm_sysfs_find_group(); PM_ERROR_BUSY (attached
 * already). */
bool pm_vfio_group_set_attach(PmVfioGroupSet *set, const char *device, GError **error);

/*
 * Closes the device's file, and takes its group out of the container if nothing else keeps it
 * there. Errors: PM_ERROR_NOT_FOUND (not attached), PM_ERROR_BUSY (the last group: the container's
 * mappings would go with it; or a mapping of the device's registers is still there: the device
 * stays attached, and its file is closed, until it is asked for again).
 */
bool pm_vfio_group_set_detach(PmVfioGroupSet *set, const char *device, GError **error);

bool pm_vfio_group_set_has_device(PmVfioGroupSet *set, const char *device);

/*
 * The device's file, opened the first time it is asked for. A device that was not attached, but is
 * in one of the groups, is attached by this. Returns the descriptor, or -1 with an error:
 * PM_ERROR_NOT_FOUND (in none of the groups), PM_ERROR_KERNEL.
 */
int pm_vfio_group_set_open_device(PmVfioGroupSet *set, const char *device, GError **error);

#endif
