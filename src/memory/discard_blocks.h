/* SPDX-License-Identifier: MIT */
/* The blocks of a discard manager: what all sources agree on, and what is in quarantine. */
#ifndef PLUGMAP_SRC_MEMORY_DISCARD_BLOCKS_H
#define PLUGMAP_SRC_MEMORY_DISCARD_BLOCKS_H

#include <plugmap/error.h>

#include "base/bitmap.h"
#include "memory/granules.h"
#include "memory/quarantine.h"

/*
 * @populated: the merged state.
 * @changing: scratch: the blocks of which the merged state is about to change; all clear between
 * changes. Allocated once, so that no change fails for lack of memory.
 * @lost: blocks whose state at a listener, or in memory, is wrong or unknown, and which no listener
 * reports itself.
 * @stuck: discarded blocks whose memory the host has not freed yet.
 */
typedef struct {
    uint64_t size;
    uint64_t granularity;
    PmBitmap *populated;
    PmBitmap *changing;
    PmQuarantine *lost;
    PmQuarantine *stuck;
} PmBlocks;

/* Nothing is populated. On failure @blocks is empty. Errors: PM_ERROR_MEMORY. */
bool pm_blocks_init(PmBlocks *blocks, uint64_t size, uint64_t granularity, GError **error);
void pm_blocks_clear(PmBlocks *blocks);

static inline PmGranules pm_blocks_populated(const PmBlocks *blocks)
{
    return (PmGranules){blocks->size, blocks->granularity, blocks->populated};
}

static inline PmGranules pm_blocks_changing(const PmBlocks *blocks)
{
    return (PmGranules){blocks->size, blocks->granularity, blocks->changing};
}

/* A bitmap of the blocks, and one of a source's granules, at least as large as a block. */
typedef void (*PmBlocksCombine)(PmBitmap *bitmap, const PmBitmap *other, unsigned shift,
                                uint64_t first, uint64_t end);

/* Combines blocks of [@offset, @end) with granules: pm_bitmap_keep(), pm_bitmap_subtract(). */
void pm_blocks_combine(const PmBlocks *blocks, PmBitmap *bitmap, PmBlocksCombine combine,
                       const PmGranules *granules, uint64_t offset, uint64_t end);

#endif
