/* SPDX-License-Identifier: MIT */
/* Prints the report to standard output. */
#ifndef PLUGMAP_TOOLS_PRINT_H
#define PLUGMAP_TOOLS_PRINT_H

#include <stdbool.h>

#include "replay/report_json.h"

/* Whether --json is among the arguments: even bad usage gets a JSON report. */
bool pm_json_is_asked_for(int argc, char **argv);

/* Errors: PM_ERROR_BAD_INPUT. */
bool pm_print(const char *text, GError **error);
bool pm_print_json(const PmJsonReport *report, GError **error);

#endif
