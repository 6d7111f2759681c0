/* SPDX-License-Identifier: MIT */
#include "buffers/placement.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "buffers/merge.h"
#include "buffers/regions.h"

/* How many failures of the back end end an attempt to register all that is missing. */
#define MAX_FAILURES 8

bool pm_placement_fail_full(const PmBufferRange *range, GError **error)
{
    const PmBufferRegistry *registry = range->registry;
    g_autofree char *n_regions = pm_counted(registry->n_regions, "region");

    return pm_fail(error, PM_ERROR_LIMIT,
                   "%s: no room for more regions, beside the %s in use: requests bounce until "
                   "memory is unplugged or removed; use larger blocks, or raise the limit",
                   registry->name, n_regions);
}

static void refuse(PmBufferRange *range, GError *reason)
{
    g_clear_error(&range->refusal);
    range->refusal = reason;
}

static void refuse_full(PmBufferRange *range)
{
    GError *reason = NULL;

    (void)pm_placement_fail_full(range, &reason);
    refuse(range, reason);
}

static bool can_share(const PmBufferRange *range)
{
    return (range->registry->backend->flags & PM_BUFFER_CAN_REPLACE) != 0;
}

/* How many of @n_blocks adjacent blocks one call can map now. */
static uint64_t get_room(const PmBufferRange *range, uint64_t n_blocks)
{
    PmBufferRegistry *registry = range->registry;

    return registry->backend->ops->get_room(registry->backend, &range->memory, n_blocks,
                                            registry->n_regions);
}

bool pm_placement_make_room(PmBufferRange *range)
{
    return get_room(range, 1) > 0 || (pm_merge_smallest(range->registry) && get_room(range, 1) > 0);
}

/* Maps the start of @run, as much as possible at a time. Returns how many blocks; 0: none, for
 * @reason. */
static uint64_t map_start(PmBufferRange *range, PmBlockRun run, unsigned *n_failures,
                          GError **reason)
{
    for (run.n = get_room(range, run.n); run.n > 0; run.n /= 2) {
        g_clear_error(reason);
        if (pm_regions_map(range, run, reason))
            return run.n;
        if (pm_regions_are_unknown(*reason))
            return 0;
        ++*n_failures;
    }
    return 0;
}

/* An attempt to register what is missing. */
typedef struct {
    unsigned n_failures;
    bool is_full; /* only what joins its neighbors has room */
} Attempt;

/* Registers the start of @run. Returns how many blocks were dealt with, 0: there is no room at
 * all. */
static uint64_t place_start(PmBufferRange *range, PmBlockRun run, Attempt *attempt)
{
    GError *reason = NULL;
    uint64_t n_mapped;

    if (get_room(range, 1) == 0) {
        if (pm_merge_with_neighbors(range, run, &reason))
            return run.n;
        if (reason == NULL && (attempt->is_full || !pm_placement_make_room(range))) {
            attempt->is_full = true;
            return can_share(range) ? run.n : 0;
        }
    }
    n_mapped = reason == NULL ? map_start(range, run, &attempt->n_failures, &reason) : 0;
    if (n_mapped > 0) {
        g_clear_error(&reason);
        return n_mapped;
    }
    if (reason != NULL)
        refuse(range, reason);
    else
        refuse_full(range);
    return 1;
}

/* Where the run of blocks begins that are missing before @block; @block: there are none. */
static uint64_t missing_before(const PmBufferRange *range, uint64_t block)
{
    uint64_t low = MAX(pm_bitmap_previous_clear(range->populated, 0, block),
                       pm_bitmap_previous_set(range->closing, 0, block));
    uint64_t high = block;

    /* No region ends in [high, block). */
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const PmRegionRecord *record = pm_regions_find(range, middle);

        if (record != NULL && record->key.last < block)
            low = record->key.last + 1;
        else
            high = middle;
    }
    return low;
}

/* Where blocks share regions, @run with the blocks next to it that were refused before. */
static PmBlockRun with_refused(const PmBufferRange *range, PmBlockRun run)
{
    uint64_t end = run.first + run.n;
    PmBlockRun missing;

    if (!can_share(range))
        return run;
    if (pm_regions_next_missing(range, end, range->n_blocks, &missing) && missing.first == end)
        end += missing.n;
    run.first = missing_before(range, run.first);
    run.n = end - run.first;
    return run;
}

static void place(PmBufferRange *range, PmBlockRun run, Attempt *attempt)
{
    uint64_t at = run.first;
    PmBlockRun missing;

    attempt->is_full = false;
    while (attempt->n_failures < MAX_FAILURES &&
           pm_regions_next_missing(range, at, run.first + run.n, &missing)) {
        uint64_t n_placed = place_start(range, missing, attempt);

        if (n_placed == 0)
            break;
        at = missing.first + n_placed;
    }
}

/* Blocks that join the regions on both sides of them make room for those before them. */
static void fill(PmBufferRange *range, PmBlockRun run)
{
    PmBlockRun wanted = with_refused(range, run);
    Attempt attempt = {0};

    if (range->lacks_file || range->is_leaving || range->is_gone)
        return;
    do
        place(range, wanted, &attempt);
    while (attempt.is_full && get_room(range, 1) > 0);
    if (attempt.is_full)
        refuse_full(range);
    if (pm_buffer_range_n_refused(range) == 0)
        g_clear_error(&range->refusal);
}

/* Blocks that join the regions on both sides of them free one. */
void pm_placement_fill_all(PmBufferRegistry *registry)
{
    uint64_t n_before;

    do {
        n_before = registry->n_regions;
        for (guint i = 0; i < registry->ranges->len; i++) {
            PmBufferRange *range = pm_buffer_range_at(registry, i);

            if (pm_buffer_range_n_refused(range) > 0)
                fill(range, pm_all_blocks(range));
        }
    } while (registry->n_regions < n_before);
}

void pm_placement_fill(PmBufferRange *range, PmBlockRun run)
{
    uint64_t n_before = range->registry->n_regions;

    fill(range, run);
    if (range->registry->n_regions < n_before)
        pm_placement_fill_all(range->registry);
}
