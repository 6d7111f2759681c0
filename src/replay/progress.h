/* SPDX-License-Identifier: MIT */
/* How far a replay is. */
#ifndef PLUGMAP_SRC_REPLAY_PROGRESS_H
#define PLUGMAP_SRC_REPLAY_PROGRESS_H

#include <stdint.h>

#include <glib.h>

/* "[####....] 1,000 of 4,000 events, 500/s, 6 s left"; a new string without a newline. @n_done: at
 * least 1, done within @elapsed_us. */
char *pm_progress_text(uint64_t n_done, uint64_t n_events, uint64_t elapsed_us);

#endif
