/* SPDX-License-Identifier: MIT */
/*
 * PmBufferRange: memory that was added to a registry. It knows which of its blocks are populated,
 * and which regions they are in. The registry's lock is held, unless noted otherwise.
 */
#ifndef PLUGMAP_SRC_BUFFERS_BUFFER_RANGE_H
#define PLUGMAP_SRC_BUFFERS_BUFFER_RANGE_H

#include <plugmap/discard_manager.h>

#include "base/bitmap.h"
#include "base/range_map.h"
#include "buffers/registry_private.h"

/* Blocks of a range. */
typedef struct {
    uint64_t first;
    uint64_t n;
} PmBlockRun;

/* A region; the key is in blocks. */
typedef struct {
    PmRangeKey key;
    uint64_t address;
    bool unknown;
} PmRegionRecord;

/* Requests for a block without a region: how many since an epoch of the lease table. */
typedef struct {
    uint32_t since;
    uint32_t n_misses;
} PmBlockMisses;

typedef struct PmBufferRange PmBufferRange;
struct PmBufferRange {
    gatomicrefcount references; /* the registry's, and the listener's */
    PmBufferRegistry *registry; /* a reference */
    PmRegionMemory memory;
    char *host;
    uint64_t n_blocks;
    bool is_buffer;  /* pm_buffer_registry_register(): has priority */
    bool lacks_file; /* is never registered */
    bool is_leaving; /* nothing more is registered */
    bool has_failed; /* a buffer that failed to register, and may be registered */
    bool is_gone;    /* abandoned */
    PmBitmap *populated;
    PmBitmap *closing; /* about to be discarded */
    PmRangeMap *regions;
    uint64_t n_registered; /* blocks */
    uint64_t n_unknown;    /* blocks */
    uint64_t n_stray;      /* of these, those that are not populated */
    char *unknown_reason;
    GError *refusal;       /* why the last block was refused; NULL: none was */
    PmBlockMisses *misses; /* NULL as long as there were none */
    PmLeaseRange *leases;  /* NULL once it is gone */
    PmDiscardManager *manager;
    PmDiscardListener *listener;
    PmBufferRange *next_kept; /* range_end.c */
};

/* What to add: see pm_buffer_registry_add_ram(). Of a buffer, @ram was adopted for it. */
typedef struct {
    PmRam *ram;
    uint64_t offset;
    uint64_t size;
    bool is_buffer;
} PmBufferRangeConfig;

/* Makes a range with its addresses and discard claims, and puts it into the registry. Without a
 * manager all of it is populated, but not registered yet. Errors: those of
 * pm_buffer_registry_add_ram(). */
PmBufferRange *pm_buffer_range_new(PmBufferRegistry *registry, const PmBufferRangeConfig *config,
                                   GError **error);

/* Drops a reference. The lock is not held. */
void pm_buffer_range_unref(PmBufferRange *range);

/* The range that contains @host, or NULL. */
PmBufferRange *pm_buffer_range_containing(const PmBufferRegistry *registry, const char *host);

/* The range that was added with these, or NULL. */
PmBufferRange *pm_buffer_range_find(const PmBufferRegistry *registry, const void *host,
                                    uint64_t size);

PmBufferRange *pm_buffer_range_at(const PmBufferRegistry *registry, guint index);

/* Blocks that are populated, but refused. */
uint64_t pm_buffer_range_n_refused(const PmBufferRange *range);

static inline uint64_t pm_block_offset(const PmBufferRange *range, uint64_t n_blocks)
{
    return n_blocks * range->memory.block_size;
}

static inline PmBlockRun pm_all_blocks(const PmBufferRange *range)
{
    return (PmBlockRun){0, range->n_blocks};
}

#endif
