/* SPDX-License-Identifier: MIT */
/* The groups of one container, and the device files opened through them. */
#ifndef PLUGMAP_SRC_IOMMU_TYPE1_GROUP_SET_H
#define PLUGMAP_SRC_IOMMU_TYPE1_GROUP_SET_H

#include "iommu/address_space.h"

/* Private fields; set up with pm_vfio_group_set_init(). */
typedef struct {
    PmKernel *kernel; /* outlives the set */
    int container;
    GPtrArray *groups;  /* of Group; group_set.c */
    GPtrArray *devices; /* of Device; group_set.c */
} PmVfioGroupSet;

void pm_vfio_group_set_init(PmVfioGroupSet *set, PmKernel *kernel);

/* Removes the groups that the set added from the container, and closes all files except descriptors
 * that the caller still owns. */
void pm_vfio_group_set_clear(PmVfioGroupSet *set);

/* Adds group number @group to the container. Errors: those of pm_vfio_group_open() and
 * pm_vfio_group_set_container(). */
bool pm_vfio_group_set_add(PmVfioGroupSet *set, unsigned group, GError **error);

/*
 * The same with a group that the caller has opened, and may have put into the container. The caller
 * owns the descriptor until pm_vfio_group_set_take_fds(). Errors: PM_ERROR_INVALID_ARGUMENT (not a
 * group's descriptor, or one that is in the set already), those of pm_vfio_group_set_container().
 */
bool pm_vfio_group_set_add_fd(PmVfioGroupSet *set, int fd, GError **error);

/* pm_vfio_group_set_add_fd() and pm_vfio_group_set_attach() in one. Errors: also PM_ERROR_NOT_FOUND
 * (the device is not in this group). */
bool pm_vfio_group_set_attach_fd(PmVfioGroupSet *set, const char *device, int fd, GError **error);

/* Takes ownership of the groups' descriptors: the set closes them on removal. */
void pm_vfio_group_set_take_fds(PmVfioGroupSet *set);

/* As pm_vfio_group_set_add() with the group of a device, which stays while any of its devices is
 * attached. Errors: also those of pm_sysfs_find_group(); PM_ERROR_BUSY (already attached). */
bool pm_vfio_group_set_attach(PmVfioGroupSet *set, const char *device, GError **error);

/*
 * Closes the device's file, and removes its group from the container unless another user keeps it.
 * Errors: PM_ERROR_NOT_FOUND (not attached), PM_ERROR_BUSY (the last group: the kernel would remove
 * all mappings; or the device's registers are still mapped: the device stays attached, with its
 * file closed until it is opened again).
 */
bool pm_vfio_group_set_detach(PmVfioGroupSet *set, const char *device, GError **error);

bool pm_vfio_group_set_has_device(const PmVfioGroupSet *set, const char *device);

/*
 * The device's file, opened on first use. Attaches the device if it is in one of the groups.
 * Returns the descriptor, or -1 with an error: PM_ERROR_NOT_FOUND (in none of the groups),
 * PM_ERROR_KERNEL.
 */
int pm_vfio_group_set_open_device(PmVfioGroupSet *set, const char *device, GError **error);

/* The group of a device; attaches the device as pm_vfio_group_set_open_device() does. Returns the
 * descriptor, or -1 with an error of that function. */
int pm_vfio_group_set_get_group(PmVfioGroupSet *set, const char *device, GError **error);

/* Appends copies of the groups and devices to @files (of PmIommuFile), with the set's descriptors.
 */
void pm_vfio_group_set_describe(const PmVfioGroupSet *set, GArray *files);

/* Fills an empty set with what another process had; takes ownership of the descriptors. */
void pm_vfio_group_set_adopt(PmVfioGroupSet *set, const GArray *files);

/* Others own the groups now: clearing the set leaves them in the container. */
void pm_vfio_group_set_forget(PmVfioGroupSet *set);

#endif
