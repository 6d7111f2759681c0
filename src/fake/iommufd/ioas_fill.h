/* SPDX-License-Identifier: MIT */
/* Areas in page tables, for which they are pinned. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_FILL_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_FILL_H

#include "fake/iommufd/ioas.h"

/* Pins an area and enters it into all page tables; nothing to do if there are none. Returns 0 or
 * -errno: nothing has changed then. */
int pm_area_fill(const PmIoas *ioas, const PmArea *area);
/* Takes an area out of all page tables. */
void pm_area_unfill(const PmIoas *ioas, const PmArea *area);

/* Shows the areas in one more page table, which may be the first. Returns 0, -EADDRINUSE (they do
 * not fit it), -EINVAL (its pages are too large), or what pinning fails with: nothing has changed
 * then. */
int pm_ioas_add_table(PmIoas *ioas, PmPageTable *table, struct PmHwpt *hwpt);
/* Nothing to do if the areas are not in it. */
void pm_ioas_remove_table(PmIoas *ioas, const struct PmHwpt *hwpt);

#endif
