/* SPDX-License-Identifier: MIT */
/* Counts the calls of a DMA log: by result, size and latency. */
#ifndef PLUGMAP_SRC_WATCH_DMA_STATISTICS_H
#define PLUGMAP_SRC_WATCH_DMA_STATISTICS_H

#include "watch/dma_log.h"
#include "watch/latency.h"

#define PM_DMA_N_SIZE_CLASSES 64

typedef struct {
    uint64_t n_calls;
    uint64_t n_failed;
    uint64_t n_of_errno[PM_DMA_LOG_MAX_ERRNO + 1]; /* [0] succeeded */
    PmLatency latency;
} PmDmaCallStatistics;

/* All zero: no calls. */
typedef struct {
    PmDmaCallStatistics map;
    PmDmaCallStatistics unmap;
    uint64_t n_of_size[PM_DMA_N_SIZE_CLASSES]; /* successful MAPs of 2^i to 2^(i+1)-1 bytes */
} PmDmaStatistics;

void pm_dma_statistics_add(PmDmaStatistics *statistics, const PmDmaLogCall *call);

/* "2 ENOSPC, 1 EINVAL", the most frequent first; a new string, empty if no call failed. */
char *pm_dma_statistics_errors(const PmDmaCallStatistics *calls);

/* "ENOSPC", or "errno 4095"; a new string. */
char *pm_dma_errno_name(int error_number);

#endif
