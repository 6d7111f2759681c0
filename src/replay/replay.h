/* SPDX-License-Identifier: MIT */
/* Plays a trace: every recorded request goes to its virtio-mem device in wire format, and the
 * answers are compared. All devices are in one I/O address space. */
#ifndef PLUGMAP_SRC_REPLAY_REPLAY_H
#define PLUGMAP_SRC_REPLAY_REPLAY_H

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "replay/recorder.h"
#include "replay/result.h"
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
 * @overcommit: add the regions even where the limits have no room for all of their blocks.
 * @progress: optional: called after each event; false stops the replay there.
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
    bool overcommit;
    bool (*progress)(guint n_done, guint n_events, void *user_data);
    void *user_data; /* for both */
} PmReplayConfig;

/*
 * Returns a result, right or not (pm_replay_is_right()), or NULL if the trace could not be played
 * at all: errors of opening the IOMMU, of reserving memory, of a region that the limits have no
 * room for; PM_ERROR_BAD_INPUT for an event that no host could carry out.
 */
PmReplayResult *pm_replay(const PmTrace *trace, const PmReplayConfig *config, GError **error);

#endif
