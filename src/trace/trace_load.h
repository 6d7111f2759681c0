/* SPDX-License-Identifier: MIT */
/* Reads a trace in any format from a file, compressed or not, or standard input. */
#ifndef PLUGMAP_SRC_TRACE_TRACE_LOAD_H
#define PLUGMAP_SRC_TRACE_TRACE_LOAD_H

#include "trace/trace.h"

typedef enum {
    PM_TRACE_FORMAT_AUTO,
    PM_TRACE_FORMAT_PLUGMAP,
    PM_TRACE_FORMAT_QEMU_LOG,
} PmTraceFormat;

/*
 * @path: "-" is standard input. @given completes what the file does not say; it may be NULL.
 * A last line that was cut off is left out, and noted in the trace's warning.
 * Errors: PM_ERROR_BAD_INPUT; the message begins with the file and, where there is one, the line.
 */
PmTrace *pm_trace_load(const char *path, PmTraceFormat format, const PmTraceGeometry *given,
                       GError **error);

#endif
