/* SPDX-License-Identifier: MIT */
/* Reads the lines of a file that grows, of a pipe or a FIFO, without waiting. A file that was
 * replaced (rotated) or truncated is read from its beginning, after the rest of the old one; null
 * bytes there are a hole, which is skipped. */
#ifndef PLUGMAP_SRC_WATCH_TAIL_H
#define PLUGMAP_SRC_WATCH_TAIL_H

#include "trace/line_reader.h"

typedef enum {
    PM_TAIL_LINE,      /* the reader has the next line */
    PM_TAIL_WAIT,      /* no whole line yet */
    PM_TAIL_RESTARTED, /* the next line is the first one of another file, or of this one */
    PM_TAIL_END,       /* of a pipe, or of a file that is not followed */
} PmTailResult;

typedef struct PmTail PmTail;

/* @path: must stay valid; "-" is standard input. @follow: the end of a file is not the end. Errors:
 * PM_ERROR_BAD_INPUT. */
PmTail *pm_tail_open(const char *path, bool follow, GError **error);
void pm_tail_free(PmTail *tail);

/* The reader of the lines: pm_line_fail() names the file and line. At the end it is cut off if
 * there was a last line without a newline, which is not returned. */
PmLineReader *pm_tail_reader(PmTail *tail);

/* Errors: PM_ERROR_BAD_INPUT (not readable, binary). */
bool pm_tail_next(PmTail *tail, PmTailResult *result, GError **error);

/* A descriptor that becomes readable when there is more; -1: a file, look again from time to time.
 */
int pm_tail_get_fd(const PmTail *tail);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmTail, pm_tail_free)

#endif
