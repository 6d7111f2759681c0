/* SPDX-License-Identifier: MIT */
/* An output file of the command, replaced atomically when it is complete. */
#ifndef PLUGMAP_TOOLS_OUTPUT_H
#define PLUGMAP_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include <plugmap/error.h>

/* All zero: not open. */
typedef struct {
    FILE *stream;
    char *path;      /* as given, for messages */
    char *target;    /* symlinks resolved; only with a temporary */
    char *temporary; /* in the same directory; NULL: written in place */
    bool is_shared;  /* with standard output: a pipe or a file, not a terminal */
} PmOutput;

/*
 * @path: NULL and "-" mean standard output. Special files, files without a name (deleted), and the
 * files that standard output or error refer to, are written in place. Other files do not change
 * until pm_output_finish(); symlinks are preserved. @input: the trace, which must not be
 * overwritten; NULL: none. A fatal signal removes the temporaries of
 * PM_SIGNALS_MAX_TEMPORARIES outputs. Errors: PM_ERROR_BAD_INPUT.
 */
bool pm_output_open(PmOutput *output, const char *path, const char *input, GError **error);

/* Closes the file and renames it into place. Errors: PM_ERROR_BAD_INPUT; the old file is unchanged.
 */
bool pm_output_finish(PmOutput *output, GError **error);

/* Discards an unfinished file. */
void pm_output_clear(PmOutput *output);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmOutput, pm_output_clear)

#endif
