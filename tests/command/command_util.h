/* SPDX-License-Identifier: MIT */
/* Runs the plugmap command and captures its output. */
#ifndef PLUGMAP_TESTS_COMMAND_COMMAND_UTIL_H
#define PLUGMAP_TESTS_COMMAND_COMMAND_UTIL_H

#include <glib.h>
#include <json-glib/json-glib.h>

typedef struct {
    int status; /* exit status; -1: killed by a signal */
    char *out;
    char *err;
} Run;

/* Arguments are NULL-terminated; 'tests/traces/...' is relative to the source tree.
 */
Run *run_plugmap(const char *first, ...) G_GNUC_NULL_TERMINATED;
void run_free(Run *run);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_free)

/* Keeps a report in JSON for the test command/schema, if $PLUGMAP_REPORTS names a folder.
 * run_plugmap() does it for what --json prints. */
void keep_report(const char *text);

/* Exit status of a shell that runs @line in the source tree; -1: killed by a signal. $PLUGMAP is
 * the command, $1 is @folder, which may be NULL. */
int run_shell(const char *line, const char *folder);

/* The command's output, which must be JSON. */
JsonParser *json_parse(const Run *run);

/* The number at a path of member names ('dma.map_calls') in a JSON object; fails the test if there
 * is none. */
gint64 json_number(JsonParser *parser, const char *path);

/* Creates a directory for the files of the test, and removes it. */
char *scratch_new(void);
void scratch_remove(const char *path);

/* Writes @size bytes (-1: a string) to @name in @folder; returns its path. */
char *scratch_file(const char *folder, const char *name, const char *content, gssize size);

#endif
