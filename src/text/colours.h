/* SPDX-License-Identifier: MIT */
/* Colours of a terminal (ANSI escape sequences). */
#ifndef PLUGMAP_SRC_TEXT_COLOURS_H
#define PLUGMAP_SRC_TEXT_COLOURS_H

#define PM_COLOUR_BOLD   "\033[1m"
#define PM_COLOUR_RED    "\033[31m"
#define PM_COLOUR_GREEN  "\033[32m"
#define PM_COLOUR_YELLOW "\033[33m"
#define PM_COLOUR_RESET  "\033[0m"

#endif
