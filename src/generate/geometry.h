/* SPDX-License-Identifier: MIT */
/* How a Linux guest divides the region of a virtio-mem device. */
#ifndef PLUGMAP_SRC_GENERATE_GEOMETRY_H
#define PLUGMAP_SRC_GENERATE_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

/*
 * A chunk is what the driver adds to Linux at once, and a unit what moves or does not move.
 * Sub-block mode: a memory block, and a sub-block of it, which is plugged on its own. Big-block
 * mode: a big block, plugged as a whole, and a memory block of it.
 */
typedef struct {
    uint64_t address; /* of the first chunk: the region's, rounded up to whole chunks */
    uint64_t block_size;
    uint64_t chunk_size;
    uint64_t unit_size;
    uint64_t n_chunks;
    uint64_t units_per_chunk;
    bool has_big_blocks;
} PmGuestGeometry;

/* Linux on x86-64. */
#define PM_GUEST_MEMORY_BLOCK (UINT64_C(128) << 20)
#define PM_GUEST_PAGE_BLOCK   (UINT64_C(2) << 20)

/*
 * @address, @size, @block_size: the device's, valid. @memory_block: what Linux adds and removes.
 * @has_big_blocks: use big blocks even if sub-blocks would do.
 * Errors: PM_ERROR_INVALID_ARGUMENT.
 */
bool pm_guest_geometry_init(PmGuestGeometry *geometry, uint64_t address, uint64_t size,
                            uint64_t block_size, uint64_t memory_block, bool has_big_blocks,
                            GError **error);

/* The chunks that end in the first @size bytes of the region that begins at @region_address. */
uint64_t pm_guest_geometry_usable_chunks(const PmGuestGeometry *geometry, uint64_t region_address,
                                         uint64_t size);

#endif
