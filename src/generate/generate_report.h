/* SPDX-License-Identifier: MIT */
/* What pm_generate() did, for people and for programs. */
#ifndef PLUGMAP_SRC_GENERATE_GENERATE_REPORT_H
#define PLUGMAP_SRC_GENERATE_GENERATE_REPORT_H

#include "generate/generate.h"

/*
 * @config, @result: NULL if the command did not get that far. @output: the file with the trace, or
 * NULL. @error: why the command failed, or NULL.
 */
typedef struct {
    const char *version;
    int exit_status;
    const PmGenerateConfig *config;
    const PmGenerateResult *result;
    const char *output;
    const GError *error;
} PmGenerateReport;

/* Returns a new string: one JSON object and a newline. */
char *pm_generate_report_json(const PmGenerateReport *report);

/* Some lines, with the last newline. Returns a new string. There must be a result. */
char *pm_generate_report_text(const PmGenerateReport *report);

#endif
