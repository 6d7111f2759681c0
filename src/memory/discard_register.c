/* SPDX-License-Identifier: MIT */
/* Registers, unregisters and drops listeners. */
#include "base/error_text.h"
#include "base/sized.h"
#include "memory/discard_manager_private.h"

/* The state of a block in quarantine is unknown: nothing correct to notify a listener of. */
static bool check_replayable(const PmDiscardManager *manager, uint64_t offset, uint64_t end,
                             GError **error)
{
    const PmBlocks *blocks = &manager->blocks;

    while ((offset = pm_manager_next_quarantined(manager, offset, end)) < end) {
        uint64_t block_end = offset + blocks->granularity;

        if (pm_discard_manager_is_populated(manager, offset, blocks->granularity))
            return pm_manager_check_no_quarantine(manager, offset, block_end, error);
        offset = block_end;
    }
    return true;
}

/* A listener whose rollback failed becomes an orphan. It is not asked yet: its owner must first see
 * that registration failed, so that it reports what it still has. */
static bool begin_listening(PmDiscardManager *manager, PmDiscardListener *listener, GError **error)
{
    uint64_t n_losses = pm_quarantine_n_added(manager->blocks.lost);
    GError *cause = NULL;
    bool lost;

    if (pm_discard_listener_replay(listener, &manager->blocks, &cause)) {
        g_ptr_array_add(manager->listeners, listener);
        return true;
    }
    lost = pm_quarantine_n_added(manager->blocks.lost) != n_losses;
    g_ptr_array_add(manager->orphans, listener);
    (void)pm_manager_conclude_all(manager, n_losses, listener, cause, error);
    if (!lost || listener->ops.next_unknown == NULL)
        pm_manager_refresh(manager);
    return false;
}

static bool check_mandatory(bool given, const char *what, GError **error)
{
    return given || pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                            "invalid discard listener: must have %s", what);
}

static bool check_listener(const PmDiscardListenerOps *ops, const char *name, GError **error)
{
    return check_mandatory(ops->populate != NULL, "a populate callback", error) &&
           check_mandatory(ops->discard != NULL, "a discard callback", error) &&
           check_mandatory(name != NULL && *name != '\0', "a name", error);
}

PmDiscardListener *pm_discard_manager_register(PmDiscardManager *manager,
                                               const PmDiscardListenerOps *ops, void *user_data,
                                               const char *name, uint64_t offset, uint64_t size,
                                               GError **error)
{
    PmDiscardListenerOps known;
    PmDiscardListener *listener;

    if (!pm_sized_read("PmDiscardListenerOps", &known, sizeof(known), ops, error))
        return NULL;
    if (!check_listener(&known, name, error)) {
        if (known.free != NULL)
            known.free(user_data);
        return NULL;
    }
    listener = pm_discard_listener_new(&known, user_data, name, offset, size);
    pm_manager_refresh(manager);
    if (!pm_manager_check_range(manager, manager->blocks.granularity, offset, size, error) ||
        !check_replayable(manager, offset, offset + size, error)) {
        pm_discard_listener_free(listener);
        return NULL;
    }
    return begin_listening(manager, listener, error) ? listener : NULL;
}

bool pm_discard_manager_unregister(PmDiscardManager *manager, PmDiscardListener *listener,
                                   GError **error)
{
    PmBlocks *blocks = &manager->blocks;
    uint64_t n_losses = pm_quarantine_n_added(blocks->lost);
    GError *cause = NULL;

    if (!g_ptr_array_find(manager->listeners, listener, NULL))
        return pm_fail(error, PM_ERROR_NOT_FOUND,
                       "the listener %p is not registered with this discard manager",
                       (void *)listener);
    if (!pm_discard_listener_drop_all(listener, blocks, &cause))
        return pm_manager_conclude_all(manager, n_losses, listener, cause, error);
    if (!pm_discard_listener_check_knows_all(listener, &cause)) {
        pm_discard_listener_redo_all(listener, blocks);
        return pm_manager_conclude_all(manager, n_losses, listener, cause, error);
    }
    pm_quarantine_remove_owner(blocks->lost, listener);
    g_ptr_array_remove(manager->listeners, listener);
    pm_manager_refresh(manager);
    (void)pm_manager_coarsen(manager);
    return true;
}

void pm_discard_manager_drop(PmDiscardManager *manager, PmDiscardListener *listener)
{
    guint index;

    if (!g_ptr_array_find(manager->listeners, listener, &index))
        return;
    if (listener->ops.next_unknown == NULL)
        pm_discard_listener_lose_all(listener, &manager->blocks,
                                     "it was dropped, and may still have what was populated");
    else /* It may not have what is populated any more: only what it reports counts. */
        pm_quarantine_remove_owner(manager->blocks.lost, listener);
    g_ptr_array_add(manager->orphans, g_ptr_array_steal_index(manager->listeners, index));
    pm_manager_refresh(manager);
    pm_manager_coarsen(manager);
}
