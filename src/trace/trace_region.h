/* SPDX-License-Identifier: MIT */
/* The region of a recorded virtio-mem device. */
#ifndef PLUGMAP_SRC_TRACE_TRACE_REGION_H
#define PLUGMAP_SRC_TRACE_TRACE_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

/* How far the usable region reaches beyond the requested size where a log was recorded: what QEMU
 * has on x86. Elsewhere it has more, which makes the bounds looser, not wrong. */
#define PM_TRACE_USABLE_EXTENT (2 * (UINT64_C(128) << 20))

typedef struct {
    char *name; /* NULL: the trace has no other region */
    uint64_t address;
    uint64_t size;
    uint64_t block_size;
    uint64_t requested_size; /* at the start */
    bool requested_is_bound; /* this and RESIZE are the most that can have been asked for */
} PmTraceRegion;

/* Whether it can be one. Errors: PM_ERROR_BAD_INPUT; the message has no file and line. */
bool pm_trace_region_check(const PmTraceRegion *region, GError **error);

/* Whether the blocks lie in the region. Errors: as above. */
bool pm_trace_region_check_range(const PmTraceRegion *region, uint64_t address, uint64_t n_blocks,
                                 GError **error);

/* Whether a block of one is a block of the other. */
bool pm_trace_region_overlaps(const PmTraceRegion *a, const PmTraceRegion *b);

/*
 * The largest requested size that makes the usable region @usable bytes. Less than that whole
 * region comes from one requested size only, which reaches beyond it by PM_TRACE_USABLE_EXTENT in
 * whole blocks. False if none does.
 */
bool pm_trace_region_bound_requested(const PmTraceRegion *region, uint64_t usable, uint64_t *bound);

#endif
