/* SPDX-License-Identifier: MIT */
/* Loads a trace in any format from a file or standard input, optionally gzip-compressed. */
#ifndef PLUGMAP_SRC_TRACE_TRACE_LOAD_H
#define PLUGMAP_SRC_TRACE_TRACE_LOAD_H

#include "trace/trace.h"

typedef enum {
    PM_TRACE_FORMAT_AUTO,
    PM_TRACE_FORMAT_PLUGMAP,
    PM_TRACE_FORMAT_QEMU_LOG,
} PmTraceFormat;

/*
 * @path: "-" for standard input. @given: geometry that is not in the file; may be NULL.
 * Ignores a truncated last line and sets the warning of the trace.
 * Errors: PM_ERROR_BAD_INPUT; the message begins with the file and, where there is one, the line.
 */
PmTrace *pm_trace_load(const char *path, PmTraceFormat format, const PmTraceGeometry *given,
                       GError **error);

#endif
