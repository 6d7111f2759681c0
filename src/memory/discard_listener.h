/* SPDX-License-Identifier: MIT */
/*
 * One listener of a discard manager: notifies it, clipped to its range, and handles its failures. A
 * function that fails has restored the listener's state, or has recorded as lost what it could not
 * restore, unless the listener reports that itself.
 */
#ifndef PLUGMAP_SRC_MEMORY_DISCARD_LISTENER_H
#define PLUGMAP_SRC_MEMORY_DISCARD_LISTENER_H

#include <plugmap/discard_manager.h>

#include "memory/discard_blocks.h"

struct PmDiscardListener {
    PmDiscardListenerOps ops;
    void *user_data;
    char *name;
    uint64_t offset;
    uint64_t end;
};

PmDiscardListener *pm_discard_listener_new(const PmDiscardListenerOps *ops, void *user_data,
                                           const char *name, uint64_t offset, uint64_t size);
void pm_discard_listener_free(PmDiscardListener *listener);

/* The first run at or after @offset that the listener reports as unknown. @reason: a new string, if
 * not NULL. */
bool pm_discard_listener_next_unknown(const PmDiscardListener *listener, uint64_t offset,
                                      uint64_t *run_offset, uint64_t *run_size, char **reason);

bool pm_discard_listener_knows_all(const PmDiscardListener *listener);

/* Fails if the listener reports anything as unknown. Errors: PM_ERROR_QUARANTINED. */
bool pm_discard_listener_check_knows_all(const PmDiscardListener *listener, GError **error);

/* Ask whether a notification could succeed; no side effects. */
bool pm_discard_listener_may_populate(const PmDiscardListener *listener, uint64_t offset,
                                      uint64_t size, GError **error);
bool pm_discard_listener_may_discard(const PmDiscardListener *listener, uint64_t offset,
                                     uint64_t size, GError **error);
/* The same for every populated run in the listener's range. What it agreed to before it objected
 * is canceled. */
bool pm_discard_listener_may_discard_all(const PmDiscardListener *listener, const PmBlocks *blocks,
                                         GError **error);

/* What it was asked for, and agreed to, does not happen. */
void pm_discard_listener_cancel_discard(const PmDiscardListener *listener, uint64_t offset,
                                        uint64_t size);
void pm_discard_listener_cancel_discard_all(const PmDiscardListener *listener,
                                            const PmBlocks *blocks);

bool pm_discard_listener_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                  uint64_t offset, uint64_t size, GError **error);
bool pm_discard_listener_discard(const PmDiscardListener *listener, PmBlocks *blocks,
                                 uint64_t offset, uint64_t size, GError **error);

/* For rollback: what fails is lost. */
void pm_discard_listener_undo_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                       uint64_t offset, uint64_t size);
void pm_discard_listener_redo_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                       uint64_t offset, uint64_t size);

/* Notifies of everything that is populated in the listener's range. */
bool pm_discard_listener_replay(const PmDiscardListener *listener, PmBlocks *blocks,
                                GError **error);
/* Drops everything in the listener's range, including what is lost or unknown. */
bool pm_discard_listener_drop_all(const PmDiscardListener *listener, PmBlocks *blocks,
                                  GError **error);
/* The same for an orphan, which only has what it reports as unknown. */
bool pm_discard_listener_drop_unknown(const PmDiscardListener *listener, GError **error);
/* Undoes pm_discard_listener_drop_all(), run by run from the last to the first. */
void pm_discard_listener_redo_all(const PmDiscardListener *listener, PmBlocks *blocks);
/* Records as lost everything that is populated in the listener's range. */
void pm_discard_listener_lose_all(const PmDiscardListener *listener, PmBlocks *blocks,
                                  const char *reason);

#endif
