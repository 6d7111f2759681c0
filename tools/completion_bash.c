/* SPDX-License-Identifier: MIT */
#include "tools/completion.h"

/* The part of the line before the cursor is split here, because bash splits words at '=' and ':',
 * too, which are in options and PCI addresses. */
static const char bash_start[] = "# SPDX-License-Identifier: MIT\n"
                                 "# bash completion of plugmap; written by the build.\n"
                                 "_plugmap_words()\n"
                                 "{\n"
                                 "    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$2\")\n"
                                 "}\n"
                                 "\n"
                                 "_plugmap_files()\n"
                                 "{\n"
                                 "    mapfile -t COMPREPLY < <(compgen -f -- \"$1\")\n"
                                 "    compopt -o filenames 2>/dev/null || :\n"
                                 "}\n"
                                 "\n"
                                 "# bash replaces what follows the last colon.\n"
                                 "_plugmap_devices()\n"
                                 "{\n"
                                 "    local devices=${PLUGMAP_DEVICES:-/sys/bus/pci/devices}\n"
                                 "\n"
                                 "    _plugmap_words \"$(ls \"$devices\" 2>/dev/null)\" \"$1\"\n"
                                 "    [[ $1 != *:* || $COMP_WORDBREAKS != *:* ]] ||\n"
                                 "        COMPREPLY=(\"${COMPREPLY[@]#\"${1%\"${1##*:}\"}\"}\")\n"
                                 "}\n"
                                 "\n"
                                 "_plugmap()\n"
                                 "{\n"
                                 "    local words current= previous\n"
                                 "\n"
                                 "    COMPREPLY=()\n"
                                 "    read -ra words <<<\"${COMP_LINE:0:COMP_POINT}\"\n"
                                 "    if [[ ${COMP_LINE:0:COMP_POINT} != *[[:space:]] ]]; then\n"
                                 "        current=${words[-1]}\n"
                                 "        unset 'words[-1]'\n"
                                 "    fi\n"
                                 "    previous=${words[-1]}\n"
                                 "    if [[ $current == --*=* ]]; then\n"
                                 "        previous=${current%%=*}\n"
                                 "        current=${current#*=}\n"
                                 "    fi\n";

static void add_bash_value(GString *text, const PmCommand *command, const PmOption *option)
{
    g_autofree char *choices = NULL;

    (void)command;
    if (option->kind == PM_VALUE_FLAG)
        return;
    g_string_append_printf(text, "        --%s) ", option->name);
    switch (option->kind) {
    case PM_VALUE_CHOICE:
        choices = pm_completion_choices(option);
        g_string_append_printf(text, "_plugmap_words '%s' \"$current\"; ", choices);
        break;
    case PM_VALUE_BDF:
        g_string_append(text, "_plugmap_devices \"$current\"; ");
        break;
    case PM_VALUE_FILE:
        g_string_append(text, "_plugmap_files \"$current\"; ");
        break;
    default:
        break;
    }
    g_string_append(text, "return ;;\n");
}

static void add_bash_name(GString *text, const PmCommand *command, const PmOption *option)
{
    (void)command;
    g_string_append_printf(text, "--%s ", option->name);
}

static void add_bash_argument(GString *text, const PmCommand *command, const char *names)
{
    switch (command->arguments != NULL ? command->argument : PM_VALUE_FLAG) {
    case PM_VALUE_FILE:
        g_string_append(text, "        _plugmap_files \"$current\"\n");
        break;
    case PM_VALUE_BDF:
        g_string_append(text, "        _plugmap_devices \"$current\"\n");
        break;
    case PM_VALUE_COMMAND:
        g_string_append_printf(text, "        _plugmap_words '%s' \"$current\"\n", names);
        break;
    default:
        break;
    }
}

static void add_bash_command(GString *text, const PmCommand *command, const char *names)
{
    g_string_append_printf(text, "    %s)\n        case $previous in\n", command->name);
    pm_completion_foreach_option(text, command, add_bash_value);
    g_string_append(text, "        esac\n"
                          "        if [[ $current == -* ]]; then\n"
                          "            _plugmap_words '");
    pm_completion_foreach_option(text, command, add_bash_name);
    g_string_append(text, "' \"$current\"\n            return\n        fi\n");
    add_bash_argument(text, command, names);
    g_string_append(text, "        ;;\n");
}

char *pm_completion_bash(const PmCommand *const *commands)
{
    GString *text = g_string_new(bash_start);
    g_autofree char *names = pm_completion_commands(commands);

    g_string_append_printf(text,
                           "    if ((${#words[@]} < 2)); then\n"
                           "        _plugmap_words '%s --help --version' \"$current\"\n"
                           "        return\n"
                           "    fi\n"
                           "    case ${words[1]} in\n",
                           names);
    for (const PmCommand *const *command = commands; *command != NULL; command++)
        add_bash_command(text, *command, names);
    g_string_append(text, "    esac\n}\n\ncomplete -F _plugmap plugmap\n");
    return g_string_free(text, FALSE);
}
