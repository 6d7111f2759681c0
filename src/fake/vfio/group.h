/* SPDX-License-Identifier: MIT */
/* IOMMU groups as VFIO sees them. Linux: struct vfio_group. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_GROUP_H
#define PLUGMAP_SRC_FAKE_VFIO_GROUP_H

#include "fake/iommufd/iommufd_group.h"
#include "fake/vfio/container.h"
#include "fake/vfio/vfio_device.h"

typedef struct PmGroup {
    PmFakeMemory *memory;
    unsigned number;
    GPtrArray *devices;      /* of PmFakeVfioDevice */
    PmContainer *container;  /* NULL: none */
    PmFakeIommufd *iommufd;  /* instead of a container; NULL: none */
    bool is_open;            /* the group file */
    unsigned n_device_files; /* from VFIO_GROUP_GET_DEVICE_FD */
    unsigned n_bound_files;  /* bound through their device cdevs */
    PmIommufdGroup iommufd_group;
} PmGroup;

PmGroup *pm_group_new(PmFakeMemory *memory, unsigned number);
void pm_group_free(void *data); /* a PmGroup; a GDestroyNotify */

/* @number: pm_fake_vfio_device_new()'s. */
PmFakeVfioDevice *pm_group_add_device(PmGroup *group, const char *address, const char *driver,
                                      unsigned number);

/* Whether a file of the group or of one of its devices is open. */
bool pm_group_in_use(const PmGroup *group);
/* Whether the group file is open, or devices opened while in a container keep it open. */
bool pm_group_is_held(const PmGroup *group);

/* False if a device has a host driver, which then owns the group's DMA. */
bool pm_group_is_viable(const PmGroup *group);

/* Binds a device of the group. Returns 0, or -EPERM (the group's DMA has another owner). */
int pm_group_bind(PmFakeVfioDevice *device, PmFakeIommufd *iommufd);

/* The page table for the group's DMA; NULL: none. */
PmPageTable *pm_group_page_table(const PmGroup *group);

#endif
