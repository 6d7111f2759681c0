/* SPDX-License-Identifier: MIT */
/* What is mapped after the calls of a DMA log: the mappings of each address space, by the kernel's
 * rules (docs/trace-format.md). */
#ifndef PLUGMAP_SRC_WATCH_DMA_STATE_H
#define PLUGMAP_SRC_WATCH_DMA_STATE_H

#include "watch/dma_log.h"

/* Bounds the memory. */
#define PM_DMA_STATE_MAX_SPACES   4096
#define PM_DMA_STATE_MAX_MAPPINGS 16777216

/* An address space that is open, or that has ended and may be forgotten. */
typedef struct {
    const char *name; /* "" if the log does not name it */
    bool has_pid;
    uint64_t pid; /* of its last call */
    bool ended;
    uint64_t n_mappings;
    uint64_t n_bytes;
    uint64_t peak_mappings;
    uint64_t peak_bytes;
} PmDmaSpace;

/* Mappings that were left when their address space ended. */
typedef struct {
    uint64_t n_mappings;
    uint64_t n_bytes;
    char *first; /* the first one, for people; NULL: none */
} PmDmaLeaks;

/* Runs of adjacent mappings. */
typedef struct {
    uint64_t n_runs;
    uint64_t largest_iova;
    uint64_t largest_size;
    uint64_t largest_n_mappings;
} PmDmaRuns;

typedef struct PmDmaState PmDmaState;

PmDmaState *pm_dma_state_new(void);
void pm_dma_state_free(PmDmaState *state);

/*
 * Applies a call; a failed one changes nothing, except an UNMAP of iommufd (ENOENT), nor does an
 * error. Errors: PM_ERROR_LIMIT (more
 * spaces or mappings than the bounds), PM_ERROR_MEMORY.
 */
bool pm_dma_state_apply(PmDmaState *state, const PmDmaLogCall *call, GError **error);

/* Of all address spaces. */
uint64_t pm_dma_state_n_mappings(const PmDmaState *state);

/* The most mappings of one address space, which has a limit. */
uint64_t pm_dma_state_fullest(PmDmaState *state);

/* The most bytes of one process, which has a limit, in all its address spaces. */
uint64_t pm_dma_state_most_bytes(PmDmaState *state);

/* Address spaces in the order in which the log named them; NULL after the last one. */
const PmDmaSpace *pm_dma_state_space(const PmDmaState *state, unsigned index);

/* Of all address spaces. */
PmDmaRuns pm_dma_state_runs(PmDmaState *state);

const PmDmaLeaks *pm_dma_state_leaks(const PmDmaState *state);

/* Calls that contradict the calls before; @first: the first one, for people; NULL: none. */
uint64_t pm_dma_state_n_contradictions(const PmDmaState *state, const char **first);

/* Whether the log has said that it is complete. */
bool pm_dma_state_is_complete(const PmDmaState *state);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDmaState, pm_dma_state_free)

#endif
