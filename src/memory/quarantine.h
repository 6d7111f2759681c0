/* SPDX-License-Identifier: MIT */
/*
 * Blocks of a PmRam whose state is unknown, with the listener that caused it and the reason.
 * All offsets and sizes are bytes, multiples of the granularity.
 */
#ifndef PLUGMAP_SRC_MEMORY_QUARANTINE_H
#define PLUGMAP_SRC_MEMORY_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmQuarantine PmQuarantine;

/* Bounds the memory of records: what is added beyond is merged into the last one. */
#define PM_QUARANTINE_MAX_RECORDS 1024

/* NULL if there is no memory for the bitmap. */
PmQuarantine *pm_quarantine_new(uint64_t size, uint64_t granularity);
void pm_quarantine_free(PmQuarantine *quarantine);

/* @owner: a key for pm_quarantine_remove_owner(), or NULL. */
void pm_quarantine_add(PmQuarantine *quarantine, uint64_t offset, uint64_t size, const void *owner,
                       const char *listener, const char *reason);
void pm_quarantine_clear(PmQuarantine *quarantine);

/* Removes blocks, whoever added them, and records that become empty. */
void pm_quarantine_remove(PmQuarantine *quarantine, uint64_t offset, uint64_t size);

/* Forgets @owner, but keeps what was added for it. */
void pm_quarantine_disown(PmQuarantine *quarantine, const void *owner);

/* Removes what was added for @owner, unless it was merged into another's record. */
void pm_quarantine_remove_owner(PmQuarantine *quarantine, const void *owner);

/* How often something was ever added: grows with each loss, whatever was removed. */
uint64_t pm_quarantine_n_added(const PmQuarantine *quarantine);

uint64_t pm_quarantine_n_bytes(const PmQuarantine *quarantine);

/* The first byte in quarantine in [@offset, @end), or @end; and the first that is not. */
uint64_t pm_quarantine_next(const PmQuarantine *quarantine, uint64_t offset, uint64_t end);
uint64_t pm_quarantine_next_free(const PmQuarantine *quarantine, uint64_t offset, uint64_t end);

/*
 * The first run at or after @offset within one record. Of several records with a block, the one
 * that was added first.
 */
bool pm_quarantine_next_run(const PmQuarantine *quarantine, uint64_t offset, uint64_t *run_offset,
                            uint64_t *run_size, const char **listener, const char **reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmQuarantine, pm_quarantine_free)

#endif
