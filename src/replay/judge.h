/* SPDX-License-Identifier: MIT */
/* Compares the answers of a device with the recorded ones. */
#ifndef PLUGMAP_SRC_REPLAY_JUDGE_H
#define PLUGMAP_SRC_REPLAY_JUDGE_H

#include <plugmap/plugmap.h>

#include "kernel-uapi/virtio_mem.h"
#include "replay/result.h"

typedef struct PmReplayJudge PmReplayJudge;

/* All are borrowed. NULL with PM_ERROR_MEMORY if there is no memory for a bit a block. */
PmReplayJudge *pm_replay_judge_new(const PmTraceRegion *region, PmVirtioMem *device,
                                   PmReplayResult *result, GError **error);
void pm_replay_judge_free(PmReplayJudge *judge);

/* Whether the trace says enough to judge the answer to @event; asked before it is played. */
bool pm_replay_judge_can_judge(const PmReplayJudge *judge, const PmTraceEvent *event);

/* Both after @event was played. @bound: the requested size is known to be that at most. */
void pm_replay_judge_compare(PmReplayJudge *judge, const PmTraceEvent *event,
                             const struct virtio_mem_resp *response);
void pm_replay_judge_leave_open(PmReplayJudge *judge, const PmTraceEvent *event, uint64_t bound);

/* After a system reset. @refusal: NULL if it was done. */
void pm_replay_judge_compare_reset(PmReplayJudge *judge, const PmTraceEvent *event,
                                   const GError *refusal);

#endif
