/* SPDX-License-Identifier: MIT */
/* Regions that adjacent blocks share, where the back end can replace them (PM_BUFFER_CAN_REPLACE).
 * Where it cannot, these return false. The registry's lock is held. */
#ifndef PLUGMAP_SRC_BUFFERS_MERGE_H
#define PLUGMAP_SRC_BUFFERS_MERGE_H

#include "buffers/buffer_range.h"

/* Registers blocks that have no region together with the regions before and after them. Returns
 * false if there are none, if they are leased, or, with @error, if the back end failed: then they
 * are as before, or refused. */
bool pm_merge_with_neighbors(PmBufferRange *range, PmBlockRun run, GError **error);

/* Merges the two adjacent regions that are smallest together and not leased. */
bool pm_merge_smallest(PmBufferRegistry *registry);

#endif
