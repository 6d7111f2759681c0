/* SPDX-License-Identifier: MIT */
/* Plays single events of a trace, and compares the responses with the recorded ones. */
#ifndef PLUGMAP_SRC_REPLAY_REPLAY_EVENT_H
#define PLUGMAP_SRC_REPLAY_REPLAY_EVENT_H

#include "replay/replay_stack.h"

/* Errors: PM_ERROR_BAD_INPUT for an event that no host can carry out. */
bool pm_replay_play_event(PmReplay *replay, const PmTraceEvent *event, GError **error);

/* Of a clock that only runs forward. */
uint64_t pm_replay_now_ns(void);

#endif
