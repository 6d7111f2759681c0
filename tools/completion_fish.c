/* SPDX-License-Identifier: MIT */
#include "tools/completion.h"

#define FISH_SPECIAL "\\"
#define FISH_QUOTE   "\\'"

static void add_fish_value(GString *text, PmValueKind kind, const PmOption *option,
                           const char *commands)
{
    g_autofree char *choices = NULL;

    switch (kind) {
    case PM_VALUE_FLAG:
        break;
    case PM_VALUE_CHOICE:
        choices = pm_completion_choices(option);
        g_string_append_printf(text, " -x -a '%s'", choices);
        break;
    case PM_VALUE_BDF:
        g_string_append(text, " -x -a '(__plugmap_devices)'");
        break;
    case PM_VALUE_FILE:
        g_string_append(text, " -r -F");
        break;
    case PM_VALUE_COMMAND:
        g_string_append_printf(text, " -x -a '%s'", commands);
        break;
    default:
        g_string_append(text, " -x");
    }
}

static void begin_fish_line(GString *text, const PmCommand *command)
{
    g_string_append_printf(text, "complete -c plugmap -n '__fish_seen_subcommand_from %s'",
                           command->name);
}

static void add_fish_option(GString *text, const PmCommand *command, const PmOption *option)
{
    begin_fish_line(text, command);
    if (option->letter != 0)
        g_string_append_printf(text, " -s %c", option->letter);
    g_string_append_printf(text, " -l %s", option->name);
    add_fish_value(text, option->kind, option, "");
    g_string_append(text, " -d '");
    pm_completion_add_quoted(text, option->help, FISH_SPECIAL, FISH_QUOTE);
    g_string_append(text, "'\n");
}

char *pm_completion_fish(const PmCommand *const *commands)
{
    GString *text = g_string_new("# SPDX-License-Identifier: MIT\n"
                                 "# fish completion of plugmap; written by the build.\n"
                                 "function __plugmap_devices\n"
                                 "    for device in /sys/bus/pci/devices/*\n"
                                 "        basename $device\n"
                                 "    end\n"
                                 "end\n"
                                 "\n"
                                 "complete -c plugmap -f\n"
                                 "complete -c plugmap -n __fish_use_subcommand -l help\n"
                                 "complete -c plugmap -n __fish_use_subcommand -l version\n");
    g_autofree char *names = pm_completion_commands(commands);

    for (const PmCommand *const *command = commands; *command != NULL; command++) {
        g_string_append_printf(text, "complete -c plugmap -n __fish_use_subcommand -a %s -d '",
                               (*command)->name);
        pm_completion_add_quoted(text, (*command)->summary, FISH_SPECIAL, FISH_QUOTE);
        g_string_append(text, "'\n");
        pm_completion_foreach_option(text, *command, add_fish_option);
        if ((*command)->arguments == NULL)
            continue;
        begin_fish_line(text, *command);
        if ((*command)->argument == PM_VALUE_FILE)
            g_string_append(text, " -F");
        else
            add_fish_value(text, (*command)->argument, NULL, names);
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}
