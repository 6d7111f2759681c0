/* SPDX-License-Identifier: MIT */
#include "fake/group.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fake/container.h"
#include "fake/device_file.h"
#include "fake/fake_kernel.h"
#include "fake/user_memory.h"
#include "kernel-uapi/vfio.h"

#define VFIO_DRIVER "vfio-pci"
#define MAX_NAME    4096

/* --- devices --- */

/* What the group's devices reach by DMA; nothing if it is in no container. */
static const PmPageTable *page_table_of(const PmPciDevice *device)
{
    return pm_container_page_table(device->group->container);
}

static void device_dma_read(void *user_data, uint64_t iova, void *buffer, uint64_t size)
{
    PmPciDevice *device = user_data;
    PmFakeKernel *fake = device->group->fake;

    pm_dma_read(page_table_of(device), fake->held, &fake->dma_faults, iova, buffer, size);
}

static void device_dma_write(void *user_data, uint64_t iova, const void *buffer, uint64_t size)
{
    PmPciDevice *device = user_data;
    PmFakeKernel *fake = device->group->fake;

    pm_dma_write(page_table_of(device), fake->held, &fake->dma_faults, iova, buffer, size);
}

static const PmEduDma device_dma = {
    .read = device_dma_read,
    .write = device_dma_write,
};

static void device_free(void *data)
{
    PmPciDevice *device = data;

    g_clear_pointer(&device->edu, pm_edu_free);
    g_free(device->address);
    g_free(device->driver);
    g_free(device);
}

void pm_group_add_device(PmGroup *group, const char *address, const char *driver)
{
    PmPciDevice *device = g_new0(PmPciDevice, 1);

    device->group = group;
    device->address = g_strdup(address);
    device->driver = g_strdup(driver);
    pm_irqs_init(&device->irqs);
    if (g_strcmp0(driver, VFIO_DRIVER) == 0)
        device->edu = pm_edu_new(&device_dma, device);
    g_ptr_array_add(group->devices, device);
}

/* --- life cycle --- */

PmGroup *pm_group_new(PmFakeKernel *fake, unsigned number)
{
    PmGroup *group = g_new0(PmGroup, 1);

    group->fake = fake;
    group->number = number;
    group->devices = g_ptr_array_new_with_free_func(device_free);
    return group;
}

void pm_group_free(void *data)
{
    PmGroup *group = data;

    g_ptr_array_unref(group->devices);
    g_free(group);
}

bool pm_group_in_use(const PmGroup *group)
{
    return group->is_open || group->n_device_files > 0;
}

/* A device file keeps the group in its container; the last file that is closed takes it out. */
static void leave_if_unused(PmGroup *group)
{
    if (!pm_group_in_use(group) && group->container != NULL)
        pm_container_leave(group);
}

static void release_group(void *object)
{
    PmGroup *group = object;

    group->is_open = false;
    leave_if_unused(group);
}

static void release_device(void *object)
{
    PmPciDevice *device = object;

    device->group->n_device_files--;
    if (--device->n_open == 0) {
        pm_irqs_clear(&device->irqs);
        pm_edu_set_msi_enabled(device->edu, false);
        pm_edu_disable(device->edu);
    }
    leave_if_unused(device->group);
}

/* --- device file --- */

static int device_ioctl(void *object, unsigned long request, void *argument)
{
    PmPciDevice *device = object;
    const PmFakeKernel *fake = device->group->fake;

    if (request == VFIO_DEVICE_SET_IRQS) {
        int result =
            pm_irqs_set(&device->irqs, &fake->files, pm_edu_intx_disabled(device->edu), argument);

        pm_edu_set_msi_enabled(device->edu, pm_irqs_are_messages(&device->irqs));
        return result;
    }
    return pm_device_file_ioctl(fake->config.linux_version, request, argument);
}

static ssize_t device_pread(void *object, void *buffer, size_t size, uint64_t offset)
{
    PmPciDevice *device = object;

    return pm_device_file_pread(device->edu, device->group->fake->config.linux_version, buffer,
                                size, offset);
}

