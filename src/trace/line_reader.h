/* SPDX-License-Identifier: MIT */
/* A text line by line, with a bound for each line, and messages that name the place. What is
 * compressed by gzip is known by its content. */
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
    bool again;     /* that line comes once more */
    bool end;       /* there was none any more */
    bool too_long;  /* text is only the line's beginning */
    bool cut_off;   /* the line has no newline: it is the last one, perhaps not whole */
    bool truncated; /* compressed, and its end is missing */
    char text[PM_MAX_LINE + 2];
} PmLineReader;

/* @path must stay valid; "-" is standard input. Errors: PM_ERROR_BAD_INPUT (missing, a directory,
 * not readable). */
bool pm_line_reader_open(PmLineReader *reader, const char *path, GError **error);
void pm_line_reader_close(PmLineReader *reader);

/*
 * Reads the next line into text, without its end and without a byte order mark in front of the
 * first. At the end of the file *end is set and true returned. Errors: PM_ERROR_BAD_INPUT
 * (binary, not readable, damaged).
 */
bool pm_line_reader_next(PmLineReader *reader, bool *end, GError **error);

/* Whether text is the whole line. A line that nobody reads may be of any length. */
bool pm_line_check_length(const PmLineReader *reader, GError **error);

/* The next call of pm_line_reader_next() gives the last line again: nothing that is read has to be
 * rewound, which a pipe has no way to do. */
void pm_line_reader_unread(PmLineReader *reader);

/* Sets an error of PM_ERROR_BAD_INPUT that begins with file and line, and ends with advice if the
 * line may have been cut off; returns false. */
bool pm_line_fail(const PmLineReader *reader, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#endif
