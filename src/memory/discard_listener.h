/* SPDX-License-Identifier: MIT */
/*
 * One listener of a discard manager: what it is notified of, clipped to its range, and what follows
 * when it fails. A function that fails has brought its listener back to where it was before, or has
 * recorded as lost what could not be brought back, unless the listener accounts for it itself.
 */
#ifndef PLUGMAP_SRC_MEMORY_DISCARD_LISTENER_H
#define PLUGMAP_SRC_MEMORY_DISCARD_LISTENER_H

#include <plugmap/discard_manager.h>

#include "base/bitmap.h"
#include "memory/quarantine.h"

/*
 * Which blocks are what.
 * @lost: blocks of which a listener, or the host, is not as it should be, and keeps no account
 * itself.
 * @stuck: discarded blocks whose memory has not gone back to the host yet.
 */
typedef struct {
    uint64_t size;
    uint64_t granularity;
    PmBitmap *populated;
    PmQuarantine *lost;
    PmQuarantine *stuck;
} PmBlocks;

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

/* The first run at or behind @offset of which the listener itself does not know what it has.
 * @reason: a new string, if not NULL. */
bool pm_discard_listener_next_unknown(const PmDiscardListener *listener, uint64_t offset,
                                      uint64_t *run_offset, uint64_t *run_size, char **reason);

bool pm_discard_listener_knows_all(const PmDiscardListener *listener);

/* The same for a caller that cannot go on otherwise. Errors: PM_ERROR_QUARANTINED. */
bool pm_discard_listener_check_knows_all(const PmDiscardListener *listener, GError **error);

/* Questions, which change nothing. */
bool pm_discard_listener_may_populate(const PmDiscardListener *listener, uint64_t offset,
                                      uint64_t size, GError **error);
bool pm_discard_listener_may_discard(const PmDiscardListener *listener, uint64_t offset,
                                     uint64_t size, GError **error);
/* The same for every run that is populated in the listener's range. */
bool pm_discard_listener_may_discard_all(const PmDiscardListener *listener, const PmBlocks *blocks,
                                         GError **error);

bool pm_discard_listener_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                  uint64_t offset, uint64_t size, GError **error);
bool pm_discard_listener_discard(const PmDiscardListener *listener, PmBlocks *blocks,
                                 uint64_t offset, uint64_t size, GError **error);

/* The opposites, for going back: what fails is lost. */
void pm_discard_listener_undo_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                       uint64_t offset, uint64_t size);
void pm_discard_listener_redo_populate(const PmDiscardListener *listener, PmBlocks *blocks,
                                       uint64_t offset, uint64_t size);

/* Notifies of everything that is populated in the listener's range. */
bool pm_discard_listener_replay(const PmDiscardListener *listener, PmBlocks *blocks,
                                GError **error);
/* Has everything in the listener's range dropped, also what is lost or unknown. */
bool pm_discard_listener_drop_all(const PmDiscardListener *listener, PmBlocks *blocks,
                                  GError **error);
/* The same for one that is not registered any more: it has nothing but what it does not know. */
bool pm_discard_listener_drop_unknown(const PmDiscardListener *listener, GError **error);
/* The way back from pm_discard_listener_drop_all(), run by run from the last to the first. */
void pm_discard_listener_redo_all(const PmDiscardListener *listener, PmBlocks *blocks);
/* Records as lost everything that is populated in the listener's range. */
void pm_discard_listener_lose_all(const PmDiscardListener *listener, PmBlocks *blocks,
                                  const char *reason);

#endif
