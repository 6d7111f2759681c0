/* SPDX-License-Identifier: MIT */
/* What a terminal shows while the command watches. */
#ifndef PLUGMAP_SRC_WATCH_SCREEN_H
#define PLUGMAP_SRC_WATCH_SCREEN_H

#include "watch/watch.h"

/*
 * @width, @height: of the terminal. @colours: use ANSI colours.
 * @mode: "10x", "paused", "following". @position_ns: of the recording.
 * @n_total: events of the recording; 0: not known.
 * @keys: "space pause  q quit".
 */
typedef struct {
    unsigned width;
    unsigned height;
    bool colours;
    const char *mode;
    int64_t position_ns;
    uint64_t n_total;
    const char *keys;
} PmScreenView;

/* @height lines of at most @width columns, separated by newlines; the only control characters are
 * colours. A new string. */
char *pm_screen_text(const PmWatch *watch, const PmScreenView *view);

#endif
