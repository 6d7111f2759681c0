/* SPDX-License-Identifier: MIT */
/* plugmap's own format: docs/trace-format.md. */
#ifndef PLUGMAP_SRC_TRACE_FORMAT_PLUGMAP_H
#define PLUGMAP_SRC_TRACE_FORMAT_PLUGMAP_H

#include "trace/line_reader.h"
#include "trace/trace.h"

/* Reads from an open reader, at its first line, into an empty trace. */
bool pm_format_plugmap_read(PmLineReader *reader, const PmTraceGeometry *given, PmTrace *trace,
                            GError **error);

#endif
