/* SPDX-License-Identifier: MIT */
#include "iommu/iommufd/device_set.h"

#include <errno.h>
#include <inttypes.h>

#include "base/error_text.h"
#include "base/log.h"
#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "kernel/kernel_calls.h"
#include "vfio/device_node.h"
#include "vfio/group.h"
#include "vfio/sysfs.h"

#define NO_GROUP G_MAXUINT

#define DEVICE_FILE "a VFIO device cdev (/dev/vfio/devices/vfioN)"

void pm_vfio_device_set_init(PmVfioDeviceSet *set, PmKernel *kernel)
{
    set->kernel = kernel;
    set->iommufd = -1;
    set->devices = g_ptr_array_new();
}

static void detach(const PmVfioDeviceSet *set, PmVfioDevice *device)
{
    if (device->page_table != 0 && pm_vfio_device_detach(set, device) < 0)
        pm_log(
            G_LOG_LEVEL_WARNING,
            "detaching %s failed: while its registers are mapped, it can still access all mappings",
            device->address);
}

static void close_device(PmVfioDeviceSet *set, PmVfioDevice *device)
{
    g_ptr_array_remove_fast(set->devices, device);
    if (device->fd >= 0 && !device->is_lent)
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

/* Another driver owns the group's DMA, or interrupts are not isolated: EPERM means either. */
static bool fail_not_permitted(const PmVfioDeviceSet *set, const PmVfioDevice *device,
                               GError **error)
{
    g_autofree char *unbinding = device->group != NO_GROUP
                                     ? pm_sysfs_describe_unbinding(set->kernel, device->group)
                                     : g_strdup("");

    if (*unbinding != '\0')
        return pm_vfio_fail_not_viable(error, set->kernel, device->group);
    return pm_fail(
        error, PM_ERROR_UNSUPPORTED,
        "cannot bind %s to the iommufd: EPERM: another driver or iommufd has a device of "
        "its IOMMU group, or there is no interrupt remapping. Enable interrupt remapping in the "
        "firmware (VT-d, x2APIC), or, if you trust the device, do without, as root:\n"
        "  modprobe iommufd allow_unsafe_interrupts=1",
        device->address);
}

static bool fail_bound_elsewhere(const PmVfioDevice *device, const char *files, GError **error)
{
    return pm_fail(error, PM_ERROR_BUSY,
                   "cannot bind %s to the iommufd: EINVAL: another open file has bound it already, "
                   "or its DMA is not cache coherent. To find its user:\n"
                   "  fuser -v %s",
                   device->address, files);
}

/* A device file accepts no other request before it is bound. Returns 0 or -errno. */
static int check_is_bound(const PmVfioDeviceSet *set, int fd)
{
    struct vfio_device_info info = {.argsz = sizeof info};
    int result = pm_kernel_ioctl(set->kernel, fd, VFIO_DEVICE_GET_INFO, &info);

    return MIN(result, 0);
}

/* Causes that only a file opened by the caller can have. */
static bool fail_bind_fd(const PmVfioDeviceSet *set, const PmVfioDevice *device, int error_number,
                         GError **error)
{
    if (error_number != EINVAL)
        return pm_vfio_fail_descriptor(error, error_number, device->fd, DEVICE_FILE);
    if (check_is_bound(set, device->fd) < 0)
        return fail_bound_elsewhere(device, "/dev/vfio/devices/*", error);
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "descriptor %d of %s is already bound to an iommufd: set device_id to the "
                   "out_devid that VFIO_DEVICE_BIND_IOMMUFD returned",
                   device->fd, device->address);
}

/* @path: NULL if the caller opened the file. */
static bool fail_bind(const PmVfioDeviceSet *set, const PmVfioDevice *device, const char *path,
                      int error_number, GError **error)
{
    if (path == NULL && error_number != EPERM && error_number != EBUSY)
        return fail_bind_fd(set, device, error_number, error);
    switch (error_number) {
    case EPERM:
        return fail_not_permitted(set, device, error);
    case EBUSY:
        return pm_fail(error, PM_ERROR_BUSY,
                       "cannot bind %s to the iommufd: EBUSY: its IOMMU group is open, as for the "
                       "back end type1. To find its user:\n"
                       "  fuser -v /dev/vfio/*",
                       device->address);
    case EINVAL:
        return fail_bound_elsewhere(device, path, error);
    case ENOTTY:
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "cannot bind %s to the iommufd: ENOTTY: this kernel's VFIO is built without "
                       "iommufd. Use the back end type1",
                       device->address);
    default:
        return pm_fail_ioctl(error, error_number, PM_SEE_KERNEL_LOG,
                             "binding %s (%s) to the iommufd", device->address, path);
    }
}

static bool bind_device(const PmVfioDeviceSet *set, PmVfioDevice *device, const char *path,
                        GError **error)
{
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind, .iommufd = set->iommufd};
    int result = pm_kernel_ioctl(set->kernel, device->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);

    if (result < 0) {
        (void)fail_bind(set, device, path, -result, error);
        return pm_note_errno(error, -result);
    }
    device->id = bind.out_devid;
    return true;
}

static bool open_and_bind(const PmVfioDeviceSet *set, PmVfioDevice *device, const char *path,
                          GError **error)
{
    device->fd = pm_vfio_open_node(set->kernel, path,
                                   "the device was unbound from vfio-pci, or its device node is "
                                   "missing: check that /dev is a devtmpfs",
                                   error);
    return device->fd >= 0 && bind_device(set, device, path, error);
}

