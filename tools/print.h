/* SPDX-License-Identifier: MIT */
/* What goes to standard output: one report. */
#ifndef PLUGMAP_TOOLS_PRINT_H
#define PLUGMAP_TOOLS_PRINT_H

#include <stdbool.h>

#include "replay/report_json.h"

/* Whether --json is among the arguments: a report is due even if they are wrong. */
bool pm_json_is_asked_for(int argc, char **argv);

/* Errors: PM_ERROR_BAD_INPUT. */
bool pm_print(const char *text, GError **error);
bool pm_print_json(const PmJsonReport *report, GError **error);

#endif
