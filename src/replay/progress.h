/* SPDX-License-Identifier: MIT */
/* Progress bar of a replay. */
#ifndef PLUGMAP_SRC_REPLAY_PROGRESS_H
#define PLUGMAP_SRC_REPLAY_PROGRESS_H

#include <stdint.h>

#include <glib.h>

/* "[####....] 1,000 of 4,000 events, 500/s, 6 s left"; a new string, no newline. @n_done: at
 * least 1. */
char *pm_progress_text(uint64_t n_done, uint64_t n_events, uint64_t elapsed_us);

#endif
