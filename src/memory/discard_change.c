/* SPDX-License-Identifier: MIT */
#include "memory/discard_change.h"

#include "memory/ram_private.h"

typedef bool (*Notify)(const PmDiscardListener *listener, PmBlocks *blocks, uint64_t offset,
                       uint64_t size, GError **error);
typedef void (*Undo)(const PmDiscardListener *listener, PmBlocks *blocks, uint64_t offset,
                     uint64_t size);

static bool ask_listeners(const PmDiscardManager *manager, uint64_t offset, uint64_t size,
                          GError **error)
{
    for (guint i = 0; i < manager->listeners->len; i++)
        if (!pm_discard_listener_may_populate(pm_manager_listener_at(manager, i), offset, size,
                                              error))
            return false;
    return true;
}

bool pm_change_ask_populate(const PmDiscardManager *manager, uint64_t offset, uint64_t end,
                            GError **error)
{
    PmGranules changing = pm_blocks_changing(&manager->blocks);
    uint64_t size = 0;

    while (pm_granules_next_set(&changing, offset + size, end, &offset, &size))
        if (!ask_listeners(manager, offset, size, error))
            return false;
    return true;
}

static void undo_listeners(PmDiscardManager *manager, Undo undo, guint n_notified, uint64_t offset,
                           uint64_t size)
{
    while (n_notified-- > 0)
        undo(pm_manager_listener_at(manager, n_notified), &manager->blocks, offset, size);
}

/* Undoes all runs of [@offset, @end) at all listeners. */
static void undo_runs(PmDiscardManager *manager, Undo undo, uint64_t offset, uint64_t end)
{
    PmGranules changing = pm_blocks_changing(&manager->blocks);
    uint64_t size;

    while (pm_granules_previous_set(&changing, offset, end, &end, &size))
        undo_listeners(manager, undo, manager->listeners->len, end, size);
}

static bool notify_listeners(PmDiscardManager *manager, Notify notify, Undo undo, uint64_t offset,
                             uint64_t size, GError **error)
{
    guint n_notified;

    for (n_notified = 0; n_notified < manager->listeners->len; n_notified++)
        if (!notify(pm_manager_listener_at(manager, n_notified), &manager->blocks, offset, size,
                    error)) {
            undo_listeners(manager, undo, n_notified, offset, size);
            return false;
        }
    return true;
}

static bool notify_runs(PmDiscardManager *manager, Notify notify, Undo undo, uint64_t offset,
                        uint64_t end, GError **error)
{
    PmGranules changing = pm_blocks_changing(&manager->blocks);
    uint64_t run = offset;
    uint64_t size = 0;

    while (pm_granules_next_set(&changing, run + size, end, &run, &size))
        if (!notify_listeners(manager, notify, undo, run, size, error)) {
            undo_runs(manager, undo, offset, run);
            return false;
        }
    return true;
}

static bool may_discard(const PmDiscardListener *listener, PmBlocks *blocks, uint64_t offset,
                        uint64_t size, GError **error)
{
    (void)blocks;
    return pm_discard_listener_may_discard(listener, offset, size, error);
}

static void cancel_discard(const PmDiscardListener *listener, PmBlocks *blocks, uint64_t offset,
                           uint64_t size)
{
    (void)blocks;
    pm_discard_listener_cancel_discard(listener, offset, size);
}

bool pm_change_ask_discard(PmDiscardManager *manager, uint64_t offset, uint64_t end, GError **error)
{
    return notify_runs(manager, may_discard, cancel_discard, offset, end, error);
}

void pm_change_cancel_discard(PmDiscardManager *manager, uint64_t offset, uint64_t end)
{
    undo_runs(manager, cancel_discard, offset, end);
}

bool pm_change_notify_populate(PmDiscardManager *manager, uint64_t offset, uint64_t end,
                               GError **error)
{
    return notify_runs(manager, pm_discard_listener_populate, pm_discard_listener_undo_populate,
                       offset, end, error);
}

bool pm_change_notify_discard(PmDiscardManager *manager, uint64_t offset, uint64_t end,
                              GError **error)
{
    return notify_runs(manager, pm_discard_listener_discard, pm_discard_listener_redo_populate,
                       offset, end, error);
}

void pm_change_redo_populate(PmDiscardManager *manager, uint64_t offset, uint64_t end)
{
    undo_runs(manager, pm_discard_listener_redo_populate, offset, end);
}

bool pm_change_prefault(PmDiscardManager *manager, uint64_t offset, uint64_t end,
                        unsigned n_threads, GError **error)
{
    PmGranules changing = pm_blocks_changing(&manager->blocks);
    uint64_t size = 0;

    while (pm_granules_next_set(&changing, offset + size, end, &offset, &size))
        if (!pm_ram_populate(manager->ram, offset, size, n_threads, error))
            return false;
    return true;
}

static bool next_run(const PmGranules *granules, bool set, uint64_t offset, uint64_t end,
                     uint64_t *run_offset, uint64_t *run_size)
{
    if (set)
        return pm_granules_next_set(granules, offset, end, run_offset, run_size);
    return pm_granules_next_clear(granules, offset, end, run_offset, run_size);
}

bool pm_change_free_memory(PmDiscardManager *manager, const PmGranules *granules, bool set,
                           uint64_t offset, uint64_t end, uint64_t *failed_at, GError **error)
{
    uint64_t size = 0;

    while (next_run(granules, set, offset + size, end, &offset, &size)) {
        *failed_at = offset;
        if (!pm_ram_discard_coordinated(manager->ram, offset, size, error))
            return false;
    }
    return true;
}

void pm_change_lose_contents(PmDiscardManager *manager, const PmGranules *granules, bool set,
                             uint64_t offset, uint64_t failed_at, uint64_t end,
                             const GError *failure)
{
    uint64_t size = 0;

    while (next_run(granules, set, offset + size, failed_at, &offset, &size))
        pm_manager_lose(manager, offset, size, failure);
    if (next_run(granules, set, failed_at, end, &offset, &size))
        pm_manager_lose_contents(manager, offset, size, failure);
}

void pm_change_apply_populate(PmDiscardManager *manager, uint64_t offset, uint64_t end)
{
    PmBlocks *blocks = &manager->blocks;

    pm_bitmap_add(blocks->populated, blocks->changing, 0, offset / blocks->granularity,
                  end / blocks->granularity);
}

void pm_change_apply_discard(PmDiscardManager *manager, uint64_t offset, uint64_t end)
{
    PmBlocks *blocks = &manager->blocks;

    pm_bitmap_subtract(blocks->populated, blocks->changing, 0, offset / blocks->granularity,
                       end / blocks->granularity);
}

void pm_change_end(PmDiscardManager *manager, uint64_t offset, uint64_t end)
{
    PmGranules changing = pm_blocks_changing(&manager->blocks);

    pm_granules_clear(&changing, offset, end - offset);
}
