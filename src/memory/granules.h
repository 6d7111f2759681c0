/* SPDX-License-Identifier: MIT */
/* A bitmap with one bit per granule of a PmRam, in bytes. */
#ifndef PLUGMAP_SRC_MEMORY_GRANULES_H
#define PLUGMAP_SRC_MEMORY_GRANULES_H

#include "base/bitmap.h"

typedef struct {
    uint64_t size;        /* of the RAM */
    uint64_t granularity; /* a power of two */
    PmBitmap *bits;
} PmGranules;

/* Whether all are set (clear) in a range, which is extended to whole granules. False if the range
 * is empty, or not inside the RAM. */
bool pm_granules_all_set(const PmGranules *granules, uint64_t offset, uint64_t size);
bool pm_granules_all_clear(const PmGranules *granules, uint64_t offset, uint64_t size);

/* The first maximal run in [@offset, @end), clipped to it; an @end beyond the RAM means its end. */
bool pm_granules_next_set(const PmGranules *granules, uint64_t offset, uint64_t end,
                          uint64_t *run_offset, uint64_t *run_size);
bool pm_granules_next_clear(const PmGranules *granules, uint64_t offset, uint64_t end,
                            uint64_t *run_offset, uint64_t *run_size);

/* The last maximal run of set granules in [@offset, @end). */
bool pm_granules_previous_set(const PmGranules *granules, uint64_t offset, uint64_t end,
                              uint64_t *run_offset, uint64_t *run_size);

void pm_granules_set(const PmGranules *granules, uint64_t offset, uint64_t size);
void pm_granules_clear(const PmGranules *granules, uint64_t offset, uint64_t size);

#endif
