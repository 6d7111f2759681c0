/* SPDX-License-Identifier: MIT */
/* /sys: PCI devices, their drivers, device cdevs, and IOMMU groups. Linux:
 * Documentation/ABI/testing/sysfs-bus-pci, sysfs-kernel-iommu_groups and vfio_main.c. */
#ifndef PLUGMAP_SRC_FAKE_SYSFS_SYSFS_H
#define PLUGMAP_SRC_FAKE_SYSFS_SYSFS_H

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

typedef struct {
    const GPtrArray *groups; /* of PmGroup */
    bool device_files;       /* devices have cdevs */
} PmFakeSysfs;

/* readlink(2). */
ssize_t pm_fake_sysfs_readlink(const PmFakeSysfs *sysfs, const char *path, char *buffer,
                               size_t size);

/* The names in a directory, to be freed by the caller. Returns 0 or -errno. */
int pm_fake_sysfs_list(const PmFakeSysfs *sysfs, const char *path, GStrv *names);

#endif
