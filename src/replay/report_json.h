/* SPDX-License-Identifier: MIT */
/* What a sub-command did, for programs: docs/json.md. */
#ifndef PLUGMAP_SRC_REPLAY_REPORT_JSON_H
#define PLUGMAP_SRC_REPLAY_REPORT_JSON_H

#include "replay/result.h"

/* Changes when a field changes its meaning or goes; not when one is added. */
#define PM_JSON_SCHEMA 1

/*
 * @command: "replay" or "convert". The others are NULL where a command did not get that far.
 * @output: what convert wrote. @error: why it failed.
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
} PmJsonReport;

/* Returns a new string that ends with a newline, one JSON object, whatever the texts hold. */
char *pm_report_json(const PmJsonReport *report);

#endif