static ssize_t device_pwrite(void *object, const void *buffer, size_t size, uint64_t offset)
{
    PmPciDevice *device = object;

    return pm_device_file_pwrite(device->edu, device->group->fake->config.linux_version, buffer,
                                 size, offset);
}

static const PmFileOps device_file_ops = {
    .release = release_device,
    .ioctl = device_ioctl,
    .pread = device_pread,
    .pwrite = device_pwrite,
    .mmap_error = EINVAL,
};

/* --- group file --- */

/* A host driver on any device of the group owns its DMA. */
static bool is_viable(const PmGroup *group)
{
    for (guint i = 0; i < group->devices->len; i++) {
        const PmPciDevice *device = g_ptr_array_index(group->devices, i);

        if (device->driver != NULL && device->edu == NULL)
            return false;
    }
    return true;
}

static int get_status(const PmGroup *group, void *argument)
{
    struct vfio_group_status status;

    if (pm_user_read(&status, argument, sizeof(status)) < 0)
        return -EFAULT;
    if (status.argsz < sizeof(status))
        return -EINVAL;
    status.flags = 0;
    if (group->container != NULL)
        status.flags = VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET;
    else if (is_viable(group))
        status.flags = VFIO_GROUP_FLAGS_VIABLE;
    return pm_user_write(argument, &status, sizeof(status));
}

static int set_container(PmGroup *group, const void *argument)
{
    PmFakeKernel *fake = group->fake;
    const PmFile *file;
    int fd;

    if (pm_user_read(&fd, argument, sizeof(fd)) < 0)
        return -EFAULT;
    file = pm_file_table_find(&fake->files, fd);
    if (file == NULL && fcntl(fd, F_GETFD) < 0)
        return -EBADF;
    if (group->container != NULL)
        return -EINVAL;
    if (file == NULL || file->ops != &pm_container_file_ops)
        return fake->config.linux_version == PM_FAKE_LINUX_6_1 ? -EINVAL : -EBADFD;
    if (!is_viable(group))
        return -EPERM;
    return pm_container_join(file->object, group);
}

static int unset_container(PmGroup *group)
{
    if (group->container == NULL)
        return -EINVAL;
    if (group->n_device_files > 0)
        return -EBUSY;
    pm_container_leave(group);
    return 0;
}

/* «ADDRESS» or «ADDRESS OPTIONS», and blanks are no option; a device without virtual functions
 * takes none. NULL with @result set. */
static PmPciDevice *find_device(const PmGroup *group, const char *name, int *result)
{
    for (guint i = 0; i < group->devices->len; i++) {
        PmPciDevice *device = g_ptr_array_index(group->devices, i);
        size_t length = strlen(device->address);

        if (device->edu == NULL || strncmp(name, device->address, length) != 0)
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

/* Byte by byte, because nobody says how much can be read behind the end of the text. */
static int read_name(const char *user, char *name)
{
    for (size_t i = 0; i < MAX_NAME; i++) {
        if (pm_user_read(&name[i], user + i, 1) < 0)
            return -EFAULT;
        if (name[i] == '\0')
            return 0;
    }
    return -EINVAL;
}

static int get_device_fd(PmGroup *group, const void *argument)
{
    char name[MAX_NAME];
    PmPciDevice *device;
    int result = read_name(argument, name);

    if (result < 0)
        return result;
    device = find_device(group, name, &result);
    if (device == NULL)
        return result;
    if (pm_container_page_table(group->container) == NULL)
        return -EINVAL;
    result = pm_file_table_open(&group->fake->files, &device_file_ops, device, O_CLOEXEC);
    if (result < 0)
        return result;
    group->n_device_files++;
    if (device->n_open++ == 0)
        pm_edu_enable(device->edu);
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
        const PmPciDevice *device = g_ptr_array_index(group->devices, i);

        if (device->edu != NULL)
            return true;
    }
    return false;
}

int pm_group_open(PmGroup *group, int flags)
{
    int fd;

    if (!has_vfio_device(group))
        return -ENODEV;
    if (pm_group_in_use(group))
        return -EBUSY;
    fd = pm_file_table_open(&group->fake->files, &group_file_ops, group, flags);
    group->is_open = fd >= 0;
    return fd;
}
