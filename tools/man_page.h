/* SPDX-License-Identifier: MIT */
/* Pages of the manual, from the tables of the command lines. */
#ifndef PLUGMAP_TOOLS_MAN_PAGE_H
#define PLUGMAP_TOOLS_MAN_PAGE_H

#include "tools/command_line.h"

/* plugmap-NAME(1), for the man macros; a new string. The date is today's, or that of
 * $SOURCE_DATE_EPOCH. */
char *pm_man_page(const PmCommand *command, const char *version);

/* plugmap(1); @commands ends with NULL. A new string. */
char *pm_man_overview(const PmCommand *const *commands, const char *version);

#endif
