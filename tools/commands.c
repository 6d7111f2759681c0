/* SPDX-License-Identifier: MIT */
#include "tools/commands.h"

#include "tools/suggestion.h"

const PmCommand *const pm_commands[] = {
    &pm_replay_command,   &pm_watch_command,   &pm_plan_command, &pm_doctor_command,
    &pm_generate_command, &pm_convert_command, &pm_help_command, NULL,
};

const PmCommand *pm_commands_find(const char *name)
{
    for (size_t i = 0; pm_commands[i] != NULL; i++)
        if (g_str_equal(pm_commands[i]->name, name))
            return pm_commands[i];
    return NULL;
}

char *pm_commands_unknown(const char *name)
{
    const char *names[G_N_ELEMENTS(pm_commands)] = {NULL};
    g_autofree char *question = NULL;

    for (size_t i = 0; pm_commands[i] != NULL; i++)
        names[i] = pm_commands[i]->name;
    question = pm_suggestion(name, names);
    return g_strdup_printf("unknown command '%s'%s (see plugmap --help)", name, question);
}
