/* SPDX-License-Identifier: MIT */
/* Takes regions from blocks that are not used, for blocks that are. */
#include "base/error_text.h"
#include "buffers/placement.h"
#include "buffers/regions.h"

/* How many requests for a block are evidence that it is used. */
#define N_MISSES 4

/* How many regions a search looks at. */
#define MAX_CANDIDATES 4096

typedef struct {
    PmBufferRange *range;
    PmBlockRun run;
    uint32_t last_use;
} Victim;

static bool has_victims(const PmBufferRange *range)
{
    return !range->is_buffer && !range->is_leaving && !range->is_gone &&
           pm_bitmap_n_set(range->closing) == 0;
}

/* Whether @a was before @b; epochs may wrap. 0: never used. */
static bool is_before(uint32_t a, uint32_t b)
{
    return b != 0 && (a == 0 || (int32_t)(a - b) < 0);
}

static void look_at(PmBufferRange *range, const PmRegionRecord *record, Victim *victim)
{
    PmBlockRun run = {record->key.first, record->key.last - record->key.first + 1};
    uint64_t offset = pm_block_offset(range, run.first);
    uint64_t size = pm_block_offset(range, run.n);
    uint32_t last_use = pm_lease_range_last_use(range->leases, offset, size);

    if (!record->unknown && (victim->range == NULL || is_before(last_use, victim->last_use)) &&
        pm_lease_range_n_leases(range->leases, offset, size) == 0)
        *victim = (Victim){range, run, last_use};
}

/* From @block on. Returns where to continue, or NULL at the end. */
static const PmRegionRecord *look_through(PmBufferRange *range, uint64_t block, unsigned *n_left,
                                          Victim *victim)
{
    const PmRegionRecord *record = has_victims(range) ? pm_regions_find(range, block) : NULL;

    for (; record != NULL && *n_left > 0; record = pm_regions_find(range, record->key.last + 1)) {
        look_at(range, record, victim);
        --*n_left;
    }
    return record;
}

/* The region that was unused for longest. With very many, the search is limited, and continues
 * where the last one ended. */
static Victim find_victim(PmBufferRegistry *registry)
{
    guint n_ranges = registry->ranges->len;
    unsigned n_left = MAX_CANDIDATES;
    Victim victim = {0};

    for (guint i = 0; i <= n_ranges && n_left > 0; i++) {
        PmBufferRange *range = pm_buffer_range_at(registry, registry->hand_range % n_ranges);
        const PmRegionRecord *next = look_through(range, registry->hand_block, &n_left, &victim);

        registry->hand_block = next != NULL ? next->key.first : 0;
        if (next == NULL)
            registry->hand_range = (registry->hand_range + 1) % n_ranges;
    }
    return victim;
}

static bool evict(Victim *victim)
{
    PmBufferRange *range = victim->range;
    bool unmapped;

    if (!pm_regions_close(range, victim->run, NULL))
        return false;
    unmapped = pm_regions_unmap(range, victim->run, NULL);
    pm_regions_reopen(range, victim->run);
    if (!unmapped)
        return false;
    range->registry->n_evicted++;
    g_clear_error(&range->refusal);
    (void)pm_fail(&range->refusal, PM_ERROR_LIMIT,
                  "%s: another buffer has got its region: it is used more often, or has priority",
                  range->registry->name);
    return true;
}

bool pm_placement_force_room(PmBufferRange *range)
{
    while (!pm_placement_make_room(range)) {
        Victim victim = find_victim(range->registry);

        if (victim.range == NULL || !evict(&victim))
            return false;
    }
    return true;
}

/* --- misses --- */

/* Returns NULL if there is no memory. */
static PmBlockMisses *misses_of(PmBufferRange *range, uint64_t block)
{
    if (range->misses == NULL)
        range->misses = g_try_new0(PmBlockMisses, range->n_blocks);
    return range->misses != NULL ? &range->misses[block] : NULL;
}

/* Whether the block was asked for often enough, and since when. Then counting begins again. */
static bool is_wanted(PmBufferRange *range, uint64_t block, uint32_t *since)
{
    PmBlockMisses *misses = misses_of(range, block);

    if (misses == NULL)
        return false;
    if (misses->n_misses == 0)
        misses->since = pm_lease_table_advance(range->registry->leases);
    if (++misses->n_misses < N_MISSES)
        return false;
    misses->n_misses = 0;
    *since = misses->since;
    return true;
}

/* Only if it has not been used since: else as many requests would miss it next. */
static bool evict_unused(PmBufferRange *range, uint32_t since)
{
    Victim victim = find_victim(range->registry);

    return victim.range != NULL && is_before(victim.last_use, since) && evict(&victim);
}

/* So that it is not the next one to give way. */
static void note_use(const PmBufferRange *range, uint64_t block)
{
    PmLease lease;

    if (pm_lease_acquire(range->registry->leases, &lease,
                         range->host + pm_block_offset(range, block), 1, NULL) == PM_LEASE_GRANTED)
        pm_lease_release(&lease);
}

void pm_placement_miss(PmBufferRange *range, uint64_t block)
{
    PmBlockRun missing;
    uint32_t since;

    if (!pm_regions_next_missing(range, block, block + 1, &missing) || range->lacks_file ||
        !is_wanted(range, block, &since))
        return;
    pm_placement_fill(range, missing);
    if (pm_regions_next_missing(range, block, block + 1, &missing) && evict_unused(range, since))
        pm_placement_fill(range, missing);
    note_use(range, block);
}
