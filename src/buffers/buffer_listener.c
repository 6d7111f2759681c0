/* SPDX-License-Identifier: MIT */
#include "buffers/buffer_listener.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "buffers/placement.h"
#include "buffers/regions.h"

/* The manager's offsets are relative to the RAM. */
static PmBlockRun blocks_of(const PmBufferRange *range, uint64_t offset, uint64_t size)
{
    return (PmBlockRun){(offset - range->memory.offset) / range->memory.block_size,
                        size / range->memory.block_size};
}

static void set_discarded(PmBufferRange *range, PmBlockRun run)
{
    pm_regions_note_discarded(range, run);
    pm_bitmap_clear(range->closing, run.first, run.n);
    pm_lease_range_set_discarded(range->leases, pm_block_offset(range, run.first),
                                 pm_block_offset(range, run.n));
}

/* --- populate --- */

/* Undoes a populate after which some of it may stay registered. */
static bool fail_populate(PmBufferRange *range, PmBlockRun run, GError **error)
{
    PmBlockRun cover = pm_regions_cover(range, run);

    (void)pm_fail(error, PM_ERROR_QUARANTINED,
                  "cannot register 0x%" PRIx64 " bytes at host "
                  "address %p: %s",
                  pm_block_offset(range, run.n),
                  pm_region_memory_host(&range->memory, pm_block_offset(range, run.first)),
                  range->unknown_reason);
    (void)pm_regions_close(range, cover, NULL);
    pm_regions_drop(range, cover);
    set_discarded(range, run);
    pm_regions_reopen(range, cover);
    pm_placement_fill(range, cover);
    return false;
}

static bool has_unknown(const PmBufferRange *range, PmBlockRun run)
{
    const PmRegionRecord *record = NULL;

    if (range->n_unknown == 0)
        return false;
    for (record = pm_regions_find(range, run.first);
         record != NULL && record->key.first < run.first + run.n;
         record = pm_regions_find(range, record->key.last + 1))
        if (record->unknown)
            return true;
    return false;
}

static bool populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    PmBufferRange *range = user_data;
    PmBlockRun run = blocks_of(range, offset, size);
    bool done = true;

    pm_registry_lock(range->registry);
    pm_bitmap_set(range->populated, run.first, run.n);
    pm_lease_range_set_unregistered(range->leases, pm_block_offset(range, run.first),
                                    pm_block_offset(range, run.n));
    pm_placement_fill(range, run);
    if (has_unknown(range, run))
        done = fail_populate(range, run, error);
    pm_registry_unlock(range->registry);
    return done;
}

/* --- discard --- */

/* The blocks stay closed until the discard happens or is cancelled. */
static bool can_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    PmBufferRange *range = user_data;
    PmBlockRun run = blocks_of(range, offset, size);
    bool done;

    pm_registry_lock(range->registry);
    pm_bitmap_set(range->closing, run.first, run.n);
    done = pm_regions_close_and_wait(range, pm_regions_cover(range, run), error);
    if (!done) {
        pm_bitmap_clear(range->closing, run.first, run.n);
        pm_placement_fill(range, run);
    }
    pm_registry_unlock(range->registry);
    return done;
}

static void cancel_discard(void *user_data, uint64_t offset, uint64_t size)
{
    PmBufferRange *range = user_data;
    PmBlockRun run = blocks_of(range, offset, size);

    pm_registry_lock(range->registry);
    pm_bitmap_clear(range->closing, run.first, run.n);
    pm_regions_reopen(range, pm_regions_cover(range, run));
    pm_placement_fill(range, run);
    pm_registry_unlock(range->registry);
}

/* What shared a region with the blocks is registered again, and then whatever else there is room
 * for now. */
static bool discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    PmBufferRange *range = user_data;
    PmBlockRun run = blocks_of(range, offset, size);
    PmBlockRun cover;
    bool done;

    pm_registry_lock(range->registry);
    cover = pm_regions_cover(range, run);
    done = pm_regions_close(range, cover, error) && pm_regions_unmap(range, cover, error);
    if (done)
        set_discarded(range, run);
    pm_regions_reopen(range, cover);
    pm_placement_fill(range, cover);
    if (done)
        pm_placement_fill_all(range->registry);
    pm_registry_unlock(range->registry);
    return done;
}

static bool drop_all(PmBufferRange *range, GError **error)
{
    PmBlockRun all = pm_all_blocks(range);
    bool done;

    if (range->is_gone)
        return pm_regions_purge(range, error);
    if (!pm_regions_close(range, all, error))
        return false;
    done = pm_regions_purge(range, error);
    pm_bitmap_clear(range->closing, all.first, all.n);
    if (done)
        set_discarded(range, all);
    pm_regions_reopen(range, all);
    pm_placement_fill(range, all);
    if (done)
        pm_placement_fill_all(range->registry);
    return done;
}

static bool discard_all(void *user_data, GError **error)
{
    PmBufferRange *range = user_data;
    bool done;

    pm_registry_lock(range->registry);
    done = drop_all(range, error);
    pm_registry_unlock(range->registry);
    return done;
}

static bool next_unknown(void *user_data, uint64_t offset, uint64_t *run_offset, uint64_t *run_size,
                         char **reason)
{
    PmBufferRange *range = user_data;
    uint64_t from = MAX(offset, range->memory.offset) - range->memory.offset;
    bool found;

    pm_registry_lock(range->registry);
    found = pm_regions_next_unknown(range, from, run_offset, run_size, reason);
    pm_registry_unlock(range->registry);
    if (found)
        *run_offset += range->memory.offset;
    return found;
}

static void unref(void *user_data)
{
    pm_buffer_range_unref(user_data);
}

static const PmDiscardListenerOps listener_ops = {
    .struct_size = sizeof(listener_ops),
    .can_discard = can_discard,
    .populate = populate,
    .discard = discard,
    .discard_all = discard_all,
    .next_unknown = next_unknown,
    .free = unref,
    .cancel_discard = cancel_discard,
};

bool pm_buffer_range_follow(PmBufferRange *range, GError **error)
{
    g_atomic_ref_count_inc(&range->references);
    range->listener =
        pm_discard_manager_register(range->manager, &listener_ops, range, range->memory.owner,
                                    range->memory.offset, range->memory.size, error);
    return range->listener != NULL;
}

bool pm_buffer_range_unfollow(PmBufferRange *range, GError **error)
{
    if (!pm_discard_manager_unregister(range->manager, range->listener, error))
        return false;
    range->listener = NULL;
    return true;
}
