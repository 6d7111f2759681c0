/* SPDX-License-Identifier: MIT */
/* A running replay, and the stack that it drives: devices, their memory, and what maps it. */
#ifndef PLUGMAP_SRC_REPLAY_REPLAY_STACK_H
#define PLUGMAP_SRC_REPLAY_REPLAY_STACK_H

#include "replay/audit_scope.h"
#include "replay/guest.h"
#include "replay/judge.h"
#include "replay/replay_config.h"
#include "replay/result.h"
#include "trace/trace.h"

/* Mapped before the region: the DMA check's own memory. */
typedef struct {
    uint64_t n_mappings;
    uint64_t n_bytes;
} PmReplayOwn;

/* A device of the trace. */
typedef struct {
    const PmTraceRegion *region;
    PmVirtioMem *device;
    PmDiscardSource *shared; /* the guest's shared memory; NULL: all of it, always */
    PmReplayJudge *judge;
    PmAuditScope *scope; /* NULL: no audit */
} PmReplayDevice;

/* From the devices down. */
typedef struct {
    const PmTrace *trace;
    const PmReplayConfig *config;
    PmReplayResult *result;
    PmKernel *recorder;
    PmIommu *iommu;
    PmReplayDevice *devices; /* one per region of the trace */
    PmMapper *mapper;
    PmReplayGuest *guest;  /* instead of the mapper; owns the address space */
    PmDmaCheck *dma_check; /* NULL: none */
    PmReplayOwn own;
} PmReplay;

/* Makes the stack, bottom up, for @replay's trace, config and result. Also after a failure, call
 * pm_replay_tear_down(). Errors: those of pm_replay(). */
bool pm_replay_set_up(PmReplay *replay, GError **error);
void pm_replay_tear_down(PmReplay *replay);

#endif
