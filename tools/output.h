/* SPDX-License-Identifier: MIT */
/* A file that the command writes: it gets its name when it is whole, or it was never there. */
#ifndef PLUGMAP_TOOLS_OUTPUT_H
#define PLUGMAP_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include <plugmap/error.h>

/* All zero: not open. */
typedef struct {
    FILE *stream;
    char *path;      /* as given, for messages */
    char *target;    /* where its links lead; only with a temporary */
    char *temporary; /* in the same folder; NULL: written as it is */
    bool is_shared;  /* with standard output: a pipe or a file, not a terminal */
} PmOutput;

/*
 * @path: NULL and "-" are standard output. What is no regular file, and what standard output or
 * error go to already, is written as it is. Anything else is left alone until pm_output_finish(),
 * and its links stay links. @input: the trace, which is not overwritten. A signal that ends the
 * process takes the temporary along. One at a time. Errors: PM_ERROR_BAD_INPUT.
 */
bool pm_output_open(PmOutput *output, const char *path, const char *input, GError **error);

/* Closes what was written and gives it its name. Errors: PM_ERROR_BAD_INPUT; all is as it was then.
 */
bool pm_output_finish(PmOutput *output, GError **error);

/* Drops what was not finished. */
void pm_output_clear(PmOutput *output);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmOutput, pm_output_clear)

#endif
