/* SPDX-License-Identifier: MIT */
/* Reads text line by line, with a bound for the length; errors name file and line. Detects gzip by
 * content. */
#ifndef PLUGMAP_SRC_TRACE_LINE_READER_H
#define PLUGMAP_SRC_TRACE_LINE_READER_H

#include <stdbool.h>

#include <plugmap/error.h>
#include <zlib.h>

#define PM_MAX_LINE 4096

typedef struct {
    const char *name; /* for messages */
    gzFile file;
    unsigned line;  /* of the last line read, from 1 */
    bool again;     /* return that line again */
    bool end;       /* end of file */
    bool too_long;  /* text is only a prefix of the line */
    bool cut_off;   /* the last line, without a newline: may be truncated */
    bool truncated; /* gzip data without its end */
    char text[PM_MAX_LINE + 2];
} PmLineReader;

/* @path must stay valid; "-" is standard input. Errors: PM_ERROR_BAD_INPUT (missing, a directory,
 * not readable). */
bool pm_line_reader_open(PmLineReader *reader, const char *path, GError **error);
void pm_line_reader_close(PmLineReader *reader);

/*
 * Reads the next line into text, without the newline and, in the first line, a byte order mark.
 * At the end of the file, sets *end and returns true. Errors: PM_ERROR_BAD_INPUT
 * (binary, not readable, damaged).
 */
bool pm_line_reader_next(PmLineReader *reader, bool *end, GError **error);

/* Fails if text is only a prefix. Skipped lines may have any length. */
bool pm_line_check_length(const PmLineReader *reader, GError **error);

/* Makes the next pm_line_reader_next() return the same line; works on pipes, which cannot seek. */
void pm_line_reader_unread(PmLineReader *reader);

/* A warning, with file and line in front, that the reader's line is cut off and ignored; a new
 * string. */
char *pm_line_cut_off_text(const PmLineReader *reader);

/* Sets PM_ERROR_BAD_INPUT with file and line in front, and a hint if the line may be truncated.
 * Returns false. */
bool pm_line_fail(const PmLineReader *reader, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#endif
