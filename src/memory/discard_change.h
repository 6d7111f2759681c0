/* SPDX-License-Identifier: MIT */
/*
 * A change of the merged state: the blocks that are set in PmBlocks.changing within a range. All
 * listeners are asked about all runs, then notified run by run; a failure is undone in reverse.
 */
#ifndef PLUGMAP_SRC_MEMORY_DISCARD_CHANGE_H
#define PLUGMAP_SRC_MEMORY_DISCARD_CHANGE_H

#include "memory/discard_manager_private.h"

/* Changes nothing. */
bool pm_change_ask_populate(const PmDiscardManager *manager, uint64_t offset, uint64_t end,
                            GError **error);

/* On an objection, the discard is canceled at those who agreed. */
bool pm_change_ask_discard(PmDiscardManager *manager, uint64_t offset, uint64_t end,
                           GError **error);

/* All agreed, but it does not happen; what was notified is undone. */
void pm_change_cancel_discard(PmDiscardManager *manager, uint64_t offset, uint64_t end);

/* On failure the listeners are as before, or blocks are lost. */
bool pm_change_notify_populate(PmDiscardManager *manager, uint64_t offset, uint64_t end,
                               GError **error);
bool pm_change_notify_discard(PmDiscardManager *manager, uint64_t offset, uint64_t end,
                              GError **error);

/* Undoes a complete pm_change_notify_discard(). */
void pm_change_redo_populate(PmDiscardManager *manager, uint64_t offset, uint64_t end);

/* Faults in the memory of all runs. */
bool pm_change_prefault(PmDiscardManager *manager, uint64_t offset, uint64_t end,
                        unsigned n_threads, GError **error);

/*
 * Discards the memory of the runs of granules in [@offset, @end) that are set, or clear. On failure
 * returns where the first run begins that was not freed for certain; what was freed before has lost
 * its contents: pm_change_lose_contents().
 */
bool pm_change_free_memory(PmDiscardManager *manager, const PmGranules *granules, bool set,
                           uint64_t offset, uint64_t end, uint64_t *failed_at, GError **error);
void pm_change_lose_contents(PmDiscardManager *manager, const PmGranules *granules, bool set,
                             uint64_t offset, uint64_t failed_at, uint64_t end,
                             const GError *failure);

/* The change is made. */
void pm_change_apply_populate(PmDiscardManager *manager, uint64_t offset, uint64_t end);
void pm_change_apply_discard(PmDiscardManager *manager, uint64_t offset, uint64_t end);

/* The change was made or undone. */
void pm_change_end(PmDiscardManager *manager, uint64_t offset, uint64_t end);

#endif
