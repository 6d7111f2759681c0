/* SPDX-License-Identifier: MIT */
/* PmDiscardManager from inside: what its files share. */
#ifndef PLUGMAP_MEMORY_DISCARD_MANAGER_PRIVATE_H
#define PLUGMAP_MEMORY_DISCARD_MANAGER_PRIVATE_H

#include <plugmap/discard_manager.h>

#include "memory/discard_listener.h"

struct PmDiscardManager {
    gatomicrefcount references;
    PmRam *ram;
    PmBlocks blocks;
    GPtrArray *listeners; /* in the order of registration */
    GPtrArray *orphans;   /* dropped listeners that do not know what they have */
};

/* --- quarantine: what lost, stuck, listeners and orphans say together --- */

/* The first byte in (out of) quarantine in [@offset, @end), or @end. */
uint64_t pm_manager_next_quarantined(const PmDiscardManager *manager, uint64_t offset,
                                     uint64_t end);

/* Nothing of [@offset, @end) is in quarantine. Errors: PM_ERROR_QUARANTINED. */
bool pm_manager_check_no_quarantine(const PmDiscardManager *manager, uint64_t offset, uint64_t end,
                                    GError **error);

/* Gives the memory of discarded blocks back, but for what somebody may still have mapped; what does
 * not go is stuck, and the reason joins @cause, if that is not NULL. */
void pm_manager_give_back(PmDiscardManager *manager, uint64_t offset, uint64_t size, GError *cause);

/* Forgets orphans that know again what they have, and tries again to give back what is stuck. */
void pm_manager_refresh(PmDiscardManager *manager);

#endif
