/* SPDX-License-Identifier: MIT */
#include "fake/vfio/group_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fake/iommufd/ioas.h"
#include "fake/iommufd/iommufd_file.h"
#include "fake/iommufd/vfio_compat.h"
#include "fake/memory/user_memory.h"
#include "kernel-uapi/vfio.h"

#define MAX_NAME 4096

/* --- lifetime --- */

static void leave_iommufd(PmGroup *group)
{
    if (group->iommufd != NULL)
        pm_fake_iommufd_unref(group->iommufd);
    group->iommufd = NULL;
}

static void leave_container(PmGroup *group)
{
    pm_container_leave(group->container);
    group->container = NULL;
}

/* Device files keep the group in its container, but not in its iommufd. */
static void leave_if_unused(PmGroup *group)
{
    if (group->is_open)
        return;
    if (group->container != NULL && group->n_device_files == 0)
        leave_container(group);
    leave_iommufd(group);
}

static void release_group(void *object)
{
    PmGroup *group = object;

    group->is_open = false;
    leave_if_unused(group);
}

/* --- devices opened through the group --- */

static void release_device(void *object)
{
    PmFakeVfioDevice *device = object;

    device->group->n_device_files--;
    pm_pci_device_unuse(device->pci);
    if (device->pci->n_open == 0 && device->bound != NULL)
        pm_fake_vfio_device_unbind(device);
    leave_if_unused(device->group);
}

static int device_ioctl(void *object, unsigned long request, void *argument)
{
    const PmFakeVfioDevice *device = object;
    struct vfio_device_bind_iommufd bind;

    /* Kernels with device cdevs know the request, but not on this file. */
    if (request == VFIO_DEVICE_BIND_IOMMUFD && device->group->memory->machine->config.iommufd)
        return pm_user_read(&bind, argument, sizeof(bind)) < 0 ? -EFAULT : -EINVAL;
    return pm_pci_device_ioctl(device->pci, request, argument);
}

static ssize_t device_pread(void *object, void *buffer, size_t size, uint64_t offset)
{
    const PmFakeVfioDevice *device = object;

    return pm_pci_device_pread(device->pci, buffer, size, offset);
}

static ssize_t device_pwrite(void *object, const void *buffer, size_t size, uint64_t offset)
{
    const PmFakeVfioDevice *device = object;

    return pm_pci_device_pwrite(device->pci, buffer, size, offset);
}

static const PmFileOps device_file_ops = {
    .release = release_device,
    .ioctl = device_ioctl,
    .pread = device_pread,
    .pwrite = device_pwrite,
    .mmap_error = EINVAL,
};

/* --- group file --- */

static int get_status(const PmGroup *group, void *argument)
{
    struct vfio_group_status status;

    if (pm_user_read(&status, argument, sizeof(status)) < 0)
        return -EFAULT;
    if (status.argsz < sizeof(status))
        return -EINVAL;
    status.flags = 0;
    if (group->container != NULL || group->iommufd != NULL)
        status.flags = VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET;
    else if (pm_group_is_viable(group) && group->iommufd_group.owner == NULL)
        status.flags = VFIO_GROUP_FLAGS_VIABLE;
    return pm_user_write(argument, &status, sizeof(status));
}

/* An iommufd instead of a container: the group's devices will be attached to its compatibility
 * IOAS. */
static int join_iommufd(PmGroup *group, PmFakeIommufd *iommufd)
{
    pm_vfio_compat_make_ioas(iommufd);
    group->iommufd = pm_fake_iommufd_ref(iommufd);
    return 0;
}

static int set_container(PmGroup *group, const void *argument)
{
    const PmFakeMachine *machine = group->memory->machine;
    const PmFile *file;
    int result;
    int fd;

    if (pm_user_read(&fd, argument, sizeof(fd)) < 0)
        return -EFAULT;
    file = pm_file_table_find(&machine->files, fd);
    if (file == NULL && fcntl(fd, F_GETFD) < 0)
        return -EBADF;
    if (group->container != NULL || group->iommufd != NULL)
        return -EINVAL;
    if (file != NULL && file->ops == &pm_fake_iommufd_file_ops)
        return join_iommufd(group, file->object);
    if (file == NULL || file->ops != &pm_container_file_ops)
        return machine->config.linux_version == PM_FAKE_LINUX_6_1 ? -EINVAL : -EBADFD;
    /* An iommufd may own devices that are still open. */
    if (!pm_group_is_viable(group) || group->iommufd_group.owner != NULL)
        return -EPERM;
    result = pm_container_join(file->object);
    if (result == 0)
        group->container = file->object;
    return result;
}

