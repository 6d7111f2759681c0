/* SPDX-License-Identifier: MIT */
/* The driver's state of each chunk (geometry.h), and how many are in each state. */
#ifndef PLUGMAP_SRC_GENERATE_CHUNKS_H
#define PLUGMAP_SRC_GENERATE_CHUNKS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* A partial one has unplugged sub-blocks, too. */
typedef enum {
    PM_CHUNK_UNUSED,
    PM_CHUNK_PLUGGED, /* removed from Linux, but the host was too busy to unplug it */
    PM_CHUNK_OFFLINE,
    PM_CHUNK_OFFLINE_PARTIAL,
    PM_CHUNK_KERNEL, /* online, in a zone for the kernel's memory */
    PM_CHUNK_KERNEL_PARTIAL,
    PM_CHUNK_MOVABLE,
    PM_CHUNK_MOVABLE_PARTIAL,
    PM_CHUNK_N_STATES,
} PmChunkState;

#define PM_NO_CHUNK UINT64_MAX

/* Chunks from @n_known on have never been used. */
typedef struct {
    uint8_t *states;
    uint64_t n_known;
    uint64_t n_in[PM_CHUNK_N_STATES];
} PmChunks;

/* False if out of memory. */
bool pm_chunks_init(PmChunks *chunks, uint64_t n_chunks);
void pm_chunks_clear(PmChunks *chunks);

PmChunkState pm_chunks_get(const PmChunks *chunks, uint64_t chunk);
void pm_chunks_set(PmChunks *chunks, uint64_t chunk, PmChunkState state);

/* Makes the next one known, and returns it. */
uint64_t pm_chunks_know_next(PmChunks *chunks);

/* The first known chunk in @state at or after @from; the last one before @end. PM_NO_CHUNK if there
 * is none. */
uint64_t pm_chunks_next(const PmChunks *chunks, PmChunkState state, uint64_t from);
uint64_t pm_chunks_previous(const PmChunks *chunks, PmChunkState state, uint64_t end);

#endif
