/* SPDX-License-Identifier: MIT */
/* A PmKernel that forwards to another one, and counts and reports the DMA calls in an address
 * window. */
#ifndef PLUGMAP_SRC_REPLAY_RECORDER_H
#define PLUGMAP_SRC_REPLAY_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/kernel.h>

typedef enum {
    PM_DMA_MAP,
    PM_DMA_UNMAP,
    PM_DMA_N_CALLS,
} PmDmaCall;

/* Called for each successful DMA call. */
typedef void (*PmDmaFunc)(PmDmaCall call, uint64_t iova, uint64_t size, void *user_data);

/*
 * @address, @size: the window. @func: optional. Takes a reference to @inner.
 * Returns a new reference; drop it with pm_kernel_unref().
 */
PmKernel *pm_recorder_new(PmKernel *inner, uint64_t address, uint64_t size, PmDmaFunc func,
                          void *user_data);

/* @kernel: a recorder. Stops counting and reporting; calls are still forwarded. */
void pm_recorder_stop(PmKernel *kernel);

/* @kernel: a recorder. Number of calls that touched the window, including failed ones. */
uint64_t pm_recorder_get_n_calls(PmKernel *kernel, PmDmaCall call);

#endif
