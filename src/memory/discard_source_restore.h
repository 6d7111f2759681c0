/* SPDX-License-Identifier: MIT */
/* Changes of a source that leave the contents of the memory alone. */
#ifndef PLUGMAP_SRC_MEMORY_DISCARD_SOURCE_RESTORE_H
#define PLUGMAP_SRC_MEMORY_DISCARD_SOURCE_RESTORE_H

#include <plugmap/discard_source.h>

#include "base/bitmap.h"

/*
 * Populates many runs of a source that has nothing populated, all or nothing. Frees no memory.
 * @wanted: one bit per granule of the source; not changed.
 * @prefault_threads: as for pm_discard_source_populate(); what was faulted in stays on failure.
 * Errors: PM_ERROR_BUSY (something is populated), PM_ERROR_QUARANTINED (something is in quarantine,
 * from before or now), PM_ERROR_MEMORY (prefault), PM_ERROR_PERMISSION (in a child of fork(2)),
 * what a listener set.
 */
bool pm_discard_source_restore(PmDiscardSource *source, PmBitmap *wanted, unsigned prefault_threads,
                               GError **error);

/* Frees the memory of all that the source has discarded. What the host does not free is in
 * quarantine. */
void pm_discard_source_free_discarded(PmDiscardSource *source);

/* From now on the source frees no memory. */
void pm_discard_source_keep_memory(PmDiscardSource *source);

#endif
