/* SPDX-License-Identifier: MIT */
/*
 * Which blocks get the regions there are. The registry's lock is held.
 */
#ifndef PLUGMAP_SRC_BUFFERS_PLACEMENT_H
#define PLUGMAP_SRC_BUFFERS_PLACEMENT_H

#include "buffers/buffer_range.h"

/* Registers what is populated in @run, and has no region, as far as there is room. The rest is
 * refused, with the reason in the range. */
void pm_placement_fill(PmBufferRange *range, PmBlockRun run);

/* The same for all ranges, because there may be room now. */
void pm_placement_fill_all(PmBufferRegistry *registry);

/* Whether one more region of @range can be mapped; merges others for it, if the back end can. */
bool pm_placement_make_room(PmBufferRange *range);

/* As pm_placement_make_room(), or evicts the region that was unused for longest. For what has
 * priority. */
bool pm_placement_force_room(PmBufferRange *range);

/*
 * A request asked for a block that has no region. Registers it if there is room; or, if it was
 * asked for several times while another region was not used, in place of that one.
 */
void pm_placement_miss(PmBufferRange *range, uint64_t block);

/* "NAME: all regions are in use ...". Returns false. */
bool pm_placement_fail_full(const PmBufferRange *range, GError **error);

#endif
