/* SPDX-License-Identifier: MIT */
#include "memory/granules.h"

typedef uint64_t (*NextBit)(const PmBitmap *bitmap, uint64_t from, uint64_t end);

/* Whether @find_other finds nothing in a range, which is extended to whole granules. */
static bool is_uniform(const PmGranules *granules, uint64_t offset, uint64_t size,
                       NextBit find_other)
{
    uint64_t first;
    uint64_t end;

    if (size == 0 || offset >= granules->size || size > granules->size - offset)
        return false;
    first = offset / granules->granularity;
    end = (offset + size - 1) / granules->granularity + 1;
    return find_other(granules->bits, first, end) == end;
}

bool pm_granules_all_set(const PmGranules *granules, uint64_t offset, uint64_t size)
{
    return is_uniform(granules, offset, size, pm_bitmap_next_clear);
}

bool pm_granules_all_clear(const PmGranules *granules, uint64_t offset, uint64_t size)
{
    return is_uniform(granules, offset, size, pm_bitmap_next_set);
}

static bool find_run(const PmGranules *granules, uint64_t offset, uint64_t end, NextBit find_first,
                     NextBit find_end, uint64_t *run_offset, uint64_t *run_size)
{
    uint64_t last = MIN(end, granules->size) / granules->granularity;
    uint64_t first = offset / granules->granularity;

    if (first >= last)
        return false;
    first = find_first(granules->bits, first, last);
    if (first == last)
        return false;
    *run_offset = first * granules->granularity;
    *run_size = (find_end(granules->bits, first, last) - first) * granules->granularity;
    return true;
}

bool pm_granules_next_set(const PmGranules *granules, uint64_t offset, uint64_t end,
                          uint64_t *run_offset, uint64_t *run_size)
{
    return find_run(granules, offset, end, pm_bitmap_next_set, pm_bitmap_next_clear, run_offset,
                    run_size);
}

bool pm_granules_next_clear(const PmGranules *granules, uint64_t offset, uint64_t end,
                            uint64_t *run_offset, uint64_t *run_size)
{
    return find_run(granules, offset, end, pm_bitmap_next_clear, pm_bitmap_next_set, run_offset,
                    run_size);
}

bool pm_granules_previous_set(const PmGranules *granules, uint64_t offset, uint64_t end,
                              uint64_t *run_offset, uint64_t *run_size)
{
    uint64_t first = offset / granules->granularity;
    uint64_t last = pm_bitmap_previous_set(granules->bits, first, end / granules->granularity);

    if (last == first)
        return false;
    first = pm_bitmap_previous_clear(granules->bits, first, last);
    *run_offset = first * granules->granularity;
    *run_size = (last - first) * granules->granularity;
    return true;
}

void pm_granules_set(const PmGranules *granules, uint64_t offset, uint64_t size)
{
    pm_bitmap_set(granules->bits, offset / granules->granularity, size / granules->granularity);
}

void pm_granules_clear(const PmGranules *granules, uint64_t offset, uint64_t size)
{
    pm_bitmap_clear(granules->bits, offset / granules->granularity, size / granules->granularity);
}
