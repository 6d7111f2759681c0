/* SPDX-License-Identifier: MIT */
/* What the build installs: pages of the manual, completion for shells. */
#ifndef PLUGMAP_TOOLS_HELP_FILES_H
#define PLUGMAP_TOOLS_HELP_FILES_H

#include "tools/command_line.h"

/* Writes man1/plugmap.1, man1/plugmap-NAME.1, bash/plugmap, zsh/_plugmap and fish/plugmap.fish
 * below a folder. @commands ends with NULL. Errors: PM_ERROR_BAD_INPUT. */
bool pm_help_write_files(const PmCommand *const *commands, const char *version, const char *folder,
                         GError **error);

#endif
