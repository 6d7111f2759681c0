/* SPDX-License-Identifier: MIT */
/* What reports show of a registry. */
#include "base/sized.h"
#include "buffers/buffer_range.h"
#include "buffers/regions.h"

/* --- counts --- */

static void count(const PmBufferRange *range, PmBufferRegistryStats *stats)
{
    stats->n_ranges++;
    stats->added_bytes += range->memory.size;
    stats->registered_bytes += pm_block_offset(range, range->n_registered);
    stats->refused_bytes += pm_block_offset(range, pm_buffer_range_n_refused(range));
    stats->unknown_bytes += pm_block_offset(range, range->n_unknown);
    if (range->lacks_file)
        stats->no_file_bytes += pm_block_offset(range, pm_bitmap_n_set(range->populated));
}

bool pm_buffer_registry_get_stats(PmBufferRegistry *registry, PmBufferRegistryStats *stats,
                                  GError **error)
{
    PmBufferRegistryStats known = {.struct_size = sizeof(known)};

    if (!pm_sized_check("PmBufferRegistryStats", stats, error))
        return false;
    pm_registry_lock(registry);
    known.n_regions = registry->n_regions;
    known.n_evicted = registry->n_evicted;
    known.n_replaced = registry->n_replaced;
    known.n_failed_maps = registry->n_failed_maps;
    for (guint i = 0; i < registry->ranges->len; i++)
        count(pm_buffer_range_at(registry, i), &known);
    pm_registry_unlock(registry);
    pm_sized_write(stats, &known, sizeof(known));
    return true;
}

/* --- runs --- */

typedef struct {
    PmBlockRun run;
    PmBufferState state;
    uint64_t address;
} Found;

/* The first region at or after @block. */
static bool find_region(const PmBufferRange *range, uint64_t block, Found *found)
{
    const PmRegionRecord *record = pm_regions_find(range, block);

    if (record == NULL)
        return false;
    *found = (Found){
        .run = {record->key.first, record->key.last - record->key.first + 1},
        .state = record->unknown ? PM_BUFFER_UNKNOWN : PM_BUFFER_REGISTERED,
        .address = record->address,
    };
    return true;
}

/* The first populated blocks without a region at or after @block. */
static bool find_missing(const PmBufferRange *range, uint64_t block, Found *found)
{
    *found = (Found){.state = range->lacks_file ? PM_BUFFER_NO_FILE : PM_BUFFER_REFUSED};
    return pm_regions_next_missing(range, block, range->n_blocks, &found->run);
}

static bool find_first(const PmBufferRange *range, uint64_t block, Found *found)
{
    Found region;
    Found missing;
    bool has_region = find_region(range, block, &region);
    bool has_missing = find_missing(range, block, &missing);

    if (has_region && (!has_missing || region.run.first < missing.run.first))
        *found = region;
    else
        *found = missing;
    return has_region || has_missing;
}

static char *reason_of(const PmBufferRange *range, PmBufferState state)
{
    if (state == PM_BUFFER_NO_FILE)
        return g_strdup("the back end needs a file, and this memory has none");
    if (state == PM_BUFFER_UNKNOWN)
        return g_strdup(range->unknown_reason);
    if (state == PM_BUFFER_REFUSED && range->refusal != NULL)
        return g_strdup(range->refusal->message);
    return state == PM_BUFFER_REFUSED ? g_strdup("no room for another region") : NULL;
}

static void describe(const PmBufferRange *range, const Found *found, PmBufferRun *run,
                     char **reason)
{
    const PmBufferRun known = {
        .struct_size = sizeof(known),
        .host = range->host + pm_block_offset(range, found->run.first),
        .size = pm_block_offset(range, found->run.n),
        .address = found->address,
        .state = found->state,
    };

    pm_sized_write(run, &known, sizeof(known));
    if (reason != NULL)
        *reason = reason_of(range, found->state);
}

/* The first block of the range that ends after @host; n_blocks: none. */
static uint64_t block_after(const PmBufferRange *range, const char *host)
{
    if (host < range->host)
        return 0;
    return MIN((uint64_t)(host - range->host) / range->memory.block_size, range->n_blocks);
}

static bool find_next(const PmBufferRegistry *registry, const char *host, PmBufferRun *run,
                      char **reason)
{
    for (guint i = 0; i < registry->ranges->len; i++) {
        const PmBufferRange *range = pm_buffer_range_at(registry, i);
        Found found;

        if (!find_first(range, block_after(range, host), &found))
            continue;
        describe(range, &found, run, reason);
        return true;
    }
    return false;
}

bool pm_buffer_registry_next(PmBufferRegistry *registry, const void *host, PmBufferRun *run,
                             char **reason)
{
    bool found;

    if (!pm_sized_check("PmBufferRun", run, NULL))
        return false;
    pm_registry_lock(registry);
    found = find_next(registry, host, run, reason);
    pm_registry_unlock(registry);
    return found;
}
