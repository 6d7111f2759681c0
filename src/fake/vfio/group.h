/* SPDX-License-Identifier: MIT */
/* IOMMU groups and their files. Linux: drivers/vfio/group.c; drivers/iommu/iommufd/device.c for
 * what devices of a group share there. */
#ifndef PLUGMAP_SRC_FAKE_VFIO_GROUP_H
#define PLUGMAP_SRC_FAKE_VFIO_GROUP_H

#include <stdbool.h>

#include <glib.h>

#include "fake/memory/memory.h"
#include "fake/memory/page_table.h"
#include "fake/pci/pci_device.h"

struct PmContainer;
struct PmHwpt;
struct PmFakeIommufd;

typedef struct PmGroup {
    PmFakeMemory *memory;
    unsigned number;
    GPtrArray *devices;            /* of PmPciDevice */
    struct PmContainer *container; /* NULL: in none */
    struct PmFakeIommufd *iommufd; /* in a container's place; NULL: none */
    bool is_open;                  /* the group's own file */
    unsigned n_device_files;       /* that were got through the group's file */
    /* Devices that are bound to an iommufd: all to the same, and those that are attached share one
     * page table. */
    struct PmFakeIommufd *owner;
    unsigned n_bound;
    struct PmHwpt *hwpt;
    unsigned n_attached;
    unsigned n_bound_files; /* bound through files of the devices' own */
} PmGroup;

PmGroup *pm_group_new(PmFakeMemory *memory, unsigned number);
void pm_group_free(void *data); /* a PmGroup; for GLib's containers */

/* Whether a file of the group or of one of its devices is open. */
bool pm_group_in_use(const PmGroup *group);
/* Whether its file is open, or kept so by devices that were got while it was in a container. */
bool pm_group_is_held(const PmGroup *group);

/* No device of it has a host driver, which would own the group's DMA. */
bool pm_group_is_viable(const PmGroup *group);

/* What the group's devices reach by DMA; NULL: nothing. */
PmPageTable *pm_group_page_table(const PmGroup *group);

/* open(2) of /dev/vfio/N: a descriptor or -errno. */
int pm_group_open(PmGroup *group, int flags);

#endif
