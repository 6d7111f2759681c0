/* SPDX-License-Identifier: MIT */
/* An IOMMU group: devices that the IOMMU cannot isolate from each other, and which have one owner.
 */
#ifndef PLUGMAP_SRC_VFIO_GROUP_H
#define PLUGMAP_SRC_VFIO_GROUP_H

#include <plugmap/kernel.h>

/*
 * An open group.
 * @kernel: outlives the group.
 * @has_number: false if somebody else opened it: then messages do not describe it from sysfs.
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

/* PM_ERROR_NOT_VIABLE: names the devices with host drivers, and how to unbind them. Returns false.
 */
bool pm_vfio_fail_not_viable(GError **error, PmKernel *kernel, unsigned number);

/*
 * Adds an open group to a container, if it is viable. *@joined: whether this call did so. A group
 * that somebody else opened may already be in a container; the kernel does not report in which.
 * Errors: PM_ERROR_INVALID_ARGUMENT (not a group's descriptor), PM_ERROR_NOT_VIABLE, PM_ERROR_BUSY,
 * PM_ERROR_IOVA_RANGE (something is mapped where its devices have no valid addresses),
 * PM_ERROR_KERNEL.
 */
bool pm_vfio_group_set_container(const PmVfioGroup *group, int container, bool *joined,
                                 GError **error);

/* Whether @fd is of a group. Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_KERNEL. */
bool pm_vfio_check_group(PmKernel *kernel, int fd, GError **error);

#endif
