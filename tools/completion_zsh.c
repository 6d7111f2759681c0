/* SPDX-License-Identifier: MIT */
#include "tools/completion.h"

#define ZSH_SPECIAL "[]:\\"
#define ZSH_QUOTE   "'\\''"

static void add_zsh_action(GString *text, PmValueKind kind, const PmOption *option,
                           const char *commands)
{
    g_autofree char *choices = NULL;

    switch (kind) {
    case PM_VALUE_CHOICE:
        choices = pm_completion_choices(option);
        g_string_append_printf(text, "(%s)", choices);
        break;
    case PM_VALUE_BDF:
        g_string_append(text, "_plugmap_devices");
        break;
    case PM_VALUE_FILE:
        g_string_append(text, "_files");
        break;
    case PM_VALUE_COMMAND:
        g_string_append_printf(text, "(%s)", commands);
        break;
    default:
        g_string_append_c(text, ' ');
    }
}

static void add_zsh_option(GString *text, const PmCommand *command, const PmOption *option)
{
    (void)command;
    g_string_append(text, " \\\n            ");
    if (option->letter != 0)
        g_string_append_printf(text, "'(-%c --%s)'{-%c%s,--%s%s}'[", option->letter, option->name,
                               option->letter, option->value != NULL ? "+" : "", option->name,
                               option->value != NULL ? "=" : "");
    else
        g_string_append_printf(text, "'%s--%s%s[", option->is_list ? "*" : "", option->name,
                               option->value != NULL ? "=" : "");
    pm_completion_add_quoted(text, option->help, ZSH_SPECIAL, ZSH_QUOTE);
    g_string_append_c(text, ']');
    if (option->value != NULL) {
        g_string_append_printf(text, ":%s:", option->value);
        add_zsh_action(text, option->kind, option, "");
    }
    g_string_append_c(text, '\'');
}

static void add_zsh_command(GString *text, const PmCommand *command, const char *names)
{
    g_string_append_printf(text, "    %s)\n        _arguments", command->name);
    pm_completion_foreach_option(text, command, add_zsh_option);
    if (command->arguments != NULL) {
        g_string_append(text, " \\\n            '*:");
        pm_completion_add_quoted(text, command->arguments, ZSH_SPECIAL, ZSH_QUOTE);
        g_string_append_c(text, ':');
        add_zsh_action(text, command->argument, NULL, names);
        g_string_append_c(text, '\'');
    }
    g_string_append(text, "\n        ;;\n");
}

char *pm_completion_zsh(const PmCommand *const *commands)
{
    GString *text = g_string_new("#compdef plugmap\n"
                                 "# SPDX-License-Identifier: MIT\n"
                                 "# zsh completion of plugmap; written by the build.\n"
                                 "_plugmap_devices() {\n"
                                 "    local -a devices\n"
                                 "    devices=(/sys/bus/pci/devices/*(N:t))\n"
                                 "    compadd -a devices\n"
                                 "}\n"
                                 "\n"
                                 "_plugmap() {\n"
                                 "    local -a commands\n"
                                 "    commands=(\n");
    g_autofree char *names = pm_completion_commands(commands);

    for (const PmCommand *const *command = commands; *command != NULL; command++) {
        g_string_append_printf(text, "        '%s:", (*command)->name);
        pm_completion_add_quoted(text, (*command)->summary, ZSH_SPECIAL, ZSH_QUOTE);
        g_string_append(text, "'\n");
    }
    g_string_append(text, "    )\n"
                          "    if (( CURRENT == 2 )); then\n"
                          "        _describe command commands\n"
                          "        return\n"
                          "    fi\n"
                          "    shift words\n"
                          "    (( CURRENT-- ))\n"
                          "    case $words[1] in\n");
    for (const PmCommand *const *command = commands; *command != NULL; command++)
        add_zsh_command(text, *command, names);
    g_string_append(text, "    esac\n}\n\n_plugmap \"$@\"\n");
    return g_string_free(text, FALSE);
}
