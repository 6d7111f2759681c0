/* SPDX-License-Identifier: MIT */
#include <plugmap/discard_source.h>

#include "memory/discard_manager_private.h"

void pm_discard_source_free(PmDiscardSource *source)
{
    pm_bitmap_free(source->populated.bits);
    g_free(source->name);
    g_free(source);
}

PmDiscardManager *pm_discard_source_get_manager(const PmDiscardSource *source)
{
    return source->manager;
}

const char *pm_discard_source_get_name(const PmDiscardSource *source)
{
    return source->name;
}

uint64_t pm_discard_source_get_granularity(const PmDiscardSource *source)
{
    return source->populated.granularity;
}

uint64_t pm_discard_source_get_populated(const PmDiscardSource *source)
{
    return pm_bitmap_n_set(source->populated.bits) * source->populated.granularity;
}

bool pm_discard_source_is_populated(const PmDiscardSource *source, uint64_t offset, uint64_t size)
{
    return pm_granules_all_set(&source->populated, offset, size);
}

bool pm_discard_source_is_discarded(const PmDiscardSource *source, uint64_t offset, uint64_t size)
{
    return pm_granules_all_clear(&source->populated, offset, size);
}

bool pm_discard_source_next_populated(const PmDiscardSource *source, uint64_t offset, uint64_t end,
                                      uint64_t *run_offset, uint64_t *run_size)
{
    return pm_granules_next_set(&source->populated, offset, end, run_offset, run_size);
}

bool pm_discard_source_next_discarded(const PmDiscardSource *source, uint64_t offset, uint64_t end,
                                      uint64_t *run_offset, uint64_t *run_size)
{
    return pm_granules_next_clear(&source->populated, offset, end, run_offset, run_size);
}
