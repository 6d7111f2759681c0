/* SPDX-License-Identifier: MIT */
/* IOMMU groups, the devices in them, and their files. Linux: drivers/vfio/group.c, vfio_main.c. */
#ifndef PLUGMAP_FAKE_GROUP_H
#define PLUGMAP_FAKE_GROUP_H

#include <stdbool.h>

#include <glib.h>

#include "fake/edu.h"
#include "fake/irqs.h"

struct PmContainer;
struct PmFakeKernel;

typedef struct PmGroup {
    struct PmFakeKernel *fake;
    unsigned number;
    GPtrArray *devices;            /* of PmPciDevice */
    struct PmContainer *container; /* NULL: in none */
    bool is_open;                  /* the group's own file */
    unsigned n_device_files;
} PmGroup;

typedef struct {
    PmGroup *group;
    char *address;
    char *driver; /* NULL: none */
    PmEdu *edu;   /* NULL unless the driver is vfio-pci */
    PmIrqs irqs;
    unsigned n_open;
} PmPciDevice;

PmGroup *pm_group_new(struct PmFakeKernel *fake, unsigned number);
void pm_group_free(void *data); /* a PmGroup; for GLib's containers */
void pm_group_add_device(PmGroup *group, const char *address, const char *driver);

/* Whether a file of the group or of one of its devices is open. */
bool pm_group_in_use(const PmGroup *group);

/* open(2) of /dev/vfio/N: a descriptor or -errno. */
int pm_group_open(PmGroup *group, int flags);

#endif
