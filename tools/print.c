/* SPDX-License-Identifier: MIT */
#include "tools/print.h"

#include <errno.h>
#include <stdio.h>

#include "base/error_text.h"
#include "tools/command_line.h"

bool pm_json_is_asked_for(int argc, char **argv)
{
    return pm_command_line_has(argc, argv, "--json", 0);
}

bool pm_print(const char *text, GError **error)
{
    return (fputs(text, stdout) >= 0 && fflush(stdout) == 0) ||
           pm_fail(error, PM_ERROR_BAD_INPUT, "standard output: write failed: %s",
                   g_strerror(errno));
}

bool pm_print_json(const PmJsonReport *report, GError **error)
{
    g_autofree char *text = pm_report_json(report);

    return pm_print(text, error);
}
