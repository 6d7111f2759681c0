/* SPDX-License-Identifier: MIT */
/* The two formats a trace can be read from; trace.c picks one. */
#ifndef PLUGMAP_SRC_TRACE_FORMAT_H
#define PLUGMAP_SRC_TRACE_FORMAT_H

#include "trace/line_reader.h"
#include "trace/trace.h"

#define PM_TRACE_MAGIC "plugmap-trace"

/* Each reads from an opened reader, whose first line is still to be read, into an empty trace. */
bool pm_format_plugmap_read(PmLineReader *reader, const PmTraceGeometry *given, PmTrace *trace,
                            GError **error);
bool pm_format_qemu_read(PmLineReader *reader, const PmTraceGeometry *given, PmTrace *trace,
                         GError **error);

/* Adds an event, with the line of the reader. Fails if there are too many. */
bool pm_trace_add(PmTrace *trace, const PmLineReader *reader, PmTraceEvent event, GError **error);

/* Whether the geometry can be one; the message says what is wrong, without file and line. */
bool pm_trace_check_geometry(const PmTrace *trace, GError **error);

/*
 * The largest requested size that makes the usable region @usable bytes. Less than that whole
 * region comes from one requested size only, which reaches beyond it by PM_TRACE_USABLE_EXTENT in
 * whole blocks. False if none does.
 */
bool pm_trace_bound_requested(const PmTrace *trace, uint64_t usable, uint64_t *bound);

/* Whether the event's blocks lie in the region. */
bool pm_trace_check_range(const PmTrace *trace, const PmTraceEvent *event, GError **error);

#endif
