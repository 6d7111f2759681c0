/* SPDX-License-Identifier: MIT */
/* Plays a trace: every recorded request goes to a virtio-mem device in wire format, and the answers
 * are compared. */
#ifndef PLUGMAP_SRC_REPLAY_REPLAY_H
#define PLUGMAP_SRC_REPLAY_REPLAY_H

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "dma/check.h"
#include "replay/recorder.h"
#include "trace/trace.h"

/*
 * @kernel: where the DMA calls go.
 * @fake: the same kernel, if it is a fake one, so that its page table can be walked; else NULL.
 * @only_counts: it is a fake one with PM_FAKE_PIN_ACCOUNT, which brings no memory in. Else memory
 * that is plugged has to be there.
 * @backend: how to map there.
 * @device, or if it is NULL @group: as in PmType1Config; @device, @device_file: as in
 * PmIommufdConfig. On a fake
 * kernel @group is the device's with both.
 * @memory: what backs the region.
 * @prefault_threads: as in PmVirtioMemConfig.
 * @audit: compare plugged, mapped and resident memory after every request.
 * @dma_device: PCI address of a device in the group that is to check by DMA after every request,
 * too (with @audit); NULL: none.
 * @dma_func: optional: sees the DMA calls inside the region, in order.
 * @progress: optional: called after each event.
 */
typedef struct {
    PmKernel *kernel;
    PmKernel *fake;
    bool only_counts;
    PmIommuBackend backend;
    const char *device;
    const char *device_file;
    unsigned group;
    PmRamKind memory;
    unsigned prefault_threads;
    bool audit;
    const char *dma_device;
    PmDmaFunc dma_func;
    void (*progress)(guint n_done, guint n_events, void *user_data);
    void *user_data; /* for both */
} PmReplayConfig;

/* Something that was not as recorded, or an audit that failed; texts are for people. */
typedef struct {
    unsigned line; /* of the trace file */
    char *request;
    char *expected;
    char *got;
} PmReplayDivergence;

/* Blocks that are plugged at the end. */
typedef struct {
    uint64_t offset;
    uint64_t size;
} PmReplayRun;

typedef struct {
    uint64_t n_requests[PM_EVENT_N_TYPES];
    uint64_t n_responses[4]; /* by VIRTIO_MEM_RESP_* */
    uint64_t n_blocks_plugged;
    uint64_t n_blocks_unplugged;
    uint64_t n_blocks_final;
    uint64_t n_calls[PM_DMA_N_CALLS];
    uint64_t peak_mappings;
    uint64_t mapping_limit; /* UINT64_MAX: none */
    uint64_t final_mappings;
    uint64_t peak_pinned_bytes;
    uint64_t final_pinned_bytes;
    uint64_t final_resident_bytes; /* of the region, in the host's memory */
    char *dma_engine;              /* NULL: no check by DMA */
    PmDmaCheckCounts dma_check;
    uint64_t n_checks;
    uint64_t n_mismatches;
    GPtrArray *mismatches;  /* of PmReplayDivergence; the first PM_REPLAY_MAX_MISMATCHES */
    uint64_t n_divergences; /* answers that differ from the recorded ones */
    GPtrArray *divergences; /* of PmReplayDivergence; the first PM_REPLAY_MAX_DIVERGENCES */
    uint64_t n_unjudged;    /* answers that the trace says too little about */
    GPtrArray *unjudged;    /* of PmReplayDivergence; the first PM_REPLAY_MAX_DIVERGENCES */
    GArray *plug_ns;        /* of uint64_t, ascending: time from request to answer */
    GArray *unplug_ns;
    GArray *final_runs; /* of PmReplayRun */
    uint64_t elapsed_ns;
} PmReplayResult;

#define PM_REPLAY_MAX_MISMATCHES  20
#define PM_REPLAY_MAX_DIVERGENCES 100000

/*
 * Returns a result, right or not (pm_replay_is_right()), or NULL if the trace could not be played
 * at all: errors of opening the IOMMU, of reserving memory, of a region that the limits have no
 * room for; PM_ERROR_BAD_INPUT for an event that no host could carry out.
 */
PmReplayResult *pm_replay(const PmTrace *trace, const PmReplayConfig *config, GError **error);
void pm_replay_result_free(PmReplayResult *result);

/* No answer differs and no audit failed. */
bool pm_replay_is_right(const PmReplayResult *result);

/* The value below which @percent of the ascending numbers lie; 0 if there are none. */
uint64_t pm_percentile(const GArray *ascending, unsigned percent);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmReplayResult, pm_replay_result_free)

#endif
