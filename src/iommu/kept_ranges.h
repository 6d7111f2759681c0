/* SPDX-License-Identifier: MIT */
/* I/O addresses that have to stay valid, whatever devices are attached. */
#ifndef PLUGMAP_IOMMU_KEPT_RANGES_H
#define PLUGMAP_IOMMU_KEPT_RANGES_H

#include <plugmap/iommu.h>

/* Of PmIovaRange, ascending and apart. */
GArray *pm_kept_ranges_new(void);

/* False if the range overlaps one that is kept already, which goes to @other. */
bool pm_kept_ranges_add(GArray *kept, PmIovaRange range, PmIovaRange *other);

/* False if this range, just so, is not kept. */
bool pm_kept_ranges_remove(GArray *kept, PmIovaRange range);

/* The first kept range that is not inside one of @ranges; NULL if all are. */
const PmIovaRange *pm_kept_ranges_find_outside(const GArray *kept, const PmIovaRange *ranges,
                                               size_t n_ranges);

#endif
