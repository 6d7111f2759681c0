/* SPDX-License-Identifier: MIT */
/* Runs the plugmap command and keeps what it said. */
#ifndef PLUGMAP_TESTS_COMMAND_COMMAND_UTIL_H
#define PLUGMAP_TESTS_COMMAND_COMMAND_UTIL_H

#include <glib.h>
#include <json-glib/json-glib.h>

typedef struct {
    int status; /* exit status; -1: did not exit by itself */
    char *out;
    char *err;
} Run;

/* The words of the command line, NULL at the end; 'tests/traces/...' is found in the source tree.
 */
Run *run_plugmap(const char *first, ...) G_GNUC_NULL_TERMINATED;
void run_free(Run *run);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_free)

/* What a shell that runs @line in the source tree exits with; -1: it did not exit by itself.
 * $PLUGMAP is the command; $1 is @folder, which may be NULL. */
int run_shell(const char *line, const char *folder);

/* The number at a path of member names ('dma.map_calls') of a JSON object; fails the test if there
 * is none. */
gint64 json_number(JsonParser *parser, const char *path);

/* A new folder for the test's files, and its removal with everything in it. */
char *scratch_new(void);
void scratch_remove(const char *path);

/* Writes @size bytes (-1: a string) to @name in @folder; returns its path. */
char *scratch_file(const char *folder, const char *name, const char *content, gssize size);

#endif
