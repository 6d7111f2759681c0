/* SPDX-License-Identifier: MIT */
#include "fake/vfio/device_cdev.h"

#include <errno.h>
#include <fcntl.h>

#include "fake/iommufd/iommufd_file.h"
#include "fake/memory/user_memory.h"
#include "fake/vfio/group.h"
#include "kernel-uapi/vfio.h"

/* An open file. Only one per device can be bound; all other requests need it to be. */
typedef struct {
    PmFakeVfioDevice *device;
    bool is_bound;
} PmDeviceCdev;

static void unbind(PmDeviceCdev *file)
{
    PmFakeVfioDevice *device = file->device;

    file->is_bound = false;
    pm_pci_device_unuse(device->pci);
    pm_fake_vfio_device_unbind(device);
    device->group->n_bound_files--;
}

static void release_cdev(void *object)
{
    PmDeviceCdev *file = object;

    if (file->is_bound)
        unbind(file);
    g_free(file);
}

/* @iommufd: set to the iommufd of @fd. */
static int find_iommufd(const PmFakeMachine *machine, int fd, PmFakeIommufd **iommufd)
{
    const PmFile *file = pm_file_table_find(&machine->files, fd);

    if (file == NULL && fcntl(fd, F_GETFD) < 0)
        return -EBADF;
    if (file == NULL || file->ops != &pm_fake_iommufd_file_ops)
        return -EBADFD;
    *iommufd = file->object;
    return 0;
}

static int check_bind(const PmDeviceCdev *file, const struct vfio_device_bind_iommufd *request,
                      PmFakeIommufd **iommufd)
{
    const PmGroup *group = file->device->group;
    int result;

    if (request->argsz < sizeof(*request) || request->flags != 0 || request->iommufd < 0)
        return -EINVAL;
    if (pm_group_is_held(group))
        return -EBUSY;
    if (file->is_bound)
        return -EINVAL;
    result = find_iommufd(group->memory->machine, request->iommufd, iommufd);
    /* Another file of the device is bound. */
    return result == 0 && file->device->bound != NULL ? -EINVAL : result;
}

static int bind_iommufd(PmDeviceCdev *file, void *argument)
{
    struct vfio_device_bind_iommufd request;
    PmFakeVfioDevice *device = file->device;
    PmFakeIommufd *iommufd = NULL;
    int result;

    if (pm_user_read(&request, argument, sizeof(request)) < 0)
        return -EFAULT;
    result = check_bind(file, &request, &iommufd);
    if (result == 0)
        result = pm_group_bind(device, iommufd);
    if (result < 0)
        return result;
    file->is_bound = true;
    device->group->n_bound_files++;
    pm_pci_device_use(device->pci);
    result =
        pm_user_write((uint8_t *)argument + offsetof(struct vfio_device_bind_iommufd, out_devid),
                      &device->bound->object.id, sizeof(device->bound->object.id));
    if (result < 0)
        unbind(file);
    return result;
}

static int attach(PmFakeVfioDevice *device, void *argument)
{
    struct vfio_device_attach_iommufd_pt request;
    int result;

    if (pm_user_read(&request, argument, sizeof(request)) < 0)
        return -EFAULT;
    if (request.argsz < sizeof(request) || request.flags != 0)
        return -EINVAL;
    result = pm_iommufd_device_attach(device->bound, &request.pt_id);
    if (result < 0)
        return result;
    result =
        pm_user_write((uint8_t *)argument + offsetof(struct vfio_device_attach_iommufd_pt, pt_id),
                      &request.pt_id, sizeof(request.pt_id));
    if (result < 0)
        pm_iommufd_device_detach(device->bound);
    return result;
}

static int detach(PmFakeVfioDevice *device, const void *argument)
{
    struct vfio_device_detach_iommufd_pt request;

    if (pm_user_read(&request, argument, sizeof(request)) < 0)
        return -EFAULT;
    if (request.argsz < sizeof(request) || request.flags != 0)
        return -EINVAL;
    pm_iommufd_device_detach(device->bound);
    return 0;
}

static int cdev_ioctl(void *object, unsigned long request, void *argument)
{
    PmDeviceCdev *file = object;

    if (request == VFIO_DEVICE_BIND_IOMMUFD)
        return bind_iommufd(file, argument);
    if (!file->is_bound)
        return -EINVAL;
    switch (request) {
    case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
        return attach(file->device, argument);
    case VFIO_DEVICE_DETACH_IOMMUFD_PT:
        return detach(file->device, argument);
    default:
        return pm_pci_device_ioctl(file->device->pci, request, argument);
    }
}

static ssize_t cdev_pread(void *object, void *buffer, size_t size, uint64_t offset)
{
    const PmDeviceCdev *file = object;

    return file->is_bound ? pm_pci_device_pread(file->device->pci, buffer, size, offset) : -EINVAL;
}

static ssize_t cdev_pwrite(void *object, const void *buffer, size_t size, uint64_t offset)
{
    const PmDeviceCdev *file = object;

    return file->is_bound ? pm_pci_device_pwrite(file->device->pci, buffer, size, offset) : -EINVAL;
}

static const PmFileOps cdev_file_ops = {
    .release = release_cdev,
    .ioctl = cdev_ioctl,
    .pread = cdev_pread,
    .pwrite = cdev_pwrite,
    .mmap_error = EINVAL,
};

int pm_device_cdev_open(PmFakeVfioDevice *device, int flags)
{
    PmDeviceCdev *file = g_new0(PmDeviceCdev, 1);
    int fd;

    file->device = device;
    fd = pm_file_table_open(&device->group->memory->machine->files, &cdev_file_ops, file, flags);
    if (fd < 0)
        g_free(file);
    return fd;
}
