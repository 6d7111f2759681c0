/* SPDX-License-Identifier: MIT */
/* Peak memory of a trace. */
#ifndef PLUGMAP_SRC_REPLAY_PEAK_H
#define PLUGMAP_SRC_REPLAY_PEAK_H

#include "trace/trace.h"

/* The peak of plugged bytes in all regions, assuming that every valid request is acknowledged.
 * Errors: PM_ERROR_MEMORY (bitmaps with one bit per block). */
bool pm_trace_peak(const PmTrace *trace, uint64_t *n_bytes, GError **error);

#endif
