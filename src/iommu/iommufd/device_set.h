/* SPDX-License-Identifier: MIT */
/* Devices that are bound to one iommufd, each through the file of its own
 * (/dev/vfio/devices/vfioN). */
#ifndef PLUGMAP_SRC_IOMMU_IOMMUFD_DEVICE_SET_H
#define PLUGMAP_SRC_IOMMU_IOMMUFD_DEVICE_SET_H

#include <plugmap/kernel.h>

/* Fields are this object's own; set up with pm_vfio_device_set_init(). */
typedef struct {
    PmKernel *kernel; /* lives as long */
    int iommufd;
    GPtrArray *devices; /* of PmVfioDevice */
} PmVfioDeviceSet;

/* One that is bound. */
typedef struct {
    char *address;
    unsigned group; /* known only if sysfs was asked */
    int fd;
    bool is_lent;        /* the descriptor is not the set's (yet) */
    uint32_t id;         /* among the iommufd's objects */
    uint32_t page_table; /* what it is attached to: a HWPT; 0: nothing */
} PmVfioDevice;

void pm_vfio_device_set_init(PmVfioDeviceSet *set, PmKernel *kernel);

/* Detaches all devices: closing their files does not where registers are still mapped. */
void pm_vfio_device_set_detach_all(PmVfioDeviceSet *set);

/* Closes all devices' files, but those that are lent, and frees what the set holds. */
void pm_vfio_device_set_clear(PmVfioDeviceSet *set);

/*
 * Opens a device's file and binds it to the iommufd; it is attached to nothing yet. @path: its
 * file; NULL: as sysfs says. Owned by the set. NULL with an error: those of
 * pm_sysfs_find_device_file() and pm_vfio_open_node(); PM_ERROR_BUSY (bound already, here or
 * elsewhere, or in use through its group), PM_ERROR_NOT_VIABLE, PM_ERROR_UNSUPPORTED,
 * PM_ERROR_KERNEL.
 */
PmVfioDevice *pm_vfio_device_set_bind(PmVfioDeviceSet *set, const char *device, const char *path,
                                      GError **error);

/*
 * The same with a file that the caller has opened, and may have bound to this iommufd. The
 * descriptor is the caller's while PmVfioDevice.is_lent. @id: the device's id where it is bound;
 * where it is 0, it is bound by this, and *@id set to its id; NULL: the same, and nobody wants to
 * know. What has been bound stays bound. Errors: PM_ERROR_INVALID_ARGUMENT (no such descriptor, or
 * one that is here already; bound, and no @id; not bound, or not to this iommufd, and an @id), and
 * those of binding above.
 */
PmVfioDevice *pm_vfio_device_set_bind_fd(PmVfioDeviceSet *set, const char *device, int fd,
                                         uint32_t *id, GError **error);

/* Detaches it and closes its file, unless that is lent; the set forgets it. */
void pm_vfio_device_set_unbind(PmVfioDeviceSet *set, PmVfioDevice *device);

/* NULL if it is not bound. */
PmVfioDevice *pm_vfio_device_set_find(const PmVfioDeviceSet *set, const char *device);

/* VFIO_DEVICE_ATTACH_IOMMUFD_PT with an IOAS or a HWPT. Returns 0 or -errno. */
int pm_vfio_device_attach(const PmVfioDeviceSet *set, PmVfioDevice *device, uint32_t page_table);

/* VFIO_DEVICE_DETACH_IOMMUFD_PT: it reaches no memory any more. Returns 0 or -errno. */
int pm_vfio_device_detach(const PmVfioDeviceSet *set, PmVfioDevice *device);

#endif
