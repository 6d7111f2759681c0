/* SPDX-License-Identifier: MIT */
/* An IOMMU group: the devices that the IOMMU cannot tell apart, which go to one owner together. */
#ifndef PLUGMAP_SRC_VFIO_GROUP_H
#define PLUGMAP_SRC_VFIO_GROUP_H

#include <plugmap/kernel.h>

/*
 * An open group.
 * @kernel: lives as long.
 * @has_number: false: it was opened by somebody else, and sysfs, which describes group @number in
 * messages, is not read.
 */
typedef struct {
    PmKernel *kernel;
    int fd;
    bool has_number;
    unsigned number;
} PmVfioGroup;

/* "IOMMU group 1 (0000:00:04.0: vfio-pci)", a new string. */
char *pm_vfio_group_describe(const PmVfioGroup *group);

/* Opens /dev/vfio/@number. Returns the descriptor, or -1 with an error: those of
 * pm_vfio_open_node(). */
int pm_vfio_group_open(PmKernel *kernel, unsigned number, GError **error);

/* PM_ERROR_NOT_VIABLE: which device of the group has a host driver, and how to change that. Returns
 * false. */
bool pm_vfio_fail_not_viable(GError **error, PmKernel *kernel, unsigned number);

/*
 * Puts an open group into a container, if all of its devices can go. *@joined: whether this call
 * did. A group that somebody else has opened may be in it already; whether it is in another one,
 * the kernel does not say. Errors: PM_ERROR_INVALID_ARGUMENT (the descriptor is no group's),
 * PM_ERROR_NOT_VIABLE, PM_ERROR_BUSY, PM_ERROR_IOVA_RANGE (something is mapped where they have no
 * addresses), PM_ERROR_KERNEL.
 */
bool pm_vfio_group_set_container(const PmVfioGroup *group, int container, bool *joined,
                                 GError **error);

#endif
