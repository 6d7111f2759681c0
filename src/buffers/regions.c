/* SPDX-License-Identifier: MIT */
#include "buffers/regions.h"

#include <inttypes.h>

#include "base/error_text.h"

static uint64_t end_of(PmBlockRun run)
{
    return run.first + run.n;
}

static PmBlockRun blocks_of(const PmRegionRecord *record)
{
    return (PmBlockRun){record->key.first, record->key.last - record->key.first + 1};
}

const PmRegionRecord *pm_regions_find(const PmBufferRange *range, uint64_t block)
{
    return block < range->n_blocks ? pm_range_map_find(range->regions, block) : NULL;
}

PmBlockRun pm_regions_cover(const PmBufferRange *range, PmBlockRun run)
{
    const PmRegionRecord *record = pm_regions_find(range, run.first);
    uint64_t end = end_of(run);

    if (record != NULL)
        run.first = MIN(run.first, record->key.first);
    record = pm_regions_find(range, end - 1);
    if (record != NULL && record->key.first < end)
        end = record->key.last + 1;
    run.n = end - run.first;
    return run;
}

/* --- bookkeeping --- */

/* What was discarded while it was unknown must not bounce. */
static void set_unregistered(const PmBufferRange *range, PmBlockRun run)
{
    uint64_t at = run.first;

    while (range->leases != NULL && at < end_of(run)) {
        uint64_t next = pm_bitmap_next_clear(range->populated, at, end_of(run));

        if (next > at)
            pm_lease_range_set_unregistered(range->leases, pm_block_offset(range, at),
                                            pm_block_offset(range, next - at));
        at = pm_bitmap_next_set(range->populated, next, end_of(run));
        if (at > next)
            pm_lease_range_set_discarded(range->leases, pm_block_offset(range, next),
                                         pm_block_offset(range, at - next));
    }
}

/* Memory was reserved. */
static void add_records(PmBufferRange *range, PmBlockRun run, uint64_t address, bool unknown)
{
    uint64_t per_region = range->registry->backend->maps_blocks ? 1 : run.n;

    for (uint64_t at = run.first; at < end_of(run); at += per_region) {
        const PmRegionRecord record = {{at, at + per_region - 1}, address, unknown};

        (void)pm_range_map_insert(range->regions, &record);
        address += pm_block_offset(range, per_region);
        range->registry->n_regions++;
    }
    *(unknown ? &range->n_unknown : &range->n_registered) += run.n;
}

static uint64_t count_discarded(const PmBufferRange *range, PmBlockRun run)
{
    uint64_t n_discarded = 0;
    uint64_t at = run.first;
    uint64_t end = end_of(run);

    while ((at = pm_bitmap_next_clear(range->populated, at, end)) < end) {
        uint64_t next = pm_bitmap_next_set(range->populated, at, end);

        n_discarded += next - at;
        at = next;
    }
    return n_discarded;
}

static void remove_records(PmBufferRange *range, PmBlockRun run)
{
    uint64_t end = end_of(run);
    const PmRegionRecord *record = pm_regions_find(range, run.first);

    for (; record != NULL && record->key.first < end;
         record = pm_regions_find(range, record->key.last + 1)) {
        *(record->unknown ? &range->n_unknown : &range->n_registered) -= blocks_of(record).n;
        if (record->unknown)
            range->n_stray -= count_discarded(range, blocks_of(record));
    }
    range->registry->n_regions -= pm_range_map_remove(range->regions, run.first, end - 1);
}

void pm_regions_note_discarded(PmBufferRange *range, PmBlockRun run)
{
    const PmRegionRecord *record = pm_regions_find(range, run.first);

    pm_bitmap_clear(range->populated, run.first, run.n);
    for (; record != NULL && record->key.first < end_of(run);
         record = pm_regions_find(range, record->key.last + 1))
        if (record->unknown)
            range->n_stray +=
                MIN(end_of(run), record->key.last + 1) - MAX(run.first, record->key.first);
}

static void note_reason(PmBufferRange *range, const char *reason)
{
    char *copy = g_strdup(reason);

    g_free(range->unknown_reason);
    range->unknown_reason = copy;
}

void pm_regions_forget_run(PmBufferRange *range, PmBlockRun run)
{
    PmRegionRecord *record = pm_range_map_find(range->regions, run.first);

    for (; record != NULL && record->key.first < end_of(run);
         record = pm_range_map_find(range->regions, record->key.last + 1)) {
        if (record->unknown)
            continue;
        record->unknown = true;
        range->n_registered -= blocks_of(record).n;
        range->n_unknown += blocks_of(record).n;
        set_unregistered(range, blocks_of(record));
    }
}

void pm_regions_forget(PmBufferRange *range, const char *reason)
{
    pm_regions_forget_run(range, pm_all_blocks(range));
    note_reason(range, reason);
}

