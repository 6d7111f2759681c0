/* SPDX-License-Identifier: MIT */
#include "vfio/group.h"

#include <errno.h>

#include "base/error_text.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"
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

/* The group is in no container, and its devices can go, as its status has said just before; but
 * somebody can have come in between (EPERM). */
static bool fail_join(GError **error, unsigned group, const char *sysfs_root, int error_number)
{
    g_autofree char *devices = pm_sysfs_describe_group(sysfs_root, group);

    switch (error_number) {
    case EPERM:
        return pm_vfio_fail_not_viable(error, group, sysfs_root);
    case EBUSY:
        return pm_fail(error, PM_ERROR_BUSY,
                       "IOMMU group %u (%s) cannot join the container (EBUSY): the container is "
                       "being handed over to another process, and host addresses are invalid "
                       "until that has set its own; or another part of the kernel holds the "
                       "group's devices in an I/O address space of its own. End the handover and "
                       "try again; else these tell who it is:\n"
                       "  fuser -v /dev/vfio/vfio /dev/vfio/%u\n"
                       "  dmesg | grep -i iommu",
                       group, devices, group);
    case EINVAL:
        return pm_fail(error, PM_ERROR_IOVA_RANGE,
                       "IOMMU group %u (%s) cannot join the container (EINVAL): something is "
                       "mapped where its devices have no I/O addresses, or where some are reserved "
                       "for them. Attach it before anything is mapped there, map elsewhere, or "
                       "give it an address space of its own. This tells what is reserved:\n"
                       "  cat /sys/kernel/iommu_groups/%u/reserved_regions",
                       group, devices, group);
    default:
        return pm_vfio_fail_ioctl(error, error_number, PM_SEE_KERNEL_LOG,
                                  "putting IOMMU group %u (%s) into the container", group, devices);
    }
}

static bool check_status(PmKernel *kernel, int fd, unsigned group, const char *sysfs_root,
                         GError **error)
{
    struct vfio_group_status status = {.argsz = sizeof status};
    int result = pm_kernel_ioctl(kernel, fd, VFIO_GROUP_GET_STATUS, &status);

    if (result < 0)
        return pm_vfio_fail_ioctl(error, -result,
                                  "check that its devices are bound to vfio-pci still, and "
                                  "that the file is VFIO's (ls -l /dev/vfio)",
                                  "asking for the status of IOMMU group %u (/dev/vfio/%u)", group,
                                  group);
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
    result = pm_kernel_ioctl(kernel, fd, VFIO_GROUP_SET_CONTAINER, &container);
    if (result >= 0)
        return true;
    (void)fail_join(error, group, sysfs_root, -result);
    return pm_note_errno(error, -result);
}
