/* SPDX-License-Identifier: MIT */
#include "buffers/bounce_chunk.h"

#include "base/error_text.h"
#include "buffers/region_backend.h"

/* A file, because some back ends need one; and no child shares private pages that are written. */
static bool allocate(PmBounceChunk *chunk, uint64_t size, GError **error)
{
    chunk->used = pm_bitmap_new(size / PM_BOUNCE_UNIT);
    if (chunk->used == NULL)
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for the slots of a bounce pool");
    chunk->ram = pm_ram_new(PM_RAM_MEMFD, size, 0, error);
    return chunk->ram != NULL;
}

PmBounceChunk *pm_bounce_chunk_new(const PmBouncePoolConfig *config, uint64_t size, GError **error)
{
    PmBounceChunk *chunk = g_new0(PmBounceChunk, 1);

    if (allocate(chunk, size, error) &&
        config->map(config->user_data, chunk->ram, &chunk->address, error))
        return chunk;
    pm_bounce_chunk_free(chunk);
    return NULL;
}

bool pm_bounce_chunk_unmap(PmBounceChunk *chunk, const PmBouncePoolConfig *config, GError **error)
{
    GError *failure = NULL;

    if (config->unmap(config->user_data, chunk->ram, &failure))
        return true;
    chunk->is_unknown |= pm_regions_are_unknown(failure);
    g_propagate_error(error, failure);
    return false;
}

void pm_bounce_chunk_free(PmBounceChunk *chunk)
{
    pm_ram_unref(chunk->ram);
    pm_bitmap_free(chunk->used);
    g_free(chunk);
}

bool pm_bounce_chunk_take(PmBounceChunk *chunk, uint64_t size, PmBounceSlot *slot)
{
    uint64_t n_units = size / PM_BOUNCE_UNIT;
    uint64_t n_bits = pm_bitmap_n_bits(chunk->used);
    uint64_t first = 0;
    uint64_t end = 0;

    if (chunk->is_unknown)
        return false;
    do {
        first = pm_bitmap_next_clear(chunk->used, end, n_bits);
        if (n_units > n_bits - first)
            return false;
        end = pm_bitmap_next_set(chunk->used, first, first + n_units);
    } while (end < first + n_units);
    pm_bitmap_set(chunk->used, first, n_units);
    *slot = (PmBounceSlot){
        .host = (char *)pm_ram_get_host(chunk->ram) + first * PM_BOUNCE_UNIT,
        .address = chunk->address + first * PM_BOUNCE_UNIT,
        .size = size,
        .chunk = chunk,
    };
    return true;
}

void pm_bounce_chunk_put(const PmBounceSlot *slot)
{
    uint64_t offset = slot->address - slot->chunk->address;

    pm_bitmap_clear(slot->chunk->used, offset / PM_BOUNCE_UNIT, slot->size / PM_BOUNCE_UNIT);
}

bool pm_bounce_chunk_is_idle(const PmBounceChunk *chunk)
{
    return pm_bitmap_n_set(chunk->used) == 0;
}