static const PmRegionRecord *find_unknown(const PmBufferRange *range, uint64_t block)
{
    const PmRegionRecord *record = pm_regions_find(range, block);

    while (record != NULL && !record->unknown)
        record = pm_regions_find(range, record->key.last + 1);
    return record;
}

/* Removes the unknown records of what a back end with next_unknown knows to be unmapped: of several
 * blocks that failed, it may know some. */
static void sync_unknown(PmBufferRange *range)
{
    PmRegionBackend *backend = range->registry->backend;
    const PmRegionRecord *record = NULL;
    uint64_t offset = 0;
    uint64_t size = 0;

    if (backend->ops->next_unknown == NULL)
        return;
    for (record = find_unknown(range, 0); record != NULL;) {
        PmBlockRun run = blocks_of(record);
        uint64_t start = pm_block_offset(range, run.first);

        if (start >= offset + size &&
            !backend->ops->next_unknown(backend, &range->memory, start, &offset, &size, NULL))
            offset = range->memory.size;
        if (start < offset) {
            remove_records(range, run);
            set_unregistered(range, run);
        }
        record = find_unknown(range, end_of(run));
    }
}

/* --- mapping --- */

bool pm_regions_map(PmBufferRange *range, PmBlockRun run, GError **error)
{
    PmBufferRegistry *registry = range->registry;
    PmRegionBackend *backend = registry->backend;
    uint64_t address = 0;
    GError *failure = NULL;

    if (!pm_range_map_reserve(range->regions, backend->maps_blocks ? (guint)run.n : 1))
        return pm_fail(error, PM_ERROR_MEMORY, "%s: out of memory for the list of regions",
                       registry->name);
    if (backend->ops->map(backend, &range->memory, pm_block_offset(range, run.first),
                          pm_block_offset(range, run.n), &address, &failure)) {
        add_records(range, run, address, false);
        pm_lease_range_open(range->leases, pm_block_offset(range, run.first),
                            pm_block_offset(range, run.n), address);
        return true;
    }
    registry->n_failed_maps++;
    if (pm_regions_are_unknown(failure)) {
        add_records(range, run, address, true);
        set_unregistered(range, run);
        note_reason(range, failure->message);
        sync_unknown(range);
    }
    g_propagate_error(error, failure);
    return false;
}

/* --- unmapping --- */

/* What one call unmaps: a region, or adjacent blocks. */
static PmBlockRun unmapped_at_once(const PmBufferRange *range, const PmRegionRecord *record,
                                   uint64_t end)
{
    PmBlockRun run = blocks_of(record);
    bool unknown = record->unknown;

    if (!range->registry->backend->maps_blocks)
        return run;
    while (end_of(run) < end) {
        record = pm_regions_find(range, end_of(run));
        if (record == NULL || record->key.first != end_of(run) || record->unknown != unknown)
            break;
        run.n++;
    }
    return run;
}

static bool unmap_run(PmBufferRange *range, PmBlockRun run, uint64_t address, GError **error)
{
    PmRegionBackend *backend = range->registry->backend;
    GError *failure = NULL;

    if (backend->ops->unmap(backend, &range->memory, pm_block_offset(range, run.first),
                            pm_block_offset(range, run.n), address, &failure)) {
        remove_records(range, run);
        set_unregistered(range, run);
        return true;
    }
    if (pm_regions_are_unknown(failure)) {
        pm_regions_forget_run(range, run);
        note_reason(range, failure->message);
    }
    g_propagate_error(error, failure);
    return false;
}

bool pm_regions_unmap(PmBufferRange *range, PmBlockRun run, GError **error)
{
    uint64_t end = end_of(run);
    const PmRegionRecord *record = pm_regions_find(range, run.first);

    while (record != NULL && record->key.first < end) {
        PmBlockRun unmapped = unmapped_at_once(range, record, end);

        if (!unmap_run(range, unmapped, record->address, error))
            return false;
        record = pm_regions_find(range, end_of(unmapped));
    }
    return true;
}

static void drop_region(PmBufferRange *range, const PmRegionRecord *record)
{
    PmRegionBackend *backend = range->registry->backend;
    PmBlockRun run = blocks_of(record);
    g_autoptr(GError) failure = NULL;

    if (unmap_run(range, run, record->address, &failure))
        return;
    if (backend->ops->forget != NULL)
        backend->ops->forget(backend, &range->memory, pm_block_offset(range, run.first),
                             pm_block_offset(range, run.n), failure->message);
    pm_regions_forget_run(range, run);
}

void pm_regions_drop(PmBufferRange *range, PmBlockRun run)
{
    const PmRegionRecord *record = pm_regions_find(range, run.first);

    while (record != NULL && record->key.first < end_of(run)) {
        uint64_t next = record->key.last + 1;

        drop_region(range, record);
        record = pm_regions_find(range, next);
    }
}

