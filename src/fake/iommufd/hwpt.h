/* SPDX-License-Identifier: MIT */
/* A hardware page table: maps an IOAS for devices. Linux: drivers/iommu/iommufd/hw_pagetable.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_HWPT_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_HWPT_H

#include "fake/iommufd/ioas.h"
#include "fake/memory/page_table.h"

typedef struct PmHwpt {
    PmObject object;
    PmIoas *ioas;
    PmPageTable *table;
    bool automatic;      /* created by attaching a device to the IOAS, freed with the last device */
    bool supports_dirty; /* may set tracks_dirty */
    bool tracks_dirty;
} PmHwpt;

/* Creates a page table without areas. */
PmHwpt *pm_hwpt_new(PmIoas *ioas);
/* Maps the areas in it. Returns what pm_ioas_add_table() does. */
int pm_hwpt_fill(PmHwpt *hwpt);
/* It must be unused. */
void pm_hwpt_free(PmHwpt *hwpt);
/* Called when a device detaches. */
void pm_hwpt_put(PmHwpt *hwpt);

int pm_hwpt_alloc(PmFakeIommufdRequest *request);
int pm_hwpt_get_hw_info(PmFakeIommufdRequest *request);

#endif
