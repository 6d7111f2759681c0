/* SPDX-License-Identifier: MIT */
#include "iommu/type1/group_set.h"

#include <errno.h>

#include "base/error_text.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"
#include "vfio/device_node.h"
#include "vfio/group.h"
#include "vfio/sysfs.h"

typedef struct {
    unsigned number;
    unsigned n_users; /* attached devices, and one if it was added by number */
    int fd;
} Group;

typedef struct {
    char *address;
    unsigned group;
    int fd; /* -1: not asked for yet */
} Device;

static void device_free(void *data)
{
    Device *device = data;

    g_free(device->address);
    g_free(device);
}

void pm_vfio_group_set_init(PmVfioGroupSet *set, PmKernel *kernel, const char *sysfs_root)
{
    set->kernel = kernel;
    set->container = -1;
    set->sysfs_root = g_strdup(sysfs_root);
    set->groups = g_array_new(FALSE, FALSE, sizeof(Group));
    set->devices = g_ptr_array_new_with_free_func(device_free);
}

static void close_device(PmVfioGroupSet *set, Device *device)
{
    if (device->fd >= 0)
        (void)pm_kernel_close(set->kernel, device->fd);
    device->fd = -1;
}

void pm_vfio_group_set_clear(PmVfioGroupSet *set)
{
    guint i;

    for (i = 0; i < set->devices->len; i++)
        close_device(set, g_ptr_array_index(set->devices, i));
    for (i = 0; i < set->groups->len; i++)
        (void)pm_kernel_close(set->kernel, g_array_index(set->groups, Group, i).fd);
    g_ptr_array_unref(set->devices);
    g_array_unref(set->groups);
    g_free(set->sysfs_root);
}

/* NULL if it is not in the container. */
static Group *find_group(PmVfioGroupSet *set, unsigned number)
{
    guint i;

    for (i = 0; i < set->groups->len; i++) {
        Group *group = &g_array_index(set->groups, Group, i);

        if (group->number == number)
            return group;
    }
    return NULL;
}

static Device *find_device(PmVfioGroupSet *set, const char *address)
{
    guint i;

    for (i = 0; i < set->devices->len; i++) {
        Device *device = g_ptr_array_index(set->devices, i);

        if (g_str_equal(device->address, address))
            return device;
    }
    return NULL;
}

bool pm_vfio_group_set_has_device(PmVfioGroupSet *set, const char *device)
{
    return find_device(set, device) != NULL;
}

static void add_device(PmVfioGroupSet *set, const char *address, unsigned group, int fd)
{
    Device *device = g_new0(Device, 1);

    device->address = g_strdup(address);
    device->group = group;
    device->fd = fd;
    g_ptr_array_add(set->devices, device);
}

bool pm_vfio_group_set_add(PmVfioGroupSet *set, unsigned group, GError **error)
{
    Group added = {.number = group, .n_users = 1};

    added.fd = pm_vfio_group_open(set->kernel, group, set->sysfs_root, error);
    if (added.fd < 0)
        return false;
    if (!pm_vfio_group_set_container(set->kernel, added.fd, group, set->sysfs_root, set->container,
                                     error)) {
        (void)pm_kernel_close(set->kernel, added.fd);
        return false;
    }
    g_array_append_val(set->groups, added);
    return true;
}

bool pm_vfio_group_set_attach(PmVfioGroupSet *set, const char *device, GError **error)
{
    Group *group;
    unsigned number;

    if (find_device(set, device) != NULL)
        return pm_fail(error, PM_ERROR_BUSY, "%s is attached to this address space already",
                       device);
    if (!pm_sysfs_find_group(set->sysfs_root, device, &number, error))
        return false;
    group = find_group(set, number);
    if (group != NULL)
        group->n_users++;
    else if (!pm_vfio_group_set_add(set, number, error))
        return false;
    add_device(set, device, number, -1);
    return true;
}

/* Closing the group's file takes it out of the container; but something that holds on to a device
 * of the group keeps it there, and only VFIO_GROUP_UNSET_CONTAINER tells. That wants our own file
 * of the device closed. */
static bool remove_group(PmVfioGroupSet *set, Group *group, const char *device, GError **error)
{
    if (set->groups->len == 1)
        return pm_vfio_fail_last_device(error, device);
    close_device(set, find_device(set, device));
    if (pm_kernel_ioctl(set->kernel, group->fd, VFIO_GROUP_UNSET_CONTAINER, NULL) == -EBUSY) {
        (void)pm_fail(error, PM_ERROR_BUSY,
                      "%s cannot be detached (EBUSY): a mapping of its registers, or another file "
                      "of a device in IOMMU group %u, is still there; unmap and close that first",
                      device, group->number);
        return pm_note_errno(error, EBUSY);
    }
    (void)pm_kernel_close(set->kernel, group->fd);
    g_array_remove_index_fast(set->groups, (guint)(group - (Group *)(void *)set->groups->data));
    return true;
}

bool pm_vfio_group_set_detach(PmVfioGroupSet *set, const char *device, GError **error)
{
    Device *found = find_device(set, device);
    Group *group;

    if (found == NULL)
        return pm_vfio_fail_not_attached(error, device);
    /* Nothing would say so where others stay in the group, or where closing does it. */
    if (pm_kernel_is_inherited(set->kernel))
        return pm_vfio_fail_ioctl(error, ECHILD, "", "detaching %s", device);
    group = find_group(set, found->group);
    if (group->n_users > 1)
        group->n_users--;
    else if (!remove_group(set, group, device, error))
        return false;
    close_device(set, found);
    g_ptr_array_remove_fast(set->devices, found);
    return true;
}

static int get_device_fd(PmVfioGroupSet *set, int group_fd, const char *device)
{
    return pm_kernel_ioctl(set->kernel, group_fd, VFIO_GROUP_GET_DEVICE_FD, (void *)device);
}

static int fail_device(const char *device, int error_number, GError **error)
{
    if (error_number == ENODEV)
        (void)pm_fail(error, PM_ERROR_NOT_FOUND,
                      "%s is in no IOMMU group of this address space, or not bound to vfio-pci: "
                      "attach it first",
                      device);
    else
        (void)pm_vfio_fail_ioctl(error, error_number, PM_VFIO_CHECK_DEVICE, "opening the device %s",
                                 device);
    (void)pm_note_errno(error, error_number);
    return -1;
}

/* A group knows its devices by name, so each is asked. */
static int open_unattached(PmVfioGroupSet *set, const char *device, GError **error)
{
    int fd = -ENODEV;
    guint i;

    for (i = 0; i < set->groups->len && fd == -ENODEV; i++) {
        Group *group = &g_array_index(set->groups, Group, i);

        fd = get_device_fd(set, group->fd, device);
        if (fd >= 0) {
            group->n_users++;
            add_device(set, device, group->number, fd);
        }
    }
    return fd >= 0 ? fd : fail_device(device, -fd, error);
}

int pm_vfio_group_set_open_device(PmVfioGroupSet *set, const char *device, GError **error)
{
    Device *found = find_device(set, device);
    int fd;

    if (found == NULL)
        return open_unattached(set, device, error);
    if (found->fd >= 0)
        return found->fd;
    fd = get_device_fd(set, find_group(set, found->group)->fd, device);
    if (fd < 0)
        return fail_device(device, -fd, error);
    found->fd = fd;
    return fd;
}
