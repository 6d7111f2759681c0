/* SPDX-License-Identifier: MIT */
/* Everything is discarded, or nothing. */
#include "memory/discard_manager_private.h"
#include "memory/ram_private.h"

/* Nothing to redo for orphans: they only have what is unknown. */
static bool drop_orphans(const PmDiscardManager *manager, const PmDiscardListener **failed,
                         GError **error)
{
    for (guint i = 0; i < manager->orphans->len; i++) {
        *failed = g_ptr_array_index(manager->orphans, i);
        if (!pm_discard_listener_drop_unknown(*failed, error))
            return false;
    }
    *failed = NULL;
    return true;
}

/* @n_notified: how many have dropped everything. */
static bool drop_listeners(PmDiscardManager *manager, guint *n_notified,
                           const PmDiscardListener **failed, GError **error)
{
    PmBlocks *blocks = &manager->blocks;

    for (*n_notified = 0; *n_notified < manager->listeners->len; (*n_notified)++) {
        *failed = pm_manager_listener_at(manager, *n_notified);
        if (!pm_discard_listener_drop_all(*failed, blocks, error))
            return false;
        pm_quarantine_remove_owner(blocks->lost, *failed);
    }
    *failed = NULL;
    return true;
}

/* A listener that returned true but still reports unknown blocks has failed. */
static bool check_known(const GPtrArray *listeners, const PmDiscardListener **failed,
                        GError **error)
{
    for (guint i = 0; i < listeners->len; i++) {
        *failed = g_ptr_array_index(listeners, i);
        if (!pm_discard_listener_check_knows_all(*failed, error))
            return false;
    }
    *failed = NULL;
    return true;
}

static void lose_all_contents(const PmDiscardSource *source, const GError *failure)
{
    uint64_t offset = 0;
    uint64_t size = 0;

    while (pm_granules_next_set(&source->populated, offset + size, source->populated.size, &offset,
                                &size))
        pm_manager_lose_contents(source->manager, offset, size, failure);
}

static bool drop_everything(const PmDiscardSource *source, const PmDiscardListener **failed,
                            GError **error)
{
    PmDiscardManager *manager = source->manager;
    PmBlocks *blocks = &manager->blocks;
    guint n_notified = 0;
    bool dropped = drop_orphans(manager, failed, error) &&
                   drop_listeners(manager, &n_notified, failed, error) &&
                   check_known(manager->orphans, failed, error) &&
                   check_known(manager->listeners, failed, error);

    if (dropped &&
        (!source->frees_memory || pm_ram_discard_coordinated(manager->ram, 0, blocks->size, error)))
        return true;
    while (n_notified-- > 0)
        pm_discard_listener_redo_all(pm_manager_listener_at(manager, n_notified), blocks);
    if (dropped)
        lose_all_contents(source, *error);
    return false;
}

/* The first @n_asked listeners agreed. */
static void cancel(const PmDiscardManager *manager, guint n_asked)
{
    while (n_asked-- > 0)
        pm_discard_listener_cancel_discard_all(pm_manager_listener_at(manager, n_asked),
                                               &manager->blocks);
}

/* Orphans are not asked: their owners are gone. */
static bool ask_listeners(const PmDiscardManager *manager, GError **error)
{
    for (guint i = 0; i < manager->listeners->len; i++)
        if (!pm_discard_listener_may_discard_all(pm_manager_listener_at(manager, i),
                                                 &manager->blocks, error)) {
            cancel(manager, i);
            return false;
        }
    return true;
}

/* Nothing is mapped any more. Only freeing all memory frees what is stuck, and makes lost contents
 * irrelevant. */
static bool ends_quarantine(const PmDiscardSource *source)
{
    const PmDiscardManager *manager = source->manager;

    if (source->frees_memory)
        return true;
    for (guint i = 0; i < manager->sources->len; i++)
        if (pm_manager_source_at(manager, i)->frees_memory)
            return false;
    return true;
}

bool pm_discard_source_discard_all(PmDiscardSource *source, GError **error)
{
    PmDiscardManager *manager = source->manager;
    PmBlocks *blocks = &manager->blocks;
    uint64_t n_losses = pm_quarantine_n_added(blocks->lost);
    const PmDiscardListener *failed;
    GError *cause = NULL;

    if (!pm_ram_check_process(manager->ram, error) || !ask_listeners(manager, error))
        return false;
    if (!drop_everything(source, &failed, &cause)) {
        cancel(manager, manager->listeners->len);
        return pm_manager_conclude_discard_all(manager, n_losses, failed, cause, error);
    }
    pm_bitmap_clear(blocks->populated, 0, pm_bitmap_n_bits(blocks->populated));
    pm_bitmap_clear(source->populated.bits, 0, pm_bitmap_n_bits(source->populated.bits));
    if (ends_quarantine(source)) {
        pm_quarantine_clear(blocks->lost);
        pm_quarantine_clear(blocks->stuck);
    }
    pm_manager_refresh(manager);
    return true;
}
