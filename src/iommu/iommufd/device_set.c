/* SPDX-License-Identifier: MIT */
#include "iommu/iommufd/device_set.h"

#include <errno.h>

#include "base/error_text.h"
#include "base/log.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"
#include "vfio/device_node.h"
#include "vfio/group.h"
#include "vfio/sysfs.h"

#define NO_GROUP G_MAXUINT

void pm_vfio_device_set_init(PmVfioDeviceSet *set, PmKernel *kernel, const char *sysfs_root)
{
    set->kernel = kernel;
    set->iommufd = -1;
    set->sysfs_root = g_strdup(sysfs_root);
    set->devices = g_ptr_array_new();
}

static void detach(const PmVfioDeviceSet *set, PmVfioDevice *device)
{
    if (device->page_table != 0 && pm_vfio_device_detach(set, device) < 0)
        pm_log(
            G_LOG_LEVEL_WARNING,
            "detaching %s failed: where its registers are still mapped it reaches what is mapped "
            "for it until they are unmapped",
            device->address);
}

static void close_device(PmVfioDeviceSet *set, PmVfioDevice *device)
{
    g_ptr_array_remove_fast(set->devices, device);
    if (device->fd >= 0)
        (void)pm_kernel_close(set->kernel, device->fd);
    g_free(device->address);
    g_free(device);
}

void pm_vfio_device_set_unbind(PmVfioDeviceSet *set, PmVfioDevice *device)
{
    detach(set, device);
    close_device(set, device);
}

void pm_vfio_device_set_detach_all(PmVfioDeviceSet *set)
{
    for (guint i = 0; i < set->devices->len; i++)
        detach(set, set->devices->pdata[i]);
}

void pm_vfio_device_set_clear(PmVfioDeviceSet *set)
{
    while (set->devices->len > 0)
        close_device(set, set->devices->pdata[0]);
    g_ptr_array_unref(set->devices);
    g_free(set->sysfs_root);
}

PmVfioDevice *pm_vfio_device_set_find(const PmVfioDeviceSet *set, const char *device)
{
    for (guint i = 0; i < set->devices->len; i++) {
        PmVfioDevice *found = set->devices->pdata[i];

        if (g_str_equal(found->address, device))
            return found;
    }
    return NULL;
}

/* Another driver owns the group's DMA, or an interrupt could be forged; the kernel says the same to
 * both. */
static bool fail_not_permitted(const PmVfioDeviceSet *set, const PmVfioDevice *device,
                               GError **error)
{
    g_autofree char *unbinding = device->group != NO_GROUP
                                     ? pm_sysfs_describe_unbinding(set->sysfs_root, device->group)
                                     : g_strdup("");

    if (*unbinding != '\0')
        return pm_vfio_fail_not_viable(error, device->group, set->sysfs_root);
    return pm_fail(
        error, PM_ERROR_UNSUPPORTED,
        "%s cannot be bound to the iommufd (EPERM): another driver has a device of its IOMMU "
        "group, or there is no interrupt remapping. Enable that in the firmware (VT-d, x2APIC), "
        "or, if you trust the device, do without, as root:\n"
        "  modprobe iommufd allow_unsafe_interrupts=1",
        device->address);
}

static bool fail_bind(const PmVfioDeviceSet *set, const PmVfioDevice *device, const char *path,
                      int error_number, GError **error)
{
    switch (error_number) {
    case EPERM:
        return fail_not_permitted(set, device, error);
    case EBUSY:
        return pm_fail(error, PM_ERROR_BUSY,
                       "%s cannot be bound to the iommufd (EBUSY): its IOMMU group is open, as the "
                       "back end type1 does it. This tells whose:\n"
                       "  fuser -v /dev/vfio/*",
                       device->address);
    case EINVAL:
        return pm_fail(error, PM_ERROR_BUSY,
                       "%s cannot be bound to the iommufd (EINVAL): it is bound through another "
                       "file already, or its DMA is not cache coherent. This tells who has it:\n"
                       "  fuser -v %s",
                       device->address, path);
    case ENOTTY:
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "%s cannot be bound to the iommufd (ENOTTY): this kernel's VFIO is built "
                       "without iommufd. Use the back end type1",
                       device->address);
    default:
        return pm_vfio_fail_ioctl(error, error_number, PM_SEE_KERNEL_LOG,
                                  "binding %s (%s) to the iommufd", device->address, path);
    }
}

static bool bind_device(const PmVfioDeviceSet *set, PmVfioDevice *device, const char *path,
                        GError **error)
{
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind, .iommufd = set->iommufd};
    int result;

    device->fd = pm_vfio_open_node(set->kernel, path,
                                   "the device has left vfio-pci, or nobody has made its file: "
                                   "check that /dev is a devtmpfs",
                                   error);
    if (device->fd < 0)
        return false;
    result = pm_kernel_ioctl(set->kernel, device->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);
    if (result < 0) {
        (void)fail_bind(set, device, path, -result, error);
        return pm_note_errno(error, -result);
    }
    device->id = bind.out_devid;
    return true;
}

PmVfioDevice *pm_vfio_device_set_bind(PmVfioDeviceSet *set, const char *device, const char *path,
                                      GError **error)
{
    g_autofree char *found = NULL;
    unsigned group = NO_GROUP;
    PmVfioDevice *bound;

    if (pm_vfio_device_set_find(set, device) != NULL) {
        (void)pm_fail(error, PM_ERROR_BUSY, "%s is attached to this address space already", device);
        return NULL;
    }
    if (path == NULL && !pm_sysfs_find_device_file(set->sysfs_root, device, &found, &group, error))
        return NULL;
    bound = g_new0(PmVfioDevice, 1);
    bound->address = g_strdup(device);
    bound->group = group;
    g_ptr_array_add(set->devices, bound);
    if (bind_device(set, bound, path != NULL ? path : found, error))
        return bound;
    pm_vfio_device_set_unbind(set, bound);
    return NULL;
}

int pm_vfio_device_attach(const PmVfioDeviceSet *set, PmVfioDevice *device, uint32_t page_table)
{
    struct vfio_device_attach_iommufd_pt attach = {.argsz = sizeof attach, .pt_id = page_table};
    int result = pm_kernel_ioctl(set->kernel, device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);

    if (result == 0)
        device->page_table = attach.pt_id;
    return result;
}

int pm_vfio_device_detach(const PmVfioDeviceSet *set, PmVfioDevice *device)
{
    struct vfio_device_detach_iommufd_pt detach = {.argsz = sizeof detach};
    int result = pm_kernel_ioctl(set->kernel, device->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);

    if (result == 0)
        device->page_table = 0;
    return result;
}
