/* SPDX-License-Identifier: MIT */
#include "text/line.h"

#include "text/colours.h"

static void add_label(GString *text, const char *label)
{
    g_string_append_printf(text, "%-*s ", PM_TEXT_LABEL_WIDTH - 1, label);
}

void pm_text_line(GString *text, const char *label, const char *format, ...)
{
    va_list arguments;

    add_label(text, label);
    va_start(arguments, format);
    g_string_append_vprintf(text, format, arguments);
    va_end(arguments);
    g_string_append_c(text, '\n');
}

void pm_text_verdict(GString *text, bool good, bool colours, const char *format, ...)
{
    const char *colour = good ? PM_COLOUR_BOLD PM_COLOUR_GREEN : PM_COLOUR_BOLD PM_COLOUR_RED;
    va_list arguments;

    add_label(text, "verdict");
    g_string_append(text, colours ? colour : "");
    va_start(arguments, format);
    g_string_append_vprintf(text, format, arguments);
    va_end(arguments);
    g_string_append_printf(text, "%s\n", colours ? PM_COLOUR_RESET : "");
}
