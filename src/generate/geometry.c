/* SPDX-License-Identifier: MIT */
#include "generate/geometry.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"

#define MIN_MEMORY_BLOCK (2 * PM_GUEST_PAGE_BLOCK)
#define MAX_MEMORY_BLOCK PM_TIB

static bool check_memory_block(uint64_t memory_block, GError **error)
{
    g_autofree char *found = NULL;

    if (memory_block >= MIN_MEMORY_BLOCK && memory_block <= MAX_MEMORY_BLOCK &&
        (memory_block & (memory_block - 1)) == 0)
        return true;
    found = pm_size_format(memory_block);
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid memory block size %s: must be a power of two from 4M to 1T", found);
}

static bool check_request(const PmGuestGeometry *geometry, GError **error)
{
    g_autofree char *chunk = NULL;
    g_autofree char *block = NULL;
    g_autofree char *n_blocks = NULL;

    if (geometry->chunk_size / geometry->block_size <= UINT16_MAX)
        return true;
    chunk = pm_size_format(geometry->chunk_size);
    block = pm_size_format(geometry->block_size);
    n_blocks = pm_count_text(geometry->chunk_size / geometry->block_size);
    return pm_fail(
        error, PM_ERROR_INVALID_ARGUMENT,
        "a memory block of %s has %s blocks of %s, but a request has at most 65,535: use "
        "larger blocks or smaller memory blocks",
        chunk, n_blocks, block);
}

bool pm_guest_geometry_init(PmGuestGeometry *geometry, uint64_t address, uint64_t size,
                            uint64_t block_size, uint64_t memory_block, bool has_big_blocks,
                            GError **error)
{
    uint64_t sub_block = MAX(block_size, PM_GUEST_PAGE_BLOCK);
    uint64_t head;

    if (!check_memory_block(memory_block, error))
        return false;
    geometry->has_big_blocks = has_big_blocks || sub_block >= memory_block;
    geometry->block_size = block_size;
    geometry->chunk_size = geometry->has_big_blocks ? MAX(block_size, memory_block) : memory_block;
    geometry->unit_size = geometry->has_big_blocks ? memory_block : sub_block;
    geometry->units_per_chunk = geometry->chunk_size / geometry->unit_size;
    head = -address & (geometry->chunk_size - 1);
    geometry->n_chunks = size > head ? (size - head) / geometry->chunk_size : 0;
    geometry->address = address + head;
    return check_request(geometry, error);
}

uint64_t pm_guest_geometry_usable_chunks(const PmGuestGeometry *geometry, uint64_t region_address,
                                         uint64_t size)
{
    uint64_t head = geometry->address - region_address;

    return size > head ? MIN((size - head) / geometry->chunk_size, geometry->n_chunks) : 0;
}
