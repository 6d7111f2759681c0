/* SPDX-License-Identifier: MIT */
/* Compares a device's responses with the recorded ones. */
#ifndef PLUGMAP_SRC_REPLAY_JUDGE_H
#define PLUGMAP_SRC_REPLAY_JUDGE_H

#include <plugmap/plugmap.h>

#include "replay/result.h"

typedef struct PmReplayJudge PmReplayJudge;

/* Borrows its arguments. Errors: PM_ERROR_MEMORY (the bitmap with one bit per block). */
PmReplayJudge *pm_replay_judge_new(const PmTraceRegion *region, PmVirtioMem *device,
                                   PmReplayResult *result, GError **error);
void pm_replay_judge_free(PmReplayJudge *judge);

/* Whether the trace has the information to judge the response to @event. Call before playing it. */
bool pm_replay_judge_can_judge(const PmReplayJudge *judge, const PmTraceEvent *event);

/* Call one of these after playing @event. @state: as STATE reports it. @bound: upper bound of the
 * requested size. */
void pm_replay_judge_compare(PmReplayJudge *judge, const PmTraceEvent *event,
                             PmVirtioMemAnswer answer, PmVirtioMemState state);
void pm_replay_judge_leave_open(PmReplayJudge *judge, const PmTraceEvent *event, uint64_t bound);

/* Call after a system reset. @refusal: NULL if it succeeded. */
/* @refusal: why the conversion failed, or NULL: the guest has no answer to it that a trace could
 * record. */
void pm_replay_judge_compare_conversion(PmReplayJudge *judge, const PmTraceEvent *event,
                                        const GError *refusal);

void pm_replay_judge_compare_reset(PmReplayJudge *judge, const PmTraceEvent *event,
                                   const GError *refusal);

#endif
