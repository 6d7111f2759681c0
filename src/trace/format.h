/* SPDX-License-Identifier: MIT */
/* Helpers shared by the trace formats. */
#ifndef PLUGMAP_SRC_TRACE_FORMAT_H
#define PLUGMAP_SRC_TRACE_FORMAT_H

#include "trace/line_reader.h"
#include "trace/trace.h"

/* The first line of plugmap's own format. */
#define PM_TRACE_MAGIC   "plugmap-trace"
#define PM_TRACE_VERSION "1"

/* Adds an event at the reader's line. Fails if there are too many. */
bool pm_format_add_event(PmTrace *trace, const PmLineReader *reader, PmTraceEvent event,
                         GError **error);

/* Sets the warning that the reader's line, the last one, is truncated and ignored. */
void pm_format_leave_out(PmTrace *trace, const PmLineReader *reader);

#endif
