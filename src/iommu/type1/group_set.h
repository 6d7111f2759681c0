/* SPDX-License-Identifier: MIT */
/* The groups of one container, and the device files opened through them. */
#ifndef PLUGMAP_SRC_IOMMU_TYPE1_GROUP_SET_H
#define PLUGMAP_SRC_IOMMU_TYPE1_GROUP_SET_H

#include <plugmap/kernel.h>

/* Fields are this object's own; set up with pm_vfio_group_set_init(). */
typedef struct {
    PmKernel *kernel; /* lives as long */
    int container;
    GPtrArray *groups;  /* of Group; group_set.c */
    GPtrArray *devices; /* of Device; group_set.c */
} PmVfioGroupSet;

void pm_vfio_group_set_init(PmVfioGroupSet *set, PmKernel *kernel);

/* Takes groups out of the container that the set has put there, and closes them and the devices'
 * files; not descriptors that are the caller's still. */
void pm_vfio_group_set_clear(PmVfioGroupSet *set);

/* Puts group number @group into the container. Errors: those of pm_vfio_group_open() and
 * pm_vfio_group_set_container(). */
bool pm_vfio_group_set_add(PmVfioGroupSet *set, unsigned group, GError **error);

/*
 * The same with a group that the caller has opened, and may have put into the container. The
 * descriptor is the caller's until pm_vfio_group_set_take_fds(). Errors:
 * PM_ERROR_INVALID_ARGUMENT (no group's descriptor, or one that is here already), those of
 * pm_vfio_group_set_container().
 */
bool pm_vfio_group_set_add_fd(PmVfioGroupSet *set, int fd, GError **error);

/* As both pm_vfio_group_set_add_fd() and pm_vfio_group_set_attach(). Errors: also
 * PM_ERROR_NOT_FOUND (the device is not in this group). */
bool pm_vfio_group_set_attach_fd(PmVfioGroupSet *set, const char *device, int fd, GError **error);

/* From now on the descriptors of groups are the set's, and closed when they leave. */
void pm_vfio_group_set_take_fds(PmVfioGroupSet *set);

/* As pm_vfio_group_set_add() with the group of a device, which keeps it there; if another device
 * has put it there, this one keeps it, too. Errors: also those of pm_sysfs_find_group();
 * PM_ERROR_BUSY (attached already). */
bool pm_vfio_group_set_attach(PmVfioGroupSet *set, const char *device, GError **error);

/*
 * Closes the device's file, and takes its group out of the container if nothing else keeps it
 * there. Errors: PM_ERROR_NOT_FOUND (not attached), PM_ERROR_BUSY (the last group: the container's
 * mappings would go with it; or a mapping of the device's registers is still there: the device
 * stays attached, and its file is closed, until it is asked for again).
 */
bool pm_vfio_group_set_detach(PmVfioGroupSet *set, const char *device, GError **error);

bool pm_vfio_group_set_has_device(const PmVfioGroupSet *set, const char *device);

/*
 * The device's file, opened the first time it is asked for. A device that was not attached, but is
 * in one of the groups, is attached by this. Returns the descriptor, or -1 with an error:
 * PM_ERROR_NOT_FOUND (in none of the groups), PM_ERROR_KERNEL.
 */
int pm_vfio_group_set_open_device(PmVfioGroupSet *set, const char *device, GError **error);

/* The group of a device, which is attached by this like by pm_vfio_group_set_open_device(). Returns
 * the descriptor, or -1 with an error of that. */
int pm_vfio_group_set_get_group(PmVfioGroupSet *set, const char *device, GError **error);

#endif
