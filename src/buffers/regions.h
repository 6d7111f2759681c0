/* SPDX-License-Identifier: MIT */
/* The regions of a range: maps and unmaps them, and keeps the lease table equal to them. The
 * registry's lock is held. */
#ifndef PLUGMAP_SRC_BUFFERS_REGIONS_H
#define PLUGMAP_SRC_BUFFERS_REGIONS_H

#include "buffers/buffer_range.h"

/* Maps blocks that have no region, as one region if the back end has larger ones than blocks, and
 * opens them for leases. Errors: those of the back end; what it has lost track of is unknown. */
bool pm_regions_map(PmBufferRange *range, PmBlockRun run, GError **error);

/* Unmaps all regions in @run, whose border none crosses. Their blocks are closed, and then
 * unregistered. Stops at the first failure; what the back end has lost track of is unknown, the
 * rest closed. */
bool pm_regions_unmap(PmBufferRange *range, PmBlockRun run, GError **error);

/* Unmaps the regions in @run as far as possible; the others are unknown. */
void pm_regions_drop(PmBufferRange *range, PmBlockRun run);

/* Unmaps all regions of the range, including unknown ones. As pm_regions_unmap(). */
bool pm_regions_purge(PmBufferRange *range, GError **error);

/* Tries again to unmap what is unknown. Returns whether nothing is. */
bool pm_regions_settle(PmBufferRange *range, GError **error);

/* All regions in @run, or in the range, are unknown from now on. */
void pm_regions_forget_run(PmBufferRange *range, PmBlockRun run);
void pm_regions_forget(PmBufferRange *range, const char *reason);

/* Blocks of @run, until now populated, are not any more. */
void pm_regions_note_discarded(PmBufferRange *range, PmBlockRun run);

/* @run, extended to whole regions. */
PmBlockRun pm_regions_cover(const PmBufferRange *range, PmBlockRun run);

/* No new leases of the blocks in @run, which is made of whole regions. Errors: PM_ERROR_BUSY
 * (leased); then nothing changes. The message does not name the registry, as its listener's name
 * is before it. */
bool pm_regions_close(PmBufferRange *range, PmBlockRun run, GError **error);

/* The same, waiting for leases to be released as long as the registry's wait_ms, without the lock:
 * whoever has the leases may need it. @run is about to be discarded, or the range is leaving, so
 * nobody else changes these regions meanwhile. */
bool pm_regions_close_and_wait(PmBufferRange *range, PmBlockRun run, GError **error);

/* Undoes pm_regions_close(), for what is still closed, and wakes those who wait for any of the
 * blocks. Ends a closing during which the lock was released, whatever came of it. */
void pm_regions_reopen(PmBufferRange *range, PmBlockRun run);

/* The first region that ends at or after @block, or NULL. Valid until the next change. */
const PmRegionRecord *pm_regions_find(const PmBufferRange *range, uint64_t block);

/* The first run of blocks in [@from, @end) that are populated, in no region, and not about to be
 * discarded. */
bool pm_regions_next_missing(const PmBufferRange *range, uint64_t from, uint64_t end,
                             PmBlockRun *run);

/* The first run at or after @offset that may be registered; as PmDiscardListenerOps.next_unknown,
 * but relative to the range. */
bool pm_regions_next_unknown(const PmBufferRange *range, uint64_t offset, uint64_t *run_offset,
                             uint64_t *run_size, char **reason);

#endif
