/* SPDX-License-Identifier: MIT */
/* Areas come and go. Linux: drivers/iommu/iommufd/io_pagetable.c. */
#ifndef PLUGMAP_FAKE_IOAS_MAP_H
#define PLUGMAP_FAKE_IOAS_MAP_H

#include "fake/ioas.h"

int pm_ioas_map(PmIommufdRequest *request);
int pm_ioas_map_file(PmIommufdRequest *request);
int pm_ioas_copy(PmIommufdRequest *request);
int pm_ioas_unmap(PmIommufdRequest *request);

/* MAP with a fixed I/O address. Returns 0 or -errno. */
int pm_ioas_map_fixed(PmIoas *ioas, uint64_t iova, uint64_t address, uint64_t length,
                      PmIommuAccess access);

/* Removes areas from @first to @last, up to one that is in the range only in part, which is
 * -ENOENT. @n_bytes: what was removed. */
int pm_ioas_unmap_range(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes);
/* The same for a request to unmap, which the fault plan can shorten. */
int pm_ioas_unmap_requested(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes);

/* Makes @iova the last address of an area, if it is inside one. Returns 0, -EINVAL or -ENOMEM. */
int pm_ioas_split(PmIoas *ioas, uint64_t iova);

/* Enters all areas into one more page table; for the first one they are pinned. Returns 0 or
 * -errno: nothing has changed then. */
int pm_ioas_fill(PmIoas *ioas, PmPageTable *table);
/* No page table has the areas any more. */
void pm_ioas_unpin(PmIoas *ioas);

#endif
