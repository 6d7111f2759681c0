/* SPDX-License-Identifier: MIT */
#include "iommu/kept_ranges.h"

static PmIovaRange *range_at(const GArray *kept, guint i)
{
    return &g_array_index(kept, PmIovaRange, i);
}

GArray *pm_kept_ranges_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(PmIovaRange));
}

bool pm_kept_ranges_add(GArray *kept, PmIovaRange range, PmIovaRange *other)
{
    guint i = 0;

    while (i < kept->len && range_at(kept, i)->last < range.start)
        i++;
    if (i < kept->len && range_at(kept, i)->start <= range.last) {
        *other = *range_at(kept, i);
        return false;
    }
    g_array_insert_val(kept, i, range);
    return true;
}

bool pm_kept_ranges_remove(GArray *kept, PmIovaRange range)
{
    for (guint i = 0; i < kept->len; i++) {
        if (range_at(kept, i)->start != range.start || range_at(kept, i)->last != range.last)
            continue;
        g_array_remove_index(kept, i);
        return true;
    }
    return false;
}

static bool is_inside(const PmIovaRange *range, const PmIovaRange *ranges, size_t n_ranges)
{
    for (size_t i = 0; i < n_ranges; i++) {
        if (ranges[i].start <= range->start && range->last <= ranges[i].last)
            return true;
    }
    return false;
}

const PmIovaRange *pm_kept_ranges_find_outside(const GArray *kept, const PmIovaRange *ranges,
                                               size_t n_ranges)
{
    for (guint i = 0; i < kept->len; i++) {
        if (!is_inside(range_at(kept, i), ranges, n_ranges))
            return range_at(kept, i);
    }
    return NULL;
}
