/* SPDX-License-Identifier: MIT */
/* A hardware page table: it shows an I/O address space to devices. Linux:
 * drivers/iommu/iommufd/hw_pagetable.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_HWPT_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_HWPT_H

#include "fake/iommufd/ioas.h"
#include "fake/memory/page_table.h"

typedef struct PmHwpt {
    PmObject object;
    PmIoas *ioas;
    PmPageTable *table;
    bool automatic;   /* made by attaching a device to the IOAS, and goes with the last device */
    bool tells_dirty; /* if tracks_dirty */
    bool tracks_dirty;
} PmHwpt;

/* A page table that has no areas yet. */
PmHwpt *pm_hwpt_new(PmIoas *ioas);
/* Shows the areas in it. Returns what pm_ioas_add_table() does. */
int pm_hwpt_fill(PmHwpt *hwpt);
/* Nobody uses it. */
void pm_hwpt_free(PmHwpt *hwpt);
/* A device leaves it. */
void pm_hwpt_put(PmHwpt *hwpt);

int pm_hwpt_alloc(PmFakeIommufdRequest *request);
int pm_hwpt_get_hw_info(PmFakeIommufdRequest *request);

#endif