/* NULL with an error if it is in the set already. */
static PmVfioDevice *add_device(PmVfioDeviceSet *set, const char *device, int fd, GError **error)
{
    PmVfioDevice *added;

    if (pm_vfio_device_set_find(set, device) != NULL) {
        (void)pm_vfio_fail_attached(error, device);
        return NULL;
    }
    added = g_new0(PmVfioDevice, 1);
    added->address = g_strdup(device);
    added->group = NO_GROUP;
    added->fd = fd;
    g_ptr_array_add(set->devices, added);
    return added;
}

PmVfioDevice *pm_vfio_device_set_bind(PmVfioDeviceSet *set, const char *device, const char *path,
                                      GError **error)
{
    g_autofree char *found = NULL;
    PmVfioDevice *bound = add_device(set, device, -1, error);

    if (bound == NULL)
        return NULL;
    if ((path != NULL ||
         pm_sysfs_find_device_file(set->kernel, device, &found, &bound->group, error)) &&
        open_and_bind(set, bound, path != NULL ? path : found, error))
        return bound;
    pm_vfio_device_set_unbind(set, bound);
    return NULL;
}

/* --- files opened by the caller --- */

/* A descriptor in the set twice would be closed twice. */
static bool is_ours(const PmVfioDeviceSet *set, int fd)
{
    bool found = fd == set->iommufd;

    for (guint i = 0; i < set->devices->len; i++)
        found = found || ((const PmVfioDevice *)set->devices->pdata[i])->fd == fd;
    return found;
}

/* The kernel does not report whether both are the same device. */
static bool check_bound(const PmVfioDeviceSet *set, const PmVfioDevice *device, GError **error)
{
    struct iommu_hw_info info = {.size = sizeof info, .dev_id = device->id};
    int result = check_is_bound(set, device->fd);

    if (result == -EINVAL)
        (void)pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                      "descriptor %d of %s is not bound to an iommufd: set device_id to 0",
                      device->fd, device->address);
    else if (result < 0)
        (void)pm_vfio_fail_descriptor(error, -result, device->fd, DEVICE_FILE);
    if (result < 0)
        return pm_note_errno(error, -result);
    if (pm_kernel_ioctl(set->kernel, set->iommufd, IOMMU_GET_HW_INFO, &info) != -ENOENT)
        return true;
    (void)pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                  "invalid device_id of %s: the iommufd has no device %u. Pass the out_devid that "
                  "VFIO_DEVICE_BIND_IOMMUFD returned, and the iommufd it was bound to",
                  device->address, device->id);
    return pm_note_errno(error, ENOENT);
}

/* With two names for one device, detaching one would detach the other. */
static bool check_new_id(const PmVfioDeviceSet *set, const char *device, uint32_t id,
                         GError **error)
{
    for (guint i = 0; i < set->devices->len; i++) {
        const PmVfioDevice *other = set->devices->pdata[i];

        if (other->id == id)
            return pm_fail(
                error, PM_ERROR_BUSY,
                "invalid device_id %" PRIu32
                " of %s: it is the id of %s, which is already attached to this address space",
                id, device, other->address);
    }
    return true;
}

PmVfioDevice *pm_vfio_device_set_bind_fd(PmVfioDeviceSet *set, const char *device, int fd,
                                         uint32_t *id, GError **error)
{
    PmVfioDevice *bound;
    bool is_known = id != NULL && *id != 0;

    if (fd < 0 || is_ours(set, fd)) {
        (void)pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                      "descriptor %d is not " DEVICE_FILE ", or is already in this address space",
                      fd);
        return NULL;
    }
    if (is_known && !check_new_id(set, device, *id, error))
        return NULL;
    bound = add_device(set, device, fd, error);
    if (bound == NULL)
        return NULL;
    bound->is_lent = true;
    if (is_known)
        bound->id = *id;
    if (is_known ? check_bound(set, bound, error) : bind_device(set, bound, NULL, error)) {
        if (id != NULL)
            *id = bound->id;
        return bound;
    }
    pm_vfio_device_set_unbind(set, bound);
    return NULL;
}

/* --- attaching --- */

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

/* --- handover --- */

void pm_vfio_device_set_describe(const PmVfioDeviceSet *set, GArray *files)
{
    for (guint i = 0; i < set->devices->len; i++) {
        const PmVfioDevice *device = set->devices->pdata[i];
        const PmIommuFile file = {
            .fd = device->fd,
            .address = g_strdup(device->address),
            .number = device->id,
            .has_number = device->group != NO_GROUP,
            .group = device->group,
            .page_table = device->page_table,
        };

        g_array_append_val(files, file);
    }
}

void pm_vfio_device_set_adopt(PmVfioDeviceSet *set, const GArray *files)
{
    for (guint i = 0; i < files->len; i++) {
        const PmIommuFile *file = &g_array_index(files, PmIommuFile, i);
        PmVfioDevice *device = g_new0(PmVfioDevice, 1);

        device->address = g_strdup(file->address);
        device->group = file->has_number ? file->group : NO_GROUP;
        device->fd = file->fd;
        device->id = file->number;
        device->page_table = file->page_table;
        g_ptr_array_add(set->devices, device);
    }
}
