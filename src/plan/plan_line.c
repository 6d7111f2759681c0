/* SPDX-License-Identifier: MIT */
#include "plan/plan_line.h"

#define BOLD_RED   "\033[1m\033[31m"
#define BOLD_GREEN "\033[1m\033[32m"
#define RESET      "\033[0m"

void pm_plan_line(GString *text, const char *label, const char *format, ...)
{
    va_list arguments;

    g_string_append_printf(text, "%-9s ", label);
    va_start(arguments, format);
    g_string_append_vprintf(text, format, arguments);
    va_end(arguments);
    g_string_append_c(text, '\n');
}

void pm_plan_line_verdict(GString *text, bool good, bool colours, const char *format, ...)
{
    const char *colour = good ? BOLD_GREEN : BOLD_RED;
    va_list arguments;

    g_string_append_printf(text, "%-9s %s", "verdict", colours ? colour : "");
    va_start(arguments, format);
    g_string_append_vprintf(text, format, arguments);
    va_end(arguments);
    g_string_append_printf(text, "%s\n", colours ? RESET : "");
}
