/* SPDX-License-Identifier: MIT */
/* Opens and closes the blocks of a range. */
#include <errno.h>
#include <time.h>

#include "buffers/lease_private.h"

#define MS_PER_S  1000
#define NS_PER_MS 1000000
#define NS_PER_S  1000000000

/* The blocks that a range of bytes touches. */
typedef struct {
    uint64_t first;
    uint64_t end;
} Blocks;

static Blocks blocks_of(const PmLeaseRange *range, uint64_t offset, uint64_t size)
{
    return (Blocks){offset >> range->granularity_shift,
                    ((offset + size - 1) >> range->granularity_shift) + 1};
}

static uint32_t word_of(const PmLeaseRange *range, uint64_t index)
{
    return __atomic_load_n(&pm_lease_block(range, index)->word, __ATOMIC_ACQUIRE);
}

/* Unregistered blocks may be held meanwhile. */
static void set_state(const PmLeaseRange *range, uint64_t index, uint32_t state)
{
    uint32_t *at = &pm_lease_block(range, index)->word;
    uint32_t word = __atomic_load_n(at, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(at, &word, (word & PM_LEASE_COUNT) | state, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

static void set_states(PmLeaseRange *range, uint64_t offset, uint64_t size, uint32_t state)
{
    Blocks blocks = blocks_of(range, offset, size);

    for (uint64_t i = blocks.first; i < blocks.end; i++)
        set_state(range, i, state);
}

void pm_lease_range_open(PmLeaseRange *range, uint64_t offset, uint64_t size, uint64_t address)
{
    Blocks blocks = blocks_of(range, offset, size);
    uint32_t first = range->table->separate ? PM_LEASE_FIRST : 0;

    for (uint64_t i = blocks.first; i < blocks.end; i++) {
        pm_lease_block(range, i)->address =
            address + ((i - blocks.first) << range->granularity_shift);
        set_state(range, i, PM_LEASE_OPEN | PM_LEASE_ADDRESS | (i == blocks.first ? first : 0));
    }
}

void pm_lease_range_set_discarded(PmLeaseRange *range, uint64_t offset, uint64_t size)
{
    set_states(range, offset, size, 0);
}

/* A closed block stays closed: it may be about to be discarded, and then must not be held. */
void pm_lease_range_set_unregistered(PmLeaseRange *range, uint64_t offset, uint64_t size)
{
    Blocks blocks = blocks_of(range, offset, size);

    for (uint64_t i = blocks.first; i < blocks.end; i++)
        set_state(range, i,
                  (word_of(range, i) & PM_LEASE_SHUT) != 0 ? PM_LEASE_SHUT : PM_LEASE_HOLDABLE);
}

static uint64_t count_leases(const PmLeaseRange *range, const Blocks *blocks)
{
    uint64_t n_leases = 0;

    for (uint64_t i = blocks->first; i < blocks->end; i++)
        n_leases += word_of(range, i) & PM_LEASE_COUNT;
    return n_leases;
}

uint64_t pm_lease_range_n_leases(const PmLeaseRange *range, uint64_t offset, uint64_t size)
{
    Blocks blocks = blocks_of(range, offset, size);

    return count_leases(range, &blocks);
}

/* In one instruction, so that a lease is either seen here or refused. Returns the leases that it
 * has in that instant. */
static uint32_t replace(const PmLeaseRange *range, uint64_t index, uint32_t from, uint32_t to)
{
    uint32_t before =
        __atomic_fetch_xor(&pm_lease_block(range, index)->word, from ^ to, __ATOMIC_ACQ_REL);

    return before & PM_LEASE_COUNT;
}

/* Returns the leases that they have: there are no new ones. */
static uint64_t shut(PmLeaseRange *range, const Blocks *blocks)
{
    uint64_t n_leases = 0;

    for (uint64_t i = blocks->first; i < blocks->end; i++) {
        uint32_t granting = word_of(range, i) & (PM_LEASE_OPEN | PM_LEASE_HOLDABLE);

        if (granting != 0)
            n_leases += replace(range, i, granting, PM_LEASE_SHUT);
    }
    return n_leases;
}

static void reopen(PmLeaseRange *range, const Blocks *blocks)
{
    for (uint64_t i = blocks->first; i < blocks->end; i++) {
        uint32_t word = word_of(range, i);

        if ((word & PM_LEASE_SHUT) != 0)
            (void)replace(range, i, PM_LEASE_SHUT,
                          (word & PM_LEASE_ADDRESS) != 0 ? PM_LEASE_OPEN : PM_LEASE_HOLDABLE);
    }
}

void pm_lease_range_reopen(PmLeaseRange *range, uint64_t offset, uint64_t size)
{
    Blocks blocks = blocks_of(range, offset, size);

    reopen(range, &blocks);
}

static struct timespec deadline(unsigned wait_ms)
{
    struct timespec now;
    long ns;

    clock_gettime(CLOCK_MONOTONIC, &now);
    ns = now.tv_nsec + (long)(wait_ms % MS_PER_S) * NS_PER_MS;
    return (struct timespec){.tv_sec = now.tv_sec + wait_ms / MS_PER_S + ns / NS_PER_S,
                             .tv_nsec = ns % NS_PER_S};
}

/* Whoever releases the last lease of a block takes the lock first, so no wake-up is missed. Returns
 * the leases that are left. */
static uint64_t wait_for_release(PmLeaseRange *range, const Blocks *blocks, unsigned wait_ms)
{
    PmLeaseTable *table = range->table;
    struct timespec until = deadline(wait_ms);
    uint64_t n_leases;
    int result = 0;

    pthread_mutex_lock(&table->lock);
    while ((n_leases = count_leases(range, blocks)) > 0 && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&table->released, &table->lock, &until);
    pthread_mutex_unlock(&table->lock);
    return n_leases;
}

bool pm_lease_range_close(PmLeaseRange *range, uint64_t offset, uint64_t size, unsigned wait_ms,
                          uint64_t *n_leases)
{
    Blocks blocks = blocks_of(range, offset, size);
    uint64_t n_left = shut(range, &blocks);

    if (n_left > 0 && wait_ms > 0)
        n_left = wait_for_release(range, &blocks, wait_ms);
    if (n_left == 0)
        return true;
    reopen(range, &blocks);
    if (n_leases != NULL)
        *n_leases = n_left;
    return false;
}

uint32_t pm_lease_range_last_use(const PmLeaseRange *range, uint64_t offset, uint64_t size)
{
    Blocks blocks = blocks_of(range, offset, size);
    uint32_t last = 0;

    for (uint64_t i = blocks.first; i < blocks.end; i++)
        last = MAX(last, __atomic_load_n(&pm_lease_block(range, i)->last_use, __ATOMIC_RELAXED));
    return last;
}
