/* SPDX-License-Identifier: MIT */
/* Pins areas and maps them in page tables. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_FILL_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_FILL_H

#include "fake/iommufd/ioas.h"

/* Pins an area and maps it in all page tables; does nothing if there are none. Returns 0 or
 * -errno, and changes nothing on failure. */
int pm_area_fill(const PmIoas *ioas, const PmArea *area);
/* Unmaps an area from all page tables and unpins it. */
void pm_area_unfill(const PmIoas *ioas, const PmArea *area);

/* Maps the areas in another page table, which may be the first. Returns 0, -EADDRINUSE (areas
 * outside its aperture), -EINVAL (its pages are too large), or an error of pinning; changes
 * nothing on failure. */
int pm_ioas_add_table(PmIoas *ioas, PmPageTable *table, struct PmHwpt *hwpt);
/* Does nothing if the table does not contain the areas. */
void pm_ioas_remove_table(PmIoas *ioas, const struct PmHwpt *hwpt);

#endif
