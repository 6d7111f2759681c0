/* SPDX-License-Identifier: MIT */
/* A registered piece of a bounce pool, and which slots of it are in use. */
#ifndef PLUGMAP_SRC_BUFFERS_BOUNCE_CHUNK_H
#define PLUGMAP_SRC_BUFFERS_BOUNCE_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/ram.h>

#include "base/bitmap.h"

/* Slots begin at multiples of this, and sizes are rounded up to it. */
#define PM_BOUNCE_UNIT UINT64_C(4096)

/*
 * PmBouncePoolConfig: of a pool (bounce_pool.h).
 * @size: of the first chunk. @limit: of all chunks. Bytes; rounded up to @alignment.
 * @alignment: of a chunk's size, a power of two; at least PM_BOUNCE_UNIT is used.
 * @map: registers a chunk, which has a file, and sets @address to the device's address of it. Who
 * does this references the RAM as long as a device may access it. On failure nothing has changed.
 * @unmap: unregisters it. On failure it is still registered, or with PM_ERROR_QUARANTINED and
 * PM_ERROR_UNMAP_MISMATCH it may be.
 */
typedef struct {
    uint64_t size;
    uint64_t limit;
    uint64_t alignment;
    bool (*map)(void *user_data, PmRam *ram, uint64_t *address, GError **error);
    bool (*unmap)(void *user_data, PmRam *ram, GError **error);
    void *user_data;
} PmBouncePoolConfig;

typedef struct {
    PmRam *ram;
    uint64_t address;
    PmBitmap *used;  /* of units */
    bool is_unknown; /* may or may not be registered: has no room for anybody */
} PmBounceChunk;

typedef struct {
    void *host;
    uint64_t address;
    uint64_t size;
    PmBounceChunk *chunk; /* NULL: no slot */
} PmBounceSlot;

/* @size: bytes, a multiple of the unit. Errors: PM_ERROR_MEMORY, those of @map. */
PmBounceChunk *pm_bounce_chunk_new(const PmBouncePoolConfig *config, uint64_t size, GError **error);

/* Unregisters it; free it then. On failure it is as before, or unknown. */
bool pm_bounce_chunk_unmap(PmBounceChunk *chunk, const PmBouncePoolConfig *config, GError **error);

/* Frees it. Memory that is still registered stays with its registry. */
void pm_bounce_chunk_free(PmBounceChunk *chunk);

/* @size: bytes, a multiple of the unit. Returns false if there is no room. */
bool pm_bounce_chunk_take(PmBounceChunk *chunk, uint64_t size, PmBounceSlot *slot);

void pm_bounce_chunk_put(const PmBounceSlot *slot);

bool pm_bounce_chunk_is_idle(const PmBounceChunk *chunk);

#endif
