/* SPDX-License-Identifier: MIT */
/* How to replay a trace. */
#ifndef PLUGMAP_SRC_REPLAY_REPLAY_CONFIG_H
#define PLUGMAP_SRC_REPLAY_REPLAY_CONFIG_H

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "replay/recorder.h"
#include "replay/result.h"
#include "replay/timeline.h"

/*
 * @kernel: kernel to map with.
 * @fake: the same kernel if it is a fake one, to walk its page table; else NULL.
 * @only_counts: fake kernel with PM_FAKE_PIN_ACCOUNT, which does not fault memory in. Otherwise
 * plugged memory must be resident.
 * @backend: type1 or iommufd.
 * @device: PCI address; NULL: type1 opens @group. On a fake kernel @group is the device's group
 * with both back ends.
 * @memory: backing of the region.
 * @prefault_threads: as in PmVirtioMemConfig.
 * @audit: compare plugged, mapped and resident memory after every request.
 * @dma_device: PCI address of a device of the group, for a DMA check after every request (requires
 * @audit); NULL: none.
 * @dma_func: optional: called for the DMA calls inside the region, in order.
 * @overcommit: add regions even if the limits do not allow all of their blocks to be plugged.
 * @timeline: optional: of the same trace, still empty: records what happens.
 * @progress: optional: called after each event, with what has been counted so far; return false to
 * stop the replay.
 */
typedef struct {
    PmKernel *kernel;
    PmKernel *fake;
    bool only_counts;
    PmIommuBackend backend;
    const char *device;
    unsigned group;
    PmRamKind memory;
    unsigned prefault_threads;
    bool audit;
    const char *dma_device;
    PmDmaFunc dma_func;
    bool overcommit;
    PmTimeline *timeline;
    bool (*progress)(const PmReplayResult *so_far, guint n_events, void *user_data);
    void *user_data; /* for both */
} PmReplayConfig;

#endif
