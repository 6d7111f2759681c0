/* SPDX-License-Identifier: MIT */
#include "vfio/group.h"

#include <errno.h>

#include "base/error_text.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"
#include "vfio/device_node.h"
#include "vfio/sysfs.h"

int pm_vfio_group_open(PmKernel *kernel, unsigned number, GError **error)
{
    g_autofree char *path = g_strdup_printf("/dev/vfio/%u", number);
    g_autofree char *devices = pm_sysfs_describe_group(kernel, number);
    g_autofree char *if_missing = g_strdup_printf(
        "no device of IOMMU group %u is bound to vfio-pci (%s). Bind one, as root:\n"
        "  driverctl set-override ADDRESS vfio-pci",
        number, devices);

    return pm_vfio_open_node(kernel, path, if_missing, error);
}

bool pm_vfio_fail_not_viable(GError **error, PmKernel *kernel, unsigned number)
{
    g_autofree char *devices = pm_sysfs_describe_group(kernel, number);
    g_autofree char *unbinding = pm_sysfs_describe_unbinding(kernel, number);

    return pm_fail(
        error, PM_ERROR_NOT_VIABLE,
        "IOMMU group %u is not viable: a group has one owner, and a host driver has another device "
        "of it (%s). Bind all devices of the group to vfio-pci, as root:\n"
        "  driverctl set-override ADDRESS vfio-pci%s%s",
        number, devices, *unbinding != '\0' ? "\nor unbind the other drivers:" : "", unbinding);
}

char *pm_vfio_group_describe(const PmVfioGroup *group)
{
    g_autofree char *devices = NULL;

    if (!group->has_number)
        return g_strdup_printf("the IOMMU group of descriptor %d", group->fd);
    devices = pm_sysfs_describe_group(group->kernel, group->number);
    return g_strdup_printf("IOMMU group %u (%s)", group->number, devices);
}

/* Its number, for shell commands. */
static char *number_text(const PmVfioGroup *group)
{
    return group->has_number ? g_strdup_printf("%u", group->number) : g_strdup("*");
}

static bool fail_not_viable(GError **error, const PmVfioGroup *group)
{
    if (group->has_number)
        return pm_vfio_fail_not_viable(error, group->kernel, group->number);
    return pm_fail(
        error, PM_ERROR_NOT_VIABLE,
        "the IOMMU group of descriptor %d is not viable: a group has one owner, and a host driver "
        "has another device of it. Bind all devices of the group to vfio-pci, as root:\n"
        "  driverctl set-override ADDRESS vfio-pci",
        group->fd);
}

static bool fail_busy(GError **error, unsigned number)
{
    return pm_fail(error, PM_ERROR_BUSY,
                   "IOMMU group %u is already in a container. To find its user:\n"
                   "  fuser -v /dev/vfio/%u",
                   number, number);
}

/* VFIO_GROUP_GET_STATUS has just reported that the group is viable and in no container; but another
 * driver can have bound one of its devices since (EPERM). */
static bool fail_join(GError **error, const PmVfioGroup *group, int error_number)
{
    g_autofree char *name = pm_vfio_group_describe(group);
    g_autofree char *number = number_text(group);

    switch (error_number) {
    case EPERM:
        return fail_not_viable(error, group);
    case EBUSY:
        return pm_fail(error, PM_ERROR_BUSY,
                       "cannot add %s to the container: EBUSY: the container is being handed over "
                       "to another process, which has not set its host addresses yet; or another "
                       "part of the kernel has the group's devices in an address space of its own. "
                       "End the handover and try again; else find the user:\n"
                       "  fuser -v /dev/vfio/vfio /dev/vfio/%s\n"
                       "  dmesg | grep -i iommu",
                       name, number);
    case EINVAL:
        return pm_fail(
            error, PM_ERROR_IOVA_RANGE,
            "cannot add %s to the container: EINVAL: addresses that are mapped are reserved for "
            "its devices, or out of their reach. Attach it before anything is mapped there, map "
            "elsewhere, or give it an address space of its own. To list the reserved addresses:\n"
            "  cat /sys/kernel/iommu_groups/%s/reserved_regions",
            name, number);
    default:
        return pm_fail_ioctl(error, error_number, PM_SEE_KERNEL_LOG, "adding %s to the container",
                             name);
    }
}

static bool fail_status(GError **error, const PmVfioGroup *group, int error_number)
{
    if (!group->has_number)
        return pm_vfio_fail_descriptor(error, error_number, group->fd, "a VFIO group");
    return pm_fail_ioctl(error, error_number,
                         "check that its devices are still bound to vfio-pci, and that the "
                         "file is VFIO's (ls -l /dev/vfio)",
                         "asking for the status of IOMMU group %u (/dev/vfio/%u)", group->number,
                         group->number);
}

bool pm_vfio_group_set_container(const PmVfioGroup *group, int container, bool *joined,
                                 GError **error)
{
    struct vfio_group_status status = {.argsz = sizeof status};
    int result = pm_kernel_ioctl(group->kernel, group->fd, VFIO_GROUP_GET_STATUS, &status);

    *joined = false;
    if (result < 0)
        return fail_status(error, group, -result);
    if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
        return fail_not_viable(error, group);
    if ((status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET) != 0)
        return !group->has_number || fail_busy(error, group->number);
    result = pm_kernel_ioctl(group->kernel, group->fd, VFIO_GROUP_SET_CONTAINER, &container);
    *joined = result >= 0;
    if (*joined)
        return true;
    (void)fail_join(error, group, -result);
    return pm_note_errno(error, -result);
}

bool pm_vfio_check_group(PmKernel *kernel, int fd, GError **error)
{
    struct vfio_group_status status = {.argsz = sizeof status};
    int result = pm_kernel_ioctl(kernel, fd, VFIO_GROUP_GET_STATUS, &status);

    return result >= 0 || pm_vfio_fail_descriptor(error, -result, fd, "a VFIO group");
}
