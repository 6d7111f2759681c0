/* SPDX-License-Identifier: MIT */
#include "tools/print.h"

#include <errno.h>
#include <stdio.h>

#include "base/error_text.h"

bool pm_json_is_asked_for(int argc, char **argv)
{
    for (int i = 1; i < argc && !g_str_equal(argv[i], "--"); i++)
        if (g_str_equal(argv[i], "--json"))
            return true;
    return false;
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
