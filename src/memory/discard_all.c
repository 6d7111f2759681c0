/* SPDX-License-Identifier: MIT */
/* Everything is discarded, or nothing. */
#include "memory/discard_manager_private.h"
#include "memory/ram_private.h"

/* Orphans have nothing that could be redone. */
static bool drop_orphans(PmDiscardManager *manager, GError **error)
{
    for (guint i = 0; i < manager->orphans->len; i++)
        if (!pm_discard_listener_drop_all(g_ptr_array_index(manager->orphans, i), &manager->blocks,
                                          error))
            return false;
    return true;
}

static void lose_all_contents(PmDiscardManager *manager, const GError *failure)
{
    uint64_t offset = 0;
    uint64_t size = 0;

    while (pm_discard_manager_next_populated(manager, offset + size, manager->blocks.size, &offset,
                                             &size))
        pm_manager_lose_contents(manager, offset, size, failure);
}

static bool tell_discard_all(PmDiscardManager *manager, GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    bool dropped = drop_orphans(manager, error);
    guint n_told = 0;

    while (dropped && n_told < manager->listeners->len) {
        dropped =
            pm_discard_listener_drop_all(pm_manager_listener_at(manager, n_told), blocks, error);
        if (dropped)
            pm_quarantine_remove_owner(blocks->lost, pm_manager_listener_at(manager, n_told));
        n_told += dropped;
    }
    if (dropped && pm_ram_discard(manager->ram, 0, blocks->size, error))
        return true;
    while (n_told-- > 0)
        pm_discard_listener_redo_all(pm_manager_listener_at(manager, n_told), blocks);
    if (dropped)
        lose_all_contents(manager, *error);
    return false;
}

bool pm_discard_manager_discard_all(PmDiscardManager *manager, GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    uint64_t n_before = pm_discard_manager_get_quarantined(manager);
    GError *cause = NULL;

    if (!pm_ram_check_process(manager->ram, error))
        return false;
    if (!tell_discard_all(manager, &cause)) {
        pm_manager_refresh(manager);
        return pm_manager_conclude_all(manager, n_before, cause, error);
    }
    pm_bitmap_clear(blocks->populated, 0, pm_bitmap_n_bits(blocks->populated));
    pm_quarantine_clear(blocks->lost);
    pm_quarantine_clear(blocks->stuck);
    pm_manager_refresh(manager);
    return true;
}
