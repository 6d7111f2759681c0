/* SPDX-License-Identifier: MIT */
/* Shared by the files of PmDiscardManager and PmDiscardSource. */
#ifndef PLUGMAP_SRC_MEMORY_DISCARD_MANAGER_PRIVATE_H
#define PLUGMAP_SRC_MEMORY_DISCARD_MANAGER_PRIVATE_H

#include <plugmap/discard_manager.h>

#include "memory/discard_listener.h"

struct PmDiscardManager {
    gatomicrefcount references;
    PmRam *ram;
    uint64_t coarsest; /* the granularity without sources */
    PmBlocks blocks;
    GPtrArray *sources;
    GPtrArray *listeners; /* in the order of registration */
    GPtrArray *orphans;   /* dropped listeners that may still have something */
};

struct PmDiscardSource {
    PmDiscardManager *manager; /* that owns it */
    char *name;
    PmGranules populated;
    bool frees_memory;
};

static inline PmDiscardListener *pm_manager_listener_at(const PmDiscardManager *manager,
                                                        guint index)
{
    return g_ptr_array_index(manager->listeners, index);
}

static inline PmDiscardSource *pm_manager_source_at(const PmDiscardManager *manager, guint index)
{
    return g_ptr_array_index(manager->sources, index);
}

/* A power of two, at least a page, that divides the RAM. Errors: PM_ERROR_INVALID_ARGUMENT,
 * PM_ERROR_UNALIGNED. */
bool pm_manager_check_granularity(const PmRam *ram, uint64_t granularity, GError **error);

/* A range of whole granules inside the RAM. Errors: PM_ERROR_UNALIGNED, PM_ERROR_INVALID_ARGUMENT.
 */
bool pm_manager_check_range(const PmDiscardManager *manager, uint64_t granularity, uint64_t offset,
                            uint64_t size, GError **error);

void pm_discard_source_free(PmDiscardSource *source);

/* Clears in @bitmap the blocks of [@offset, @end) that a source other than @except (or any, if
 * NULL) does not have populated. */
void pm_manager_keep_agreed(const PmDiscardManager *manager, const PmDiscardSource *except,
                            PmBitmap *bitmap, uint64_t offset, uint64_t end);

/* Makes the granularity the finest that a source needs, if it is finer now and nobody relies on it.
 * Lack of memory changes nothing. Returns whether the blocks were made anew. */
bool pm_manager_coarsen(PmDiscardManager *manager);

/* --- quarantine: blocks that are lost or stuck, or that listeners or orphans report --- */

/* The first byte in quarantine in [@offset, @end), or @end. */
uint64_t pm_manager_next_quarantined(const PmDiscardManager *manager, uint64_t offset,
                                     uint64_t end);

/* Nothing of [@offset, @end) is in quarantine. Errors: PM_ERROR_QUARANTINED. */
bool pm_manager_check_no_quarantine(const PmDiscardManager *manager, uint64_t offset, uint64_t end,
                                    GError **error);

/* After a failure on a range that was not in quarantine before. Takes @cause; returns false. */
bool pm_manager_conclude_range(const PmDiscardManager *manager, uint64_t offset, uint64_t size,
                               GError *cause, GError **error);

/* After a failure on everything. @n_losses: pm_quarantine_n_added() of the lost blocks before.
 * @failed: who failed, and may report unknown blocks now; or NULL. */
bool pm_manager_conclude_all(const PmDiscardManager *manager, uint64_t n_losses,
                             const PmDiscardListener *failed, GError *cause, GError **error);

/* The same after a failure to discard everything; refreshes first. If nothing is in quarantine, the
 * code is another one than PM_ERROR_QUARANTINED. */
bool pm_manager_conclude_discard_all(PmDiscardManager *manager, uint64_t n_losses,
                                     const PmDiscardListener *failed, GError *cause,
                                     GError **error);

/* The contents of populated blocks are lost. */
void pm_manager_lose(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                     const GError *failure);

/* @failure: why the host did not free the memory. If it may have freed a part, the contents of the
 * populated blocks are lost. */
void pm_manager_lose_contents(PmDiscardManager *manager, uint64_t offset, uint64_t size,
                              const GError *failure);

/* Discards the memory of discarded blocks, except what a listener may still have mapped. The rest
 * is stuck, and the reason is added to @cause, if that is not NULL. */
void pm_manager_give_back(PmDiscardManager *manager, uint64_t offset, uint64_t size, GError *cause);

/* Frees orphans that report no unknown block, and retries to discard what is stuck. */
void pm_manager_refresh(PmDiscardManager *manager);

#endif
