/* SPDX-License-Identifier: MIT */
#include "tools/completion.h"

#include <string.h>

#include "tools/help_text.h"

void pm_completion_foreach_option(GString *text, const PmCommand *command, PmOptionFunc func)
{
    for (const PmOptionGroup *group = command->groups; group->options != NULL; group++)
        for (const PmOption *option = group->options; option->name != NULL; option++)
            if (!option->is_hidden)
                func(text, command, option);
    for (const PmOption *option = pm_common_options; option->name != NULL; option++)
        func(text, command, option);
}

char *pm_completion_commands(const PmCommand *const *commands)
{
    GString *names = g_string_new(NULL);

    for (const PmCommand *const *command = commands; *command != NULL; command++)
        g_string_append_printf(names, "%s%s", names->len > 0 ? " " : "", (*command)->name);
    return g_string_free(names, FALSE);
}

char *pm_completion_choices(const PmOption *option)
{
    return g_strjoinv(" ", (char **)option->choices);
}

void pm_completion_add_quoted(GString *text, const char *plain, const char *special,
                              const char *quote)
{
    for (const char *c = plain; *c != '\0'; c++) {
        if (*c == '\'') {
            g_string_append(text, quote);
            continue;
        }
        if (strchr(special, *c) != NULL)
            g_string_append_c(text, '\\');
        g_string_append_c(text, *c);
    }
}
