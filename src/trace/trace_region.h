/* SPDX-License-Identifier: MIT */
/* The region of a recorded virtio-mem device. */
#ifndef PLUGMAP_SRC_TRACE_TRACE_REGION_H
#define PLUGMAP_SRC_TRACE_TRACE_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

/* How far QEMU's usable region extends past the requested size on x86. Other architectures have
 * more, which makes the bounds looser, but not wrong. */
#define PM_TRACE_USABLE_EXTENT (2 * (UINT64_C(128) << 20))

typedef struct {
    char *name; /* NULL if there is only one region */
    uint64_t address;
    uint64_t size;
    uint64_t block_size;
    uint64_t requested_size; /* at the start */
    bool requested_is_bound; /* requested_size and RESIZE are upper bounds */
    uint64_t granularity;    /* of conversions between shared and private; 0: there are none */
} PmTraceRegion;

/* Validates the region. Errors: PM_ERROR_BAD_INPUT; the message has no file and line. */
bool pm_trace_region_check(const PmTraceRegion *region, GError **error);

/* Checks that the blocks are in the region. Errors: as above. */
bool pm_trace_region_check_range(const PmTraceRegion *region, uint64_t address, uint64_t n_blocks,
                                 GError **error);

/* Whether the regions overlap. */
bool pm_trace_region_overlaps(const PmTraceRegion *a, const PmTraceRegion *b);

/*
 * The largest requested size that results in a usable region of @usable bytes. A usable region
 * smaller than the region has exactly one: @usable minus PM_TRACE_USABLE_EXTENT, rounded up to
 * whole blocks. False if there is none.
 */
bool pm_trace_region_bound_requested(const PmTraceRegion *region, uint64_t usable, uint64_t *bound);

#endif
