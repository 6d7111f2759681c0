/* SPDX-License-Identifier: MIT */
/*
 * Blocks of a PmRam of which a listener may have kept or lost what it should not, with who and why.
 * All offsets and sizes are bytes, multiples of the granularity.
 */
#ifndef PLUGMAP_SRC_MEMORY_QUARANTINE_H
#define PLUGMAP_SRC_MEMORY_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmQuarantine PmQuarantine;

/* Records kept apart; what comes after them goes under the last one's name, so that their memory
 * stays bounded. */
#define PM_QUARANTINE_MAX_RECORDS 1024

/* NULL if there is no memory for the bitmap. */
PmQuarantine *pm_quarantine_new(uint64_t size, uint64_t granularity);
void pm_quarantine_free(PmQuarantine *quarantine);

/* @owner: a key for pm_quarantine_remove_owner(), or NULL. */
void pm_quarantine_add(PmQuarantine *quarantine, uint64_t offset, uint64_t size, const void *owner,
                       const char *listener, const char *reason);
void pm_quarantine_clear(PmQuarantine *quarantine);

/* Blocks are in order again, whoever put them here. A record of which nothing is left goes. */
void pm_quarantine_remove(PmQuarantine *quarantine, uint64_t offset, uint64_t size);

/* @owner goes; what was added for it stays. */
void pm_quarantine_disown(PmQuarantine *quarantine, const void *owner);

/* What was added for @owner, unless its record had to go under another's name. */
void pm_quarantine_remove_owner(PmQuarantine *quarantine, const void *owner);

/* How often something was added, ever: more of it since is a loss since, whatever has gone. */
uint64_t pm_quarantine_n_added(const PmQuarantine *quarantine);

uint64_t pm_quarantine_n_bytes(const PmQuarantine *quarantine);

/* The first byte in quarantine in [@offset, @end), or @end; and the first one out of it. */
uint64_t pm_quarantine_next(const PmQuarantine *quarantine, uint64_t offset, uint64_t end);
uint64_t pm_quarantine_next_free(const PmQuarantine *quarantine, uint64_t offset, uint64_t end);

/*
 * The first run at or behind @offset that one record names. Where several listeners have to do with
 * a block, it is the first that was added.
 */
bool pm_quarantine_next_run(const PmQuarantine *quarantine, uint64_t offset, uint64_t *run_offset,
                            uint64_t *run_size, const char **listener, const char **reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmQuarantine, pm_quarantine_free)

#endif
