/* SPDX-License-Identifier: MIT */
/* PmDiscardManager from inside: what its files share. */
#ifndef PLUGMAP_SRC_MEMORY_DISCARD_MANAGER_PRIVATE_H
#define PLUGMAP_SRC_MEMORY_DISCARD_MANAGER_PRIVATE_H

#include <plugmap/discard_manager.h>

#include "memory/discard_listener.h"

struct PmDiscardManager {
    gatomicrefcount references;
    PmRam *ram;
    PmBlocks blocks;
    GPtrArray *listeners; /* in the order of registration */
    GPtrArray *orphans;   /* dropped listeners that may still have something */
};

static inline PmDiscardListener *pm_manager_listener_at(const PmDiscardManager *manager,
                                                        guint index)
{
    return g_ptr_array_index(manager->listeners, index);
}

/* A range of whole blocks inside the RAM. Errors: PM_ERROR_UNALIGNED, PM_ERROR_INVALID_ARGUMENT. */
bool pm_manager_check_range(const PmDiscardManager *manager, uint64_t offset, uint64_t size,
                            GError **error);

/* --- quarantine: what lost, stuck, listeners and orphans say together --- */

/* The first byte in quarantine in [@offset, @end), or @end. */
uint64_t pm_manager_next_quarantined(const PmDiscardManager *manager, uint64_t offset,
                                     uint64_t end);

/* Nothing of [@offset, @end) is in quarantine. Errors: PM_ERROR_QUARANTINED. */
bool pm_manager_check_no_quarantine(const PmDiscardManager *manager, uint64_t offset, uint64_t end,
                                    GError **error);

/* For a change of a range of which nothing was in quarantine before. Takes @cause; returns false.
 */
bool pm_manager_conclude_range(const PmDiscardManager *manager, uint64_t offset, uint64_t size,
                               GError *cause, GError **error);

/* For a change of everything. @n_losses: pm_quarantine_n_added() of what was lost before. @failed:
 * who failed, which may say itself that it does not know what it has now; or NULL. */
bool pm_manager_conclude_all(const PmDiscardManager *manager, uint64_t n_losses,
                             const PmDiscardListener *failed, GError *cause, GError **error);

/* @failure: why the host did not take the memory back. If some of it may be gone all the same, what
 * is plugged there has lost its contents. */
void pm_manager_lose_contents(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                              const GError *failure);

/* Gives the memory of discarded blocks back, but for what somebody may still have mapped; what does
 * not go is stuck, and the reason joins @cause, if that is not NULL. */
void pm_manager_give_back(PmDiscardManager *manager, uint64_t offset, uint64_t size, GError *cause);

/* Forgets orphans that know, for every block, whether they still have it, and tries again to give
 * back what is stuck. */
void pm_manager_refresh(PmDiscardManager *manager);

#endif
