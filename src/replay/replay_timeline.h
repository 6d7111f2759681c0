/* SPDX-License-Identifier: MIT */
/* Records a running replay in its timeline (PmReplayConfig.timeline); without one, does nothing. */
#ifndef PLUGMAP_SRC_REPLAY_REPLAY_TIMELINE_H
#define PLUGMAP_SRC_REPLAY_REPLAY_TIMELINE_H

#include "replay/replay_stack.h"

/* Call before playing an event. */
void pm_replay_timeline_begin(PmReplay *replay, const PmTraceEvent *event);

/* The event was refused. @cause: static. @message: may be NULL. */
void pm_replay_timeline_refuse(PmReplay *replay, const PmTraceEvent *event, const char *response,
                               const char *cause, const char *message);

/* The name of an error's code. */
const char *pm_replay_timeline_cause_of(const GError *error);

/* Call after the event and its audit. @last: no other follows. */
void pm_replay_timeline_end(PmReplay *replay, const PmTraceEvent *event, bool last);

#endif
