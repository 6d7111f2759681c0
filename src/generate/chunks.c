/* SPDX-License-Identifier: MIT */
#include "generate/chunks.h"

bool pm_chunks_init(PmChunks *chunks, uint64_t n_chunks)
{
    *chunks = (PmChunks){.states = g_try_malloc0_n(MAX(n_chunks, 1), 1)};
    return chunks->states != NULL;
}

void pm_chunks_clear(PmChunks *chunks)
{
    g_clear_pointer(&chunks->states, g_free);
}

PmChunkState pm_chunks_get(const PmChunks *chunks, uint64_t chunk)
{
    return (PmChunkState)chunks->states[chunk];
}

void pm_chunks_set(PmChunks *chunks, uint64_t chunk, PmChunkState state)
{
    chunks->n_in[chunks->states[chunk]]--;
    chunks->states[chunk] = (uint8_t)state;
    chunks->n_in[state]++;
}

uint64_t pm_chunks_know_next(PmChunks *chunks)
{
    chunks->n_in[PM_CHUNK_UNUSED]++;
    return chunks->n_known++;
}

uint64_t pm_chunks_next(const PmChunks *chunks, PmChunkState state, uint64_t from)
{
    if (chunks->n_in[state] == 0)
        return PM_NO_CHUNK;
    while (from < chunks->n_known && chunks->states[from] != state)
        from++;
    return from < chunks->n_known ? from : PM_NO_CHUNK;
}

uint64_t pm_chunks_previous(const PmChunks *chunks, PmChunkState state, uint64_t end)
{
    if (chunks->n_in[state] == 0)
        return PM_NO_CHUNK;
    while (end > 0 && chunks->states[end - 1] != state)
        end--;
    return end - 1; /* PM_NO_CHUNK for 0 */
}
