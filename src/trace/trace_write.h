/* SPDX-License-Identifier: MIT */
/* Writes a trace in plugmap's own format: docs/trace-format.md. */
#ifndef PLUGMAP_SRC_TRACE_TRACE_WRITE_H
#define PLUGMAP_SRC_TRACE_TRACE_WRITE_H

#include <stdbool.h>
#include <stdio.h>

#include "trace/trace.h"

/* Returns false on a write error. */
bool pm_trace_write(const PmTrace *trace, FILE *stream);

/* In parts: header and regions, then each event. @trace needs no events. */
void pm_trace_write_head(const PmTrace *trace, FILE *stream);
void pm_trace_write_event(const PmTrace *trace, const PmTraceEvent *event, FILE *stream);

#endif
