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
    PmVfioGroup opened;
    unsigned n_users; /* attached devices, plus one if it was added by number or descriptor */
    bool joined;      /* the set put it into the container; else it stays there */
    bool is_lent;     /* the caller still owns the descriptor */
} Group;

typedef struct {
    char *address;
    Group *group;
    int fd; /* -1: not opened yet */
} Device;

static void device_free(void *data)
{
    Device *device = data;

    g_free(device->address);
    g_free(device);
}

void pm_vfio_group_set_init(PmVfioGroupSet *set, PmKernel *kernel)
{
    set->kernel = kernel;
    set->container = -1;
    set->groups = g_ptr_array_new_with_free_func(g_free);
    set->devices = g_ptr_array_new_with_free_func(device_free);
}

static void close_device(PmVfioGroupSet *set, Device *device)
{
    if (device->fd >= 0)
        (void)pm_kernel_close(set->kernel, device->fd);
    device->fd = -1;
}

/* close() on the group's file removes it from the container, too, but not while others have the
 * file open: KVM, or the sender of the descriptor. Returns 0 or -errno. */
static int leave_container(const PmVfioGroupSet *set, const Group *group)
{
    if (!group->joined)
        return 0;
    return pm_kernel_ioctl(set->kernel, group->opened.fd, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

static void close_group(PmVfioGroupSet *set, Group *group)
{
    if (!group->is_lent)
        (void)pm_kernel_close(set->kernel, group->opened.fd);
    g_ptr_array_remove(set->groups, group);
}

static void drop_group(PmVfioGroupSet *set, Group *group)
{
    (void)leave_container(set, group);
    close_group(set, group);
}

void pm_vfio_group_set_clear(PmVfioGroupSet *set)
{
    guint i;

    for (i = 0; i < set->devices->len; i++)
        close_device(set, g_ptr_array_index(set->devices, i));
    while (set->groups->len > 0)
        drop_group(set, g_ptr_array_index(set->groups, set->groups->len - 1));
    g_ptr_array_unref(set->devices);
    g_ptr_array_unref(set->groups);
}

void pm_vfio_group_set_take_fds(PmVfioGroupSet *set)
{
    guint i;

    for (i = 0; i < set->groups->len; i++)
        ((Group *)g_ptr_array_index(set->groups, i))->is_lent = false;
}

/* NULL if it is not in the container, or was not opened by number. */
static Group *find_group(const PmVfioGroupSet *set, unsigned number)
{
    guint i;

    for (i = 0; i < set->groups->len; i++) {
        Group *group = g_ptr_array_index(set->groups, i);

        if (group->opened.has_number && group->opened.number == number)
            return group;
    }
    return NULL;
}

static Device *find_device(const PmVfioGroupSet *set, const char *address)
{
    guint i;

    for (i = 0; i < set->devices->len; i++) {
        Device *device = g_ptr_array_index(set->devices, i);

        if (g_str_equal(device->address, address))
            return device;
    }
    return NULL;
}

bool pm_vfio_group_set_has_device(const PmVfioGroupSet *set, const char *device)
{
    return find_device(set, device) != NULL;
}

static void add_device(PmVfioGroupSet *set, const char *address, Group *group, int fd)
{
    Device *device = g_new0(Device, 1);

    device->address = g_strdup(address);
    device->group = group;
    device->fd = fd;
    group->n_users++;
    g_ptr_array_add(set->devices, device);
}

/* Without users yet. NULL with @error set. */
static Group *join(PmVfioGroupSet *set, const PmVfioGroup *opened, GError **error)
{
    Group *group;
    bool joined;

    if (!pm_vfio_group_set_container(opened, set->container, &joined, error))
        return NULL;
    group = g_new0(Group, 1);
    group->opened = *opened;
    group->joined = joined;
    group->is_lent = !opened->has_number;
    g_ptr_array_add(set->groups, group);
    return group;
}

static Group *open_group(PmVfioGroupSet *set, unsigned number, GError **error)
{
    PmVfioGroup opened = {.kernel = set->kernel, .has_number = true, .number = number};
    Group *group;

    opened.fd = pm_vfio_group_open(set->kernel, number, error);
    if (opened.fd < 0)
        return NULL;
    group = join(set, &opened, error);
    if (group == NULL)
        (void)pm_kernel_close(set->kernel, opened.fd);
    return group;
}

/* A descriptor in the set twice would be closed twice. */
static bool is_ours(const PmVfioGroupSet *set, int fd)
{
    bool found = fd == set->container;
    guint i;

    for (i = 0; i < set->groups->len; i++)
        found = found || ((const Group *)g_ptr_array_index(set->groups, i))->opened.fd == fd;
    for (i = 0; i < set->devices->len; i++)
        found = found || ((const Device *)g_ptr_array_index(set->devices, i))->fd == fd;
    return found;
}

static Group *use_group(PmVfioGroupSet *set, int fd, GError **error)
{
    const PmVfioGroup opened = {.kernel = set->kernel, .fd = fd};

    if (fd >= 0 && !is_ours(set, fd))
        return join(set, &opened, error);
    (void)pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                  "descriptor %d is not a VFIO group, or is already in this address space", fd);
    return NULL;
}

static bool hold(Group *group)
{
    if (group != NULL)
        group->n_users++;
    return group != NULL;
}

bool pm_vfio_group_set_add(PmVfioGroupSet *set, unsigned group, GError **error)
{
    return hold(open_group(set, group, error));
}

bool pm_vfio_group_set_add_fd(PmVfioGroupSet *set, int fd, GError **error)
{
    return hold(use_group(set, fd, error));
}

static bool check_new(const PmVfioGroupSet *set, const char *device, GError **error)
{
    return find_device(set, device) == NULL || pm_vfio_fail_attached(error, device);
}

bool pm_vfio_group_set_attach(PmVfioGroupSet *set, const char *device, GError **error)
{
    Group *group;
    unsigned number;

    if (!check_new(set, device, error) || !pm_sysfs_find_group(set->kernel, device, &number, error))
        return false;
    group = find_group(set, number);
    if (group == NULL)
        group = open_group(set, number, error);
    if (group == NULL)
        return false;
    add_device(set, device, group, -1);
    return true;
}

static int get_device_fd(const PmVfioGroupSet *set, const Group *group, const char *device)
{
    return pm_kernel_ioctl(set->kernel, group->opened.fd, VFIO_GROUP_GET_DEVICE_FD, (void *)device);
}

static int fail_device(const char *device, int error_number, GError **error)
{
    if (error_number == ENODEV)
        (void)pm_fail(error, PM_ERROR_NOT_FOUND,
                      "%s is in no IOMMU group of this address space, or not bound to vfio-pci: "
                      "attach it first",
                      device);
    else
        (void)pm_fail_ioctl(error, error_number, PM_CHECK_DEVICE, "opening the device %s", device);
    (void)pm_note_errno(error, error_number);
    return -1;
}

/* Opening the device at once checks that it is in this group. */
bool pm_vfio_group_set_attach_fd(PmVfioGroupSet *set, const char *device, int fd, GError **error)
{
    Group *group = check_new(set, device, error) ? use_group(set, fd, error) : NULL;
    int device_fd;

    if (group == NULL)
        return false;
    device_fd = get_device_fd(set, group, device);
    if (device_fd >= 0) {
        add_device(set, device, group, device_fd);
        return true;
    }
    if (device_fd == -ENODEV) {
        (void)pm_fail(error, PM_ERROR_NOT_FOUND,
                      "%s is not in the IOMMU group of descriptor %d, or not bound to vfio-pci",
                      device, fd);
        (void)pm_note_errno(error, ENODEV);
    } else {
        (void)fail_device(device, -device_fd, error);
    }
    drop_group(set, group);
    return false;
}

/* While a device of the group is in use, it stays in the container, and only
 * VFIO_GROUP_UNSET_CONTAINER reports that. Our own file of the device must be closed before. */
static bool remove_group(PmVfioGroupSet *set, Device *device, GError **error)
{
    Group *group = device->group;
    g_autofree char *name = NULL;

    if (set->groups->len == 1)
        return pm_vfio_fail_last_device(error, device->address);
    close_device(set, device);
    if (leave_container(set, group) != -EBUSY) {
        close_group(set, group);
        return true;
    }
    name = pm_vfio_group_describe(&group->opened);
    (void)pm_fail(error, PM_ERROR_BUSY,
                  "cannot detach %s: EBUSY: its registers are still mapped, or another file of a "
                  "device in %s is open: unmap and close that first",
                  device->address, name);
    return pm_note_errno(error, EBUSY);
}

bool pm_vfio_group_set_detach(PmVfioGroupSet *set, const char *device, GError **error)
{
    Device *found = find_device(set, device);

    if (found == NULL)
        return pm_vfio_fail_not_attached(error, device);
    /* In a forked child, fail even where detaching needs no request that would. */
    if (pm_kernel_is_inherited(set->kernel))
        return pm_fail_ioctl(error, ECHILD, "", "detaching %s", device);
    if (found->group->n_users > 1)
        found->group->n_users--;
    else if (!remove_group(set, found, error))
        return false;
    close_device(set, found);
    g_ptr_array_remove_fast(set->devices, found);
    return true;
}

/* A group opens devices by name, so ask each group. NULL with @error set. */
static Device *open_unattached(PmVfioGroupSet *set, const char *device, GError **error)
{
    int fd = -ENODEV;
    guint i;

    for (i = 0; i < set->groups->len && fd == -ENODEV; i++) {
        Group *group = g_ptr_array_index(set->groups, i);

        fd = get_device_fd(set, group, device);
        if (fd >= 0)
            add_device(set, device, group, fd);
    }
    if (fd >= 0)
        return find_device(set, device);
    (void)fail_device(device, -fd, error);
    return NULL;
}

/* NULL with @error set. */
static Device *find_or_open(PmVfioGroupSet *set, const char *device, GError **error)
{
    Device *found = find_device(set, device);

    return found != NULL ? found : open_unattached(set, device, error);
}

int pm_vfio_group_set_open_device(PmVfioGroupSet *set, const char *device, GError **error)
{
    Device *found = find_or_open(set, device, error);
    int fd;

    if (found == NULL || found->fd >= 0)
        return found != NULL ? found->fd : -1;
    fd = get_device_fd(set, found->group, device);
    if (fd < 0)
        return fail_device(device, -fd, error);
    found->fd = fd;
    return fd;
}

int pm_vfio_group_set_get_group(PmVfioGroupSet *set, const char *device, GError **error)
{
    const Device *found = find_or_open(set, device, error);

    return found != NULL ? found->group->opened.fd : -1;
}

/* --- handover --- */

void pm_vfio_group_set_describe(const PmVfioGroupSet *set, GArray *files)
{
    guint index;

    for (guint i = 0; i < set->groups->len; i++) {
        const Group *group = g_ptr_array_index(set->groups, i);
        const PmIommuFile file = {
            .fd = group->opened.fd,
            .has_number = group->opened.has_number,
            .number = group->opened.number,
            .n_users = group->n_users,
            .joined = group->joined,
        };

        g_array_append_val(files, file);
    }
    for (guint i = 0; i < set->devices->len; i++) {
        const Device *device = g_ptr_array_index(set->devices, i);
        PmIommuFile file = {.fd = device->fd, .address = g_strdup(device->address)};

        (void)g_ptr_array_find(set->groups, device->group, &index);
        file.group = index;
        g_array_append_val(files, file);
    }
}

static void adopt_group(PmVfioGroupSet *set, const PmIommuFile *file)
{
    Group *group = g_new0(Group, 1);

    group->opened = (PmVfioGroup){.kernel = set->kernel,
                                  .fd = file->fd,
                                  .has_number = file->has_number,
                                  .number = file->number};
    group->n_users = file->n_users;
    group->joined = file->joined;
    g_ptr_array_add(set->groups, group);
}

void pm_vfio_group_set_adopt(PmVfioGroupSet *set, const GArray *files)
{
    for (guint i = 0; i < files->len; i++) {
        const PmIommuFile *file = &g_array_index(files, PmIommuFile, i);
        Group *group;

        if (file->address == NULL) {
            adopt_group(set, file);
            continue;
        }
        group = g_ptr_array_index(set->groups, file->group);
        add_device(set, file->address, group, file->fd);
        group->n_users--; /* counted before */
    }
}

void pm_vfio_group_set_forget(PmVfioGroupSet *set)
{
    for (guint i = 0; i < set->groups->len; i++)
        ((Group *)g_ptr_array_index(set->groups, i))->joined = false;
}
