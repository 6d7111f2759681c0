/* SPDX-License-Identifier: MIT */
/* Completion for shells, from the tables of the command lines. @commands ends with NULL; the
 * results are new strings. */
#ifndef PLUGMAP_TOOLS_COMPLETION_H
#define PLUGMAP_TOOLS_COMPLETION_H

#include "tools/command_line.h"

char *pm_completion_bash(const PmCommand *const *commands);
char *pm_completion_zsh(const PmCommand *const *commands);
char *pm_completion_fish(const PmCommand *const *commands);

/* Calls @func for each option of a command that is not hidden. */
typedef void (*PmOptionFunc)(GString *text, const PmCommand *command, const PmOption *option);
void pm_completion_foreach_option(GString *text, const PmCommand *command, PmOptionFunc func);

/* The names of the commands, or the choices of an option, separated by blanks. */
char *pm_completion_commands(const PmCommand *const *commands);
char *pm_completion_choices(const PmOption *option);

/* Appends text that is inside single quotes, with a backslash before each character of @special,
 * and @quote for each single quote. */
void pm_completion_add_quoted(GString *text, const char *plain, const char *special,
                              const char *quote);

#endif
