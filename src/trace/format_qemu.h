/* SPDX-License-Identifier: MIT */
/* QEMU's trace log: docs/trace-format.md. */
#ifndef PLUGMAP_SRC_TRACE_FORMAT_QEMU_H
#define PLUGMAP_SRC_TRACE_FORMAT_QEMU_H

#include "trace/line_reader.h"
#include "trace/trace.h"

/* Reads from an open reader, at its first line, into an empty trace. */
bool pm_format_qemu_read(PmLineReader *reader, const PmTraceGeometry *given, PmTrace *trace,
                         GError **error);

/* --- a log that grows, line by line, in a fixed amount of memory --- */

typedef struct PmQemuLog PmQemuLog;

/* @reader must stay valid. */
PmQemuLog *pm_qemu_log_new(PmLineReader *reader);
void pm_qemu_log_free(PmQemuLog *log);

/*
 * Reads the reader's line. *is_event: it is an event of virtio-mem. After an error, call
 * pm_qemu_log_restart(). A response before the first request is skipped: the log may have lost its
 * beginning. Errors: PM_ERROR_BAD_INPUT, with file and line.
 */
bool pm_qemu_log_read_line(PmQemuLog *log, bool *is_event, GError **error);

/* Takes the oldest event, a request only with its response. False if there is none. A RESIZE has
 * the size of the usable region, not the requested size. */
bool pm_qemu_log_take(PmQemuLog *log, PmTraceEvent *event);

/* Lines may have been lost: forgets the request without a response. */
void pm_qemu_log_restart(PmQemuLog *log);

/* 0 until an UNPLUG has shown it. */
uint64_t pm_qemu_log_get_block_size(const PmQemuLog *log);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmQemuLog, pm_qemu_log_free)

#endif
