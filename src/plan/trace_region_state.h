/* SPDX-License-Identifier: MIT */
/* What a guest with larger blocks has plugged of a recorded region, and how much of it is mapped.
 */
#ifndef PLUGMAP_SRC_PLAN_TRACE_REGION_STATE_H
#define PLUGMAP_SRC_PLAN_TRACE_REGION_STATE_H

#include "trace/trace.h"

typedef struct PmTraceRegionState PmTraceRegionState;

/* Nothing is plugged, everything is shared. @factor: recorded blocks per block. NULL: out of
 * memory. */
PmTraceRegionState *pm_trace_region_state_new(const PmTraceRegion *region, uint64_t factor);
void pm_trace_region_state_free(PmTraceRegionState *state);

/* A recorded event of the region (RESET: of all) that succeeded or has no recorded response. */
void pm_trace_region_state_play(PmTraceRegionState *state, const PmTraceEvent *event);

/* What is plugged and shared is mapped, in units of a block or of what can be converted, whichever
 * is smaller. */
uint64_t pm_trace_region_state_n_mapped(const PmTraceRegionState *state);
uint64_t pm_trace_region_state_n_bytes(const PmTraceRegionState *state);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmTraceRegionState, pm_trace_region_state_free)

#endif
