/* SPDX-License-Identifier: MIT */
#include "vfio/group.h"

#include <errno.h>

#include "base/error_text.h"
#include "kernel-uapi/vfio.h"
#include "vfio/device_node.h"
#include "vfio/sysfs.h"

int pm_vfio_group_open(PmKernel *kernel, unsigned group, const char *sysfs_root, GError **error)
{
    g_autofree char *path = g_strdup_printf("/dev/vfio/%u", group);
    g_autofree char *devices = pm_sysfs_describe_group(sysfs_root, group);
    g_autofree char *if_missing = g_strdup_printf(
        "no device of IOMMU group %u is bound to vfio-pci (%s). Bind one, as root:\n"
        "  driverctl set-override ADDRESS vfio-pci",
        group, devices);

    return pm_vfio_open_node(kernel, path, if_missing, error);
}

bool pm_vfio_fail_not_viable(GError **error, unsigned group, const char *sysfs_root)
{
    g_autofree char *devices = pm_sysfs_describe_group(sysfs_root, group);
    g_autofree char *unbinding = pm_sysfs_describe_unbinding(sysfs_root, group);

    return pm_fail(error, PM_ERROR_NOT_VIABLE,
                   "IOMMU group %u is not viable: all of a group goes to one owner, and another "
                   "device of it has a host driver (%s). Bind every device of it to vfio-pci, as "
                   "root:\n"
                   "  driverctl set-override ADDRESS vfio-pci%s%s",
                   group, devices, *unbinding != '\0' ? "\nor take the other drivers away:" : "",
                   unbinding);
}

static bool fail_busy(GError **error, unsigned group)
{
    return pm_fail(error, PM_ERROR_BUSY,
                   "IOMMU group %u is in a container already. This tells whose:\n"
                   "  fuser -v /dev/vfio/%u",
                   group, group);
}

static bool check_status(PmKernel *kernel, int fd, unsigned group, const char *sysfs_root,
                         GError **error)
{
    struct vfio_group_status status = {.argsz = sizeof status};
    int result = kernel->ops->ioctl(kernel, fd, VFIO_GROUP_GET_STATUS, &status);

    if (result < 0)
        return pm_vfio_fail_ioctl(error, "asking for the group's status", -result);
    if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
        return pm_vfio_fail_not_viable(error, group, sysfs_root);
    if ((status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET) != 0)
        return fail_busy(error, group);
    return true;
}

bool pm_vfio_group_set_container(PmKernel *kernel, int fd, unsigned group, const char *sysfs_root,
                                 int container, GError **error)
{
    int result;

    if (!check_status(kernel, fd, group, sysfs_root, error))
        return false;
    result = kernel->ops->ioctl(kernel, fd, VFIO_GROUP_SET_CONTAINER, &container);
    if (result >= 0)
        return true;
    /* Somebody can have come between the question and this call. */
    if (result == -EPERM)
        return pm_vfio_fail_not_viable(error, group, sysfs_root);
    if (result == -EBUSY)
        return fail_busy(error, group);
    return pm_vfio_fail_ioctl(error, "putting the group into the container", -result);
}