bool pm_regions_purge(PmBufferRange *range, GError **error)
{
    PmRegionBackend *backend = range->registry->backend;
    GError *failure = NULL;

    if (backend->ops->purge == NULL)
        return pm_regions_unmap(range, pm_all_blocks(range), error);
    if (backend->ops->purge(backend, &range->memory, &failure)) {
        remove_records(range, pm_all_blocks(range));
        set_unregistered(range, pm_all_blocks(range));
        return true;
    }
    if (pm_regions_are_unknown(failure))
        pm_regions_forget(range, failure->message);
    g_propagate_error(error, failure);
    return false;
}

static bool settle_at_once(PmBufferRange *range, GError **error)
{
    PmRegionBackend *backend = range->registry->backend;
    GError *failure = NULL;
    bool settled = backend->ops->settle(backend, &range->memory, &failure);

    sync_unknown(range);
    if (settled)
        return true;
    note_reason(range, failure->message);
    (void)pm_fail(error, PM_ERROR_QUARANTINED, "%s: 0x%" PRIx64 " bytes may still be mapped: %s",
                  range->memory.owner, pm_block_offset(range, range->n_unknown), failure->message);
    g_error_free(failure);
    return false;
}

bool pm_regions_settle(PmBufferRange *range, GError **error)
{
    const PmRegionRecord *record;
    bool settled = true;

    if (range->n_unknown == 0)
        return true;
    if (range->registry->backend->ops->settle != NULL)
        return settle_at_once(range, error);
    for (record = find_unknown(range, 0); record != NULL;) {
        PmBlockRun run = blocks_of(record);

        settled &= unmap_run(range, run, record->address, settled ? error : NULL);
        record = find_unknown(range, end_of(run));
    }
    return settled;
}

bool pm_regions_next_unknown(const PmBufferRange *range, uint64_t offset, uint64_t *run_offset,
                             uint64_t *run_size, char **reason)
{
    PmRegionBackend *backend = range->registry->backend;
    const PmRegionRecord *record;

    if (backend->ops->next_unknown != NULL)
        return backend->ops->next_unknown(backend, &range->memory, offset, run_offset, run_size,
                                          reason);
    if (range->n_unknown == 0 || offset >= range->memory.size)
        return false;
    record = find_unknown(range, offset / range->memory.block_size);
    if (record == NULL)
        return false;
    *run_offset = pm_block_offset(range, record->key.first);
    *run_size = 0;
    for (; record != NULL && record->unknown &&
           pm_block_offset(range, record->key.first) == *run_offset + *run_size;
         record = pm_regions_find(range, record->key.last + 1))
        *run_size += pm_block_offset(range, blocks_of(record).n);
    if (reason != NULL)
        *reason = g_strdup(range->unknown_reason);
    return true;
}

/* --- leases --- */

static bool close_run(PmBufferRange *range, PmBlockRun run, unsigned wait_ms, GError **error)
{
    uint64_t n_leases = 0;
    g_autofree char *leases = NULL;

    if (pm_lease_range_close(range->leases, pm_block_offset(range, run.first),
                             pm_block_offset(range, run.n), wait_ms, &n_leases))
        return true;
    leases = pm_counted(n_leases, "lease");
    return pm_fail(error, PM_ERROR_BUSY,
                   "%s of 0x%" PRIx64 " bytes at host address %p: wait until the requests that use "
                   "these buffers are done",
                   leases, pm_block_offset(range, run.n),
                   pm_region_memory_host(&range->memory, pm_block_offset(range, run.first)));
}

bool pm_regions_close(PmBufferRange *range, PmBlockRun run, GError **error)
{
    return close_run(range, run, 0, error);
}

bool pm_regions_close_and_wait(PmBufferRange *range, PmBlockRun run, GError **error)
{
    bool closed;

    pm_registry_unlock(range->registry);
    closed = close_run(range, run, range->registry->wait_ms, error);
    pm_registry_lock(range->registry);
    if (!closed)
        pm_registry_wake(range->registry);
    return closed;
}

void pm_regions_reopen(PmBufferRange *range, PmBlockRun run)
{
    pm_lease_range_reopen(range->leases, pm_block_offset(range, run.first),
                          pm_block_offset(range, run.n));
    pm_registry_wake(range->registry);
}

/* --- what is not registered --- */

bool pm_regions_next_missing(const PmBufferRange *range, uint64_t from, uint64_t end,
                             PmBlockRun *run)
{
    while ((from = pm_bitmap_next_set(range->populated, from, end)) < end) {
        const PmRegionRecord *record = pm_regions_find(range, from);
        uint64_t stop;

        if (record != NULL && record->key.first <= from) {
            from = record->key.last + 1;
            continue;
        }
        stop = pm_bitmap_next_set(range->closing, from, end);
        if (stop == from) {
            from = pm_bitmap_next_clear(range->closing, from, end);
            continue;
        }
        stop = MIN(stop, pm_bitmap_next_clear(range->populated, from, end));
        if (record != NULL)
            stop = MIN(stop, record->key.first);
        *run = (PmBlockRun){from, stop - from};
        return true;
    }
    return false;
}
