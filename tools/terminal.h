/* SPDX-License-Identifier: MIT */
/* The terminal on standard output. */
#ifndef PLUGMAP_TOOLS_TERMINAL_H
#define PLUGMAP_TOOLS_TERMINAL_H

#include <stdbool.h>

/* In columns; without a terminal those of $COLUMNS, or 80 if that is no number. */
unsigned pm_terminal_width(void);

/* Whether standard output is a terminal that moves the cursor: not with TERM=dumb. */
bool pm_terminal_is_smart(void);

/* The same of standard error, where progress bars are drawn. */
bool pm_terminal_shows_progress(void);

/* Whether to use colours: on a smart terminal, unless NO_COLOR is set. */
bool pm_terminal_has_colours(void);

#endif
