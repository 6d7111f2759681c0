/* SPDX-License-Identifier: MIT */
#include "buffers/merge.h"

#include "buffers/regions.h"

/* Not while blocks are about to be discarded, whose regions are closed. */
static bool can_replace(const PmBufferRange *range)
{
    return (range->registry->backend->flags & PM_BUFFER_CAN_REPLACE) != 0 && !range->is_buffer &&
           !range->is_leaving && !range->is_gone && pm_bitmap_n_set(range->closing) == 0;
}

/* Replaces the regions @parts of @whole by one; those with n 0 do not exist. If the back end fails,
 * maps them again as they were; what fails then is refused. */
static bool replace(PmBufferRange *range, PmBlockRun whole, const PmBlockRun parts[2],
                    GError **error)
{
    if (!pm_regions_close(range, whole, NULL))
        return false;
    if (pm_regions_unmap(range, whole, error) && pm_regions_map(range, whole, error)) {
        range->registry->n_replaced++;
        return true;
    }
    pm_regions_reopen(range, whole);
    for (unsigned i = 0; i < 2; i++)
        if (parts[i].n > 0 &&
            pm_regions_next_missing(range, parts[i].first, parts[i].first + 1, &(PmBlockRun){0}))
            (void)pm_regions_map(range, parts[i], NULL);
    return false;
}

static PmBlockRun region_at(const PmBufferRange *range, uint64_t block)
{
    const PmRegionRecord *record = pm_regions_find(range, block);

    if (record == NULL || record->key.first > block || record->unknown)
        return (PmBlockRun){block, 0};
    return (PmBlockRun){record->key.first, record->key.last - record->key.first + 1};
}

bool pm_merge_with_neighbors(PmBufferRange *range, PmBlockRun run, GError **error)
{
    uint64_t end = run.first + run.n;
    PmBlockRun parts[2] = {{0, 0}, {0, 0}};
    PmBlockRun whole = run;

    if (!can_replace(range))
        return false;
    if (run.first > 0)
        parts[0] = region_at(range, run.first - 1);
    if (end < range->n_blocks)
        parts[1] = region_at(range, end);
    if (parts[0].n + parts[1].n == 0)
        return false;
    if (parts[0].n > 0)
        whole.first = parts[0].first;
    whole.n = end + parts[1].n - whole.first;
    return replace(range, whole, parts, error);
}

/* --- any two regions --- */

typedef struct {
    PmBufferRange *range;
    PmBlockRun parts[2];
} Pair;

static PmBlockRun whole_of(const Pair *pair)
{
    return (PmBlockRun){pair->parts[0].first, pair->parts[0].n + pair->parts[1].n};
}

static bool is_leased(const PmBufferRange *range, PmBlockRun run)
{
    return pm_lease_range_n_leases(range->leases, pm_block_offset(range, run.first),
                                   pm_block_offset(range, run.n)) > 0;
}

static void find_smallest(PmBufferRange *range, Pair *best)
{
    const PmRegionRecord *record = pm_regions_find(range, 0);

    while (record != NULL) {
        uint64_t next = record->key.last + 1;
        Pair pair = {range, {region_at(range, record->key.first), region_at(range, next)}};

        if (pair.parts[0].n > 0 && pair.parts[1].n > 0 && pair.parts[1].first == next &&
            (best->range == NULL || whole_of(&pair).n < whole_of(best).n) &&
            !is_leased(range, whole_of(&pair)))
            *best = pair;
        record = pm_regions_find(range, next);
    }
}

bool pm_merge_smallest(PmBufferRegistry *registry)
{
    Pair best = {0};

    for (guint i = 0; i < registry->ranges->len; i++) {
        PmBufferRange *range = pm_buffer_range_at(registry, i);

        if (can_replace(range))
            find_smallest(range, &best);
    }
    return best.range != NULL && replace(best.range, whole_of(&best), best.parts, NULL);
}
