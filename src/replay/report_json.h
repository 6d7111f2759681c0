/* SPDX-License-Identifier: MIT */
/* The report for programs: docs/json.md. */
#ifndef PLUGMAP_SRC_REPLAY_REPORT_JSON_H
#define PLUGMAP_SRC_REPLAY_REPORT_JSON_H

#include "replay/result.h"

/*
 * @command: "replay" or "convert". The others are NULL if the command did not get that far.
 * @output: the file that convert wrote. @error: why the command failed.
 * @max_listed: elements in each list of findings; 0: all.
 */
typedef struct {
    const char *command;
    const char *version;
    int exit_status;
    const PmTrace *trace;
    const char *backend;
    const PmReplayResult *result;
    const char *output;
    const GError *error;
    guint max_listed;
} PmJsonReport;

/* Returns a new string: one JSON object and a newline. Always valid JSON. */
char *pm_report_json(const PmJsonReport *report);

#endif
