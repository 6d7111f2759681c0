/* SPDX-License-Identifier: MIT */
#include "memory/discard_blocks.h"

#include <inttypes.h>

#include "base/error_text.h"

bool pm_blocks_init(PmBlocks *blocks, uint64_t size, uint64_t granularity, GError **error)
{
    uint64_t n = size / granularity;
    g_autofree char *n_blocks = NULL;

    *blocks = (PmBlocks){
        .size = size,
        .granularity = granularity,
        .populated = pm_bitmap_new(n),
        .changing = pm_bitmap_new(n),
        .lost = pm_quarantine_new(size, granularity),
        .stuck = pm_quarantine_new(size, granularity),
    };
    if (blocks->populated != NULL && blocks->changing != NULL && blocks->lost != NULL &&
        blocks->stuck != NULL)
        return true;
    pm_blocks_clear(blocks);
    n_blocks = pm_counted(n, "block");
    return pm_fail(error, PM_ERROR_MEMORY,
                   "cannot allocate the bitmaps of %s: use larger blocks than 0x%" PRIx64, n_blocks,
                   granularity);
}

void pm_blocks_clear(PmBlocks *blocks)
{
    pm_bitmap_free(blocks->populated);
    pm_bitmap_free(blocks->changing);
    pm_quarantine_free(blocks->lost);
    pm_quarantine_free(blocks->stuck);
    *blocks = (PmBlocks){0};
}

void pm_blocks_combine(const PmBlocks *blocks, PmBitmap *bitmap, PmBlocksCombine combine,
                       const PmGranules *granules, uint64_t offset, uint64_t end)
{
    unsigned shift = (unsigned)__builtin_ctzll(granules->granularity / blocks->granularity);

    combine(bitmap, granules->bits, shift, offset / blocks->granularity, end / blocks->granularity);
}
