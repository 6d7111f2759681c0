/* SPDX-License-Identifier: MIT */
/* Devices bound to one iommufd, each through its device cdev (/dev/vfio/devices/vfioN). */
#ifndef PLUGMAP_SRC_IOMMU_IOMMUFD_DEVICE_SET_H
#define PLUGMAP_SRC_IOMMU_IOMMUFD_DEVICE_SET_H

#include "iommu/address_space.h"

/* Private fields; set up with pm_vfio_device_set_init(). */
typedef struct {
    PmKernel *kernel; /* outlives the set */
    int iommufd;
    GPtrArray *devices; /* of PmVfioDevice */
} PmVfioDeviceSet;

/* A bound device. */
typedef struct {
    char *address;
    unsigned group; /* known only if looked up in sysfs */
    int fd;
    bool is_lent;        /* the caller still owns the descriptor */
    uint32_t id;         /* object id in the iommufd */
    uint32_t page_table; /* the HWPT it is attached to; 0: none */
} PmVfioDevice;

void pm_vfio_device_set_init(PmVfioDeviceSet *set, PmKernel *kernel);

/* Detaches all devices explicitly: close() does not while registers are still mapped. */
void pm_vfio_device_set_detach_all(PmVfioDeviceSet *set);

/* Closes all device files except lent ones, and frees what the set holds. */
void pm_vfio_device_set_clear(PmVfioDeviceSet *set);

/*
 * Opens a device's file and binds it to the iommufd, without attaching it. @path: its file; NULL:
 * look it up in sysfs. Owned by the set. NULL with an error: those of pm_sysfs_find_device_file()
 * and pm_vfio_open_node(); PM_ERROR_BUSY (bound already, here or elsewhere, or in use through its
 * group), PM_ERROR_NOT_VIABLE, PM_ERROR_UNSUPPORTED, PM_ERROR_KERNEL.
 */
PmVfioDevice *pm_vfio_device_set_bind(PmVfioDeviceSet *set, const char *device, const char *path,
                                      GError **error);

/*
 * The same with a file that the caller has opened, and may have bound to this iommufd. The caller
 * owns the descriptor while PmVfioDevice.is_lent. *@id: the id of a bound device; if 0 (or @id is
 * NULL), binds the device and sets *@id. On failure the device stays bound. Errors:
 * PM_ERROR_INVALID_ARGUMENT (bad descriptor, or one that is in the set already; bound without @id;
 * @id without being bound to this iommufd), those of pm_vfio_device_set_bind().
 */
PmVfioDevice *pm_vfio_device_set_bind_fd(PmVfioDeviceSet *set, const char *device, int fd,
                                         uint32_t *id, GError **error);

/* Detaches the device, closes its file unless it is lent, and removes it from the set. */
void pm_vfio_device_set_unbind(PmVfioDeviceSet *set, PmVfioDevice *device);

/* NULL if it is not bound. */
PmVfioDevice *pm_vfio_device_set_find(const PmVfioDeviceSet *set, const char *device);

/* VFIO_DEVICE_ATTACH_IOMMUFD_PT with an IOAS or a HWPT. Returns 0 or -errno. */
int pm_vfio_device_attach(const PmVfioDeviceSet *set, PmVfioDevice *device, uint32_t page_table);

/* VFIO_DEVICE_DETACH_IOMMUFD_PT. Returns 0 or -errno. */
int pm_vfio_device_detach(const PmVfioDeviceSet *set, PmVfioDevice *device);

/* Appends copies of the devices to @files (of PmIommuFile), with the set's descriptors. */
void pm_vfio_device_set_describe(const PmVfioDeviceSet *set, GArray *files);

/* Fills an empty set with what another process had; takes ownership of the descriptors. */
void pm_vfio_device_set_adopt(PmVfioDeviceSet *set, const GArray *files);

#endif