static int unset_container(PmGroup *group)
{
    if (group->iommufd != NULL) {
        leave_iommufd(group);
        return 0;
    }
    if (group->container == NULL)
        return -EINVAL;
    if (group->n_device_files > 0)
        return -EBUSY;
    leave_container(group);
    return 0;
}

/* "ADDRESS" or "ADDRESS OPTIONS", where blanks are not options; a device without virtual
 * functions supports none. Returns NULL and sets @result on failure. */
static PmFakeVfioDevice *find_device(const PmGroup *group, const char *name, int *result)
{
    for (guint i = 0; i < group->devices->len; i++) {
        PmFakeVfioDevice *device = g_ptr_array_index(group->devices, i);
        size_t length = strlen(device->pci->address);

        if (device->pci->edu == NULL || strncmp(name, device->pci->address, length) != 0)
            continue;
        if (name[length] != ' ' && name[length] != '\0')
            continue;
        if (name[length + strspn(name + length, " ")] == '\0')
            return device;
        *result = -EINVAL;
        return NULL;
    }
    *result = -ENODEV;
    return NULL;
}

/* Byte by byte: the memory past the end of the text may be unreadable. */
static int read_name(const char *user, char *name)
{
    for (size_t i = 0; i < MAX_NAME; i++) {
        if (pm_user_read(&name[i], pm_user_at(user, i), 1) < 0)
            return -EFAULT;
        if (name[i] == '\0')
            return 0;
    }
    return -EINVAL;
}

/* Binds the device and attaches it to the compatibility IOAS. -ENODEV: there is none. */
static int bind_compat(PmFakeVfioDevice *device, PmFakeIommufd *iommufd)
{
    int result = pm_group_bind(device, iommufd);
    uint32_t id;

    if (result < 0)
        return result;
    if (iommufd->compat != NULL) {
        id = iommufd->compat->object.id;
        result = pm_iommufd_device_attach(device->bound, &id);
    } else {
        result = -ENODEV;
    }
    if (result < 0)
        pm_fake_vfio_device_unbind(device);
    return result;
}

/* Checks that the group has an IOMMU for the device, and adds the device to it. */
static int prepare_device(PmFakeVfioDevice *device)
{
    const PmGroup *group = device->group;

    if (group->iommufd == NULL)
        return pm_container_page_table(group->container) != NULL ? 0 : -EINVAL;
    return device->pci->n_open == 0 ? bind_compat(device, group->iommufd) : 0;
}

static int get_device_fd(PmGroup *group, const void *argument)
{
    char name[MAX_NAME];
    PmFakeVfioDevice *device;
    int result = read_name(argument, name);

    if (result < 0)
        return result;
    device = find_device(group, name, &result);
    if (device == NULL)
        return result;
    result = prepare_device(device);
    if (result < 0)
        return result;
    result =
        pm_file_table_open(&group->memory->machine->files, &device_file_ops, device, O_CLOEXEC);
    if (result >= 0) {
        group->n_device_files++;
        pm_pci_device_use(device->pci);
    } else if (device->pci->n_open == 0 && device->bound != NULL) {
        pm_fake_vfio_device_unbind(device);
    }
    return result;
}

static int group_ioctl(void *object, unsigned long request, void *argument)
{
    PmGroup *group = object;

    switch (request) {
    case VFIO_GROUP_GET_STATUS:
        return get_status(group, argument);
    case VFIO_GROUP_SET_CONTAINER:
        return set_container(group, argument);
    case VFIO_GROUP_UNSET_CONTAINER:
        return unset_container(group);
    case VFIO_GROUP_GET_DEVICE_FD:
        return get_device_fd(group, argument);
    default:
        return -ENOTTY;
    }
}

static const PmFileOps group_file_ops = {
    .release = release_group,
    .ioctl = group_ioctl,
    .mmap_error = ENODEV,
};

static bool has_vfio_device(const PmGroup *group)
{
    for (guint i = 0; i < group->devices->len; i++) {
        const PmFakeVfioDevice *device = g_ptr_array_index(group->devices, i);

        if (device->pci->edu != NULL)
            return true;
    }
    return false;
}

int pm_group_open(PmGroup *group, int flags)
{
    int fd;

    if (!has_vfio_device(group))
        return -ENODEV;
    if (pm_group_is_held(group) || group->n_bound_files > 0)
        return -EBUSY;
    fd = pm_file_table_open(&group->memory->machine->files, &group_file_ops, group, flags);
    group->is_open = fd >= 0;
    return fd;
}
