/* SPDX-License-Identifier: MIT */
/* IOMMU groups as VFIO has them. Linux: struct vfio_group. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_GROUP_H
#define PLUGMAP_SRC_FAKE_VFIO_GROUP_H

#include "fake/iommufd/iommufd_group.h"
#include "fake/vfio/container.h"
#include "fake/vfio/vfio_device.h"

typedef struct PmGroup {
    PmFakeMemory *memory;
    unsigned number;
    GPtrArray *devices;      /* of PmFakeVfioDevice */
    PmContainer *container;  /* NULL: in none */
    PmFakeIommufd *iommufd;  /* in a container's place; NULL: none */
    bool is_open;            /* the group's own file */
    unsigned n_device_files; /* that were got through the group's file */
    unsigned n_bound_files;  /* bound through files of the devices' own */
    PmIommufdGroup iommufd_group;
} PmGroup;

PmGroup *pm_group_new(PmFakeMemory *memory, unsigned number);
void pm_group_free(void *data); /* a PmGroup; for GLib's containers */

/* @number: pm_fake_vfio_device_new()'s. */
PmFakeVfioDevice *pm_group_add_device(PmGroup *group, const char *address, const char *driver,
                                      unsigned number);

/* Whether a file of the group or of one of its devices is open. */
bool pm_group_in_use(const PmGroup *group);
/* Whether its file is open, or kept so by devices that were got while it was in a container. */
bool pm_group_is_held(const PmGroup *group);

/* No device of it has a host driver, which would own the group's DMA. */
bool pm_group_is_viable(const PmGroup *group);

/* Binds a device of the group. Returns 0, or -EPERM: somebody else owns DMA of the group. */
int pm_group_bind(PmFakeVfioDevice *device, PmFakeIommufd *iommufd);

/* What the group's devices reach by DMA; NULL: nothing. */
PmPageTable *pm_group_page_table(const PmGroup *group);

#endif
