/* SPDX-License-Identifier: MIT */
/* How much a trace plugs. */
#ifndef PLUGMAP_SRC_REPLAY_PEAK_H
#define PLUGMAP_SRC_REPLAY_PEAK_H

#include "trace/trace.h"

/* The most bytes that are plugged at once, in all regions together, if every request that can be
 * acknowledged is. Errors: PM_ERROR_MEMORY (for a bit a block). */
bool pm_trace_peak(const PmTrace *trace, uint64_t *n_bytes, GError **error);

#endif
