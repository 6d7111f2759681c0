/* SPDX-License-Identifier: MIT */
/* A PCI device in sysfs, and its IOMMU group. */
#ifndef PLUGMAP_SRC_HOST_HOST_DEVICE_H
#define PLUGMAP_SRC_HOST_HOST_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

/*
 * @driver: NULL if none. @cdev: name of its device cdev ("vfio0"); NULL if none.
 * @iommu: name in /sys/class/iommu; NULL if unknown.
 */
typedef struct {
    char *address;
    unsigned vendor;
    unsigned device;
    unsigned class;
    char *driver;
    char *cdev;
    char *iommu;
    bool has_group;
    unsigned group;
} PmHostDevice;

/* @root: as in host_files.h. Errors: PM_ERROR_NOT_FOUND (no such device), those of pm_host_read().
 */
PmHostDevice *pm_host_device_read(const char *root, const char *address, GError **error);
void pm_host_device_free(PmHostDevice *device);

/* Whether its driver is vfio-pci or a variant of it. */
bool pm_host_device_is_ready(const PmHostDevice *device);

/* The PCI functions that can be passed through, of PmHostDevice, ascending: not bridges, with an
 * IOMMU group. Errors: those of pm_host_read(). */
GPtrArray *pm_host_device_list(const char *root, GError **error);

/* The devices of a group, ascending. Errors: those of pm_host_list(). */
GStrv pm_host_group_members(const char *root, unsigned group, GError **error);

/* The driver of a member, which need not be a PCI device; NULL: none. A new string. */
char *pm_host_group_member_driver(const char *root, unsigned group, const char *member);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmHostDevice, pm_host_device_free)

#endif
