/* SPDX-License-Identifier: MIT */
/* Replays a trace: sends every recorded request to its virtio-mem device in wire format and
 * compares the responses. All devices share one I/O address space. */
#ifndef PLUGMAP_SRC_REPLAY_REPLAY_H
#define PLUGMAP_SRC_REPLAY_REPLAY_H

#include "replay/replay_config.h"
#include "replay/result.h"
#include "trace/trace.h"

/*
 * Returns a result, passed or failed (pm_replay_is_right()), or NULL if the replay fails:
 * errors of opening the IOMMU, reserving memory or adding a region that exceeds the
 * limits; PM_ERROR_BAD_INPUT for an event that no host can carry out.
 */
PmReplayResult *pm_replay(const PmTrace *trace, const PmReplayConfig *config, GError **error);

#endif
