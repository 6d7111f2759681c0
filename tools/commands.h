/* SPDX-License-Identifier: MIT */
/* The sub-commands: the tables of their command lines. */
#ifndef PLUGMAP_TOOLS_COMMANDS_H
#define PLUGMAP_TOOLS_COMMANDS_H

#include "tools/command_line.h"

extern const PmCommand pm_replay_command;
extern const PmCommand pm_convert_command;
extern const PmCommand pm_doctor_command;
extern const PmCommand pm_generate_command;
extern const PmCommand pm_plan_command;
extern const PmCommand pm_watch_command;
extern const PmCommand pm_help_command;

/* In the order of 'plugmap help'; ends with NULL. */
extern const PmCommand *const pm_commands[];

/* NULL: unknown. */
const PmCommand *pm_commands_find(const char *name);

/* "unknown command 'relpay': did you mean 'replay'? (see plugmap --help)"; a new string. */
char *pm_commands_unknown(const char *name);

#endif
