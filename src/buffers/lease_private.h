/* SPDX-License-Identifier: MIT */
/* Shared by the files of PmLeaseTable. */
#ifndef PLUGMAP_SRC_BUFFERS_LEASE_PRIVATE_H
#define PLUGMAP_SRC_BUFFERS_LEASE_PRIVATE_H

#include <pthread.h>

#include "buffers/lease_index.h"
#include "buffers/lease_table.h"

/*
 * A block's word: its state, and how many leases it has. They are in one word so that no lease is
 * overlooked: who closes a block learns of its leases in the instruction after which there are no
 * new ones.
 */
#define PM_LEASE_OPEN     0x80000000u
#define PM_LEASE_HOLDABLE 0x40000000u /* unregistered */
#define PM_LEASE_SHUT     0x20000000u /* closed */
#define PM_LEASE_FIRST    0x10000000u /* no run continues here */
#define PM_LEASE_ADDRESS  0x08000000u /* open; or closed, and was open before */
#define PM_LEASE_COUNT    0x000fffffu

#define PM_LEASE_CACHE_LINE      64
#define PM_LEASE_BLOCKS_PER_LINE (PM_LEASE_CACHE_LINE / sizeof(PmLeaseBlock))

typedef struct {
    uint32_t word;
    uint32_t last_use;
    uint64_t address; /* constant while it is open, or has leases */
} PmLeaseBlock;

/*
 * A reader may still look at a range that was removed, and was added again as another range with
 * the same @blocks. It does no harm: there are always as many blocks, it increases only the count
 * of one that it may lease, and it decreases it again when it sees that the version of the index is
 * another.
 */
struct PmLeaseRange {
    PmLeaseTable *table;
    PmLeaseRange *next_free;
    uint64_t host;
    uint64_t size;
    uint64_t granularity_shift;

    /* The same for ever. */
    PmLeaseBlock *blocks;
    unsigned lines_shift; /* 2^lines_shift cache lines of blocks */
};

#define PM_LEASE_N_CLASSES 31 /* of ranges, by lines_shift */

struct PmLeaseTable {
    /* Changes rarely: every lease reads it. */
    PmLeaseIndex index;
    uint32_t epoch;
    bool separate;

    PmLeaseRange *free[PM_LEASE_N_CLASSES];

    /* For waiting until a closed block has no lease. */
    pthread_mutex_t lock;
    pthread_cond_t released;
    uint64_t process;
};

/* Adjacent blocks, of which threads often use one each, are in different cache lines. */
static inline PmLeaseBlock *pm_lease_block(const PmLeaseRange *range, uint64_t index)
{
    uint64_t line = index & ((1ull << range->lines_shift) - 1);

    return &range->blocks[line * PM_LEASE_BLOCKS_PER_LINE + (index >> range->lines_shift)];
}

static inline uint64_t pm_lease_load(const uint64_t *value)
{
    return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

#endif
