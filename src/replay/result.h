/* SPDX-License-Identifier: MIT */
/* The result of a replay. */
#ifndef PLUGMAP_SRC_REPLAY_RESULT_H
#define PLUGMAP_SRC_REPLAY_RESULT_H

#include "dma/check.h"
#include "replay/discard_holders.h"
#include "replay/recorder.h"
#include "trace/trace.h"

/* A response that differs from the recorded one, or a failed audit. Strings are for humans. */
typedef struct {
    unsigned line;      /* of the trace file */
    const char *device; /* name in the trace; NULL if there is only one device */
    char *request;
    char *expected;
    char *got;
    bool is_consequence; /* the device's state had already diverged */
} PmReplayDivergence;

/* Divergences that differ only in numbers. */
typedef struct {
    uint64_t count;
    PmReplayDivergence *first;
    unsigned last_line;
} PmReplayCause;

/* A run of blocks plugged at the end. */
typedef struct {
    uint64_t offset;
    uint64_t size;
} PmReplayRun;

/* A region at the end. */
typedef struct {
    uint64_t plugged_bytes;
    uint64_t resident_bytes; /* in the host's memory */
    GArray *runs;            /* of PmReplayRun */
    GPtrArray *holders;      /* of PmReplayHolder: of discard claims on its RAM */
} PmReplayRegionEnd;

typedef struct {
    uint64_t n_played; /* events; fewer than in the trace if the replay was stopped */
    bool stopped;
    uint64_t n_requests[PM_EVENT_N_TYPES];
    uint64_t n_responses[PM_TRACE_N_RESPONSES];           /* by VIRTIO_MEM_RESP_* */
    uint64_t n_iommu_statuses[PM_TRACE_N_IOMMU_STATUSES]; /* by VIRTIO_IOMMU_S_* */
    uint64_t n_blocks_plugged;
    uint64_t n_blocks_unplugged;
    uint64_t n_blocks_final;
    uint64_t n_calls[PM_DMA_N_CALLS];
    uint64_t peak_mappings;
    uint64_t mapping_limit; /* UINT64_MAX: no limit */
    uint64_t final_mappings;
    uint64_t peak_pinned_bytes;
    uint64_t final_pinned_bytes;
    uint64_t final_plugged_bytes;
    uint64_t final_resident_bytes; /* of all regions, in the host's memory */
    char *dma_engine;              /* NULL: no DMA check */
    PmDmaCheckCounts dma_check;
    uint64_t n_checks;
    uint64_t n_mismatches;
    GPtrArray *mismatches;      /* of PmReplayDivergence; the first PM_REPLAY_MAX_MISMATCHES */
    GPtrArray *mismatch_causes; /* of PmReplayCause: one per kind of audit */
    uint64_t n_divergences;     /* responses that differ from the recorded ones */
    uint64_t n_consequences;    /* how many of them are consequences */
    GPtrArray *divergences;     /* of PmReplayDivergence; the first PM_REPLAY_MAX_DIVERGENCES */
    GPtrArray *causes;          /* of PmReplayCause; covers every divergence */
    uint64_t n_unjudged;        /* responses that the trace lacks the information to judge */
    GPtrArray *unjudged;        /* of PmReplayDivergence; the first PM_REPLAY_MAX_DIVERGENCES */
    GArray *plug_ns;            /* of uint64_t, ascending: time from request to response */
    GArray *unplug_ns;
    GArray *region_ends; /* of PmReplayRegionEnd, in the order of the trace */
    uint64_t elapsed_ns;
} PmReplayResult;

#define PM_REPLAY_MAX_MISMATCHES  20
#define PM_REPLAY_MAX_DIVERGENCES 100000

PmReplayResult *pm_replay_result_new(void);
void pm_replay_result_free(PmReplayResult *result);

/*
 * Adds a response that differs. @region: of the event, NULL for RESET. @cause: divergences with
 * the same number, request type and expected response share a cause. @reason: appended to @got, or
 * NULL.
 */
void pm_replay_result_add_divergence(PmReplayResult *result, const PmTraceRegion *region,
                                     const PmTraceEvent *event, const char *expected,
                                     const char *got, unsigned cause, const char *reason,
                                     bool is_consequence);

/* Adds a response that the trace lacks the information to judge. */
void pm_replay_result_add_unjudged(PmReplayResult *result, const PmTraceRegion *region,
                                   const PmTraceEvent *event, const char *expected,
                                   const char *got);

/* Adds an audit that failed after @event. @audit: number of the audit. */
void pm_replay_result_add_mismatch(PmReplayResult *result, const PmTraceRegion *region,
                                   const PmTraceEvent *event, unsigned audit, const char *message);

/* True if no response differs and no audit failed. */
bool pm_replay_is_right(const PmReplayResult *result);

/* The given percentile of ascending numbers; 0 if there are none. */
uint64_t pm_percentile(const GArray *ascending, unsigned percent);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmReplayResult, pm_replay_result_free)

#endif
