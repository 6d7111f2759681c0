/* SPDX-License-Identifier: MIT */
/* The words of a line: '@TIME NAME KEY=VALUE... -> ANSWER # COMMENT'. */
#ifndef PLUGMAP_SRC_TRACE_WORDS_H
#define PLUGMAP_SRC_TRACE_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "trace/line_reader.h"

#define PM_MAX_WORDS 16

/* Of a time; leaves room to add to it in nanoseconds. */
#define PM_MAX_SECONDS (INT64_MAX / 2000000000)

/* Without the comment; they point into the reader's text. */
typedef struct {
    char *words[PM_MAX_WORDS];
    unsigned n_words;
} PmWords;

/* Errors of all: PM_ERROR_BAD_INPUT, with the reader's file and line. */

/* Splits the reader's line, which may have no words. Fails if the line is too long. */
bool pm_words_split(PmLineReader *reader, PmWords *words, GError **error);

/* Reads lines until one has words, or sets *end. */
bool pm_words_next(PmLineReader *reader, PmWords *words, bool *end, GError **error);

void pm_words_drop_first(PmWords *words, unsigned count);

/* Removes "name=value" and returns the value; NULL if there is none. */
const char *pm_words_take(PmWords *words, const char *name);

/* The same for a number; *value changes only if it is found. */
bool pm_words_take_number(const PmLineReader *reader, PmWords *words, const char *name, bool *found,
                          uint64_t *value, GError **error);

/* Removes '@SECONDS.FRACTION' in front of other words; *time_ns changes only if it is there. */
bool pm_words_take_time(const PmLineReader *reader, PmWords *words, int64_t *time_ns,
                        GError **error);

/* No word but '->' may have an arrow in it. */
bool pm_words_check_arrow(const PmLineReader *reader, const PmWords *words, GError **error);

/* Removes '-> ANSWER' from the end and returns the answer; NULL if there is none. */
const char *pm_words_take_answer(PmWords *words);

#endif
