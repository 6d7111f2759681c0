/* SPDX-License-Identifier: MIT */
/* The terminal while the command watches: its other screen, without echo. It is restored at the end
 * and on fatal signals. */
#ifndef PLUGMAP_TOOLS_WATCH_TERMINAL_H
#define PLUGMAP_TOOLS_WATCH_TERMINAL_H

#include <stdbool.h>

/* @keys_fd: where keys are read from; -1: the terminal is not used. */
typedef struct {
    int keys_fd;
} PmWatchTerminal;

/* Uses the terminal if it is one that moves the cursor (pm_terminal_is_smart()) and keys can be
 * read. @input_is_data: standard input is no keyboard. */
void pm_watch_terminal_begin(PmWatchTerminal *terminal, bool input_is_data);

/* Restores it; does nothing if it is not used. */
void pm_watch_terminal_end(PmWatchTerminal *terminal);

/* Restores it until the process continues: for SIGTSTP. */
void pm_watch_terminal_stop(PmWatchTerminal *terminal);

void pm_watch_terminal_get_size(unsigned *width, unsigned *height);

/* Lines separated by newlines. */
void pm_watch_terminal_draw(const char *text);

/* The next key; 0: none. */
char pm_watch_terminal_key(const PmWatchTerminal *terminal);

#endif
