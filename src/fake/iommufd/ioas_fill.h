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

/* Enters all areas into one more page table; for the first one they are pinned. Returns 0 or
 * -errno: nothing has changed then. */
int pm_ioas_fill(PmIoas *ioas, PmPageTable *table);
/* No page table has the areas any more. */
void pm_ioas_unpin(PmIoas *ioas);

#endif
