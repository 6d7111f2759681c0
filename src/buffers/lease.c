/* SPDX-License-Identifier: MIT */
/* What I/O threads do with a lease table. */
#include "buffers/lease_private.h"

/* The part of a buffer that is inside one range. */
typedef struct {
    PmLeaseRange *range;
    uint64_t offset; /* in the range */
    uint64_t size;
    uint64_t first; /* block */
    uint64_t last;
} Part;

/* Whether @host is in the range. */
static bool cut_part(PmLeaseRange *range, uint64_t host, uint64_t size, Part *part)
{
    uint64_t range_size = pm_lease_load(&range->size);
    uint64_t shift = pm_lease_load(&range->granularity_shift);

    part->range = range;
    part->offset = host - pm_lease_load(&range->host);
    if (part->offset >= range_size)
        return false;
    part->size = MIN(size, range_size - part->offset);
    part->first = part->offset >> shift;
    part->last = (part->offset + part->size - 1) >> shift;
    return true;
}

/* Whether @host is in a range, if the version is still the same afterwards. */
static bool find_part(const PmLeaseTable *table, uint64_t version, uint64_t host, uint64_t size,
                      Part *part)
{
    PmLeaseRange *range = pm_lease_index_find(&table->index, version, host);

    return range != NULL && cut_part(range, host, size, part);
}

static bool is_current(const PmLeaseTable *table, uint64_t version)
{
    return pm_lease_index_version(&table->index) == version;
}

/* The part of a leased buffer at @offset: its range stays, whatever else happens to the table. */
static void find_leased(const PmLease *lease, uint64_t offset, Part *part)
{
    uint64_t host = lease->host + offset;
    uint64_t size = lease->size - offset;
    uint64_t version;

    if (cut_part(lease->range, host, size, part))
        return;
    do
        version = pm_lease_index_version(&lease->table->index);
    while (!find_part(lease->table, version, host, size, part) ||
           !is_current(lease->table, version));
}

static void wake(PmLeaseTable *table)
{
    pthread_mutex_lock(&table->lock);
    pthread_cond_broadcast(&table->released);
    pthread_mutex_unlock(&table->lock);
}

static void release_block(const PmLeaseRange *range, uint64_t index)
{
    uint32_t before = __atomic_fetch_sub(&pm_lease_block(range, index)->word, 1, __ATOMIC_RELEASE);

    if ((before & (PM_LEASE_OPEN | PM_LEASE_HOLDABLE)) == 0 && (before & PM_LEASE_COUNT) == 1)
        wake(range->table);
}

static void release_blocks(const PmLeaseRange *range, uint64_t first, uint64_t end)
{
    while (first < end)
        release_block(range, first++);
}

/* Never writes to a block that has none of the @wanted states. Returns its state, without those if
 * it was not leased. */
static uint32_t lease_block(const PmLeaseRange *range, uint64_t index, uint32_t wanted,
                            uint32_t epoch)
{
    PmLeaseBlock *block = pm_lease_block(range, index);
    uint32_t word = __atomic_load_n(&block->word, __ATOMIC_ACQUIRE);

    do
        if ((word & wanted) == 0 || (word & PM_LEASE_COUNT) == PM_LEASE_COUNT)
            return word & ~wanted;
    while (!__atomic_compare_exchange_n(&block->word, &word, word + 1, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_ACQUIRE));
    if (__atomic_load_n(&block->last_use, __ATOMIC_RELAXED) != epoch)
        __atomic_store_n(&block->last_use, epoch, __ATOMIC_RELAXED);
    return word;
}

static PmLeaseResult refusal(uint32_t word)
{
    if ((word & PM_LEASE_SHUT) != 0)
        return PM_LEASE_CLOSED;
    if ((word & PM_LEASE_COUNT) == PM_LEASE_COUNT)
        return PM_LEASE_FULL;
    return (word & PM_LEASE_HOLDABLE) != 0 ? PM_LEASE_UNREGISTERED : PM_LEASE_DISCARDED;
}

/* On failure the size is that before the block that has the result. */
static PmLeaseResult lease_blocks(const PmLeaseTable *table, uint32_t wanted, Part *part)
{
    uint32_t epoch = __atomic_load_n(&table->epoch, __ATOMIC_RELAXED);
    uint64_t shift;

    for (uint64_t i = part->first; i <= part->last; i++) {
        uint32_t word = lease_block(part->range, i, wanted, epoch);

        if ((word & wanted) != 0)
            continue;
        release_blocks(part->range, part->first, i);
        shift = pm_lease_load(&part->range->granularity_shift);
        part->size = i == part->first ? 0 : (i << shift) - part->offset;
        return refusal(word);
    }
    return PM_LEASE_GRANTED;
}

/* What was read before the version is known to be the same may be anything, so the version is
 * compared before blocks are used, and again afterwards: the range may have been removed. */
static PmLeaseResult lease_part(const PmLeaseTable *table, uint32_t wanted, uint64_t host,
                                uint64_t size, Part *part)
{
    for (;;) {
        uint64_t version = pm_lease_index_version(&table->index);
        bool found = find_part(table, version, host, size, part);
        PmLeaseResult result = PM_LEASE_UNKNOWN;

        if (!is_current(table, version))
            continue;
        if (found)
            result = lease_blocks(table, wanted, part);
        else
            part->size = 0;
        if (is_current(table, version))
            return result;
        if (result == PM_LEASE_GRANTED)
            release_blocks(part->range, part->first, part->last + 1);
    }
}

static PmLeaseResult acquire(const PmLeaseTable *table, uint32_t wanted, PmLease *lease,
                             const void *host, uint64_t size, uint64_t *failed_at)
{
    Part part;

    *lease = (PmLease){.table = table, .host = (uintptr_t)host};
    while (lease->size < size) {
        PmLeaseResult result =
            lease_part(table, wanted, lease->host + lease->size, size - lease->size, &part);

        if (result != PM_LEASE_GRANTED) {
            if (failed_at != NULL)
                *failed_at = lease->size + part.size;
            pm_lease_release(lease);
            return result;
        }
        if (lease->size == 0)
            lease->range = part.range;
        lease->size += part.size;
    }
    return PM_LEASE_GRANTED;
}

PmLeaseResult pm_lease_acquire(const PmLeaseTable *table, PmLease *lease, const void *host,
                               uint64_t size, uint64_t *failed_at)
{
    return acquire(table, PM_LEASE_OPEN, lease, host, size, failed_at);
}

PmLeaseResult pm_lease_hold(const PmLeaseTable *table, PmLease *lease, const void *host,
                            uint64_t size, uint64_t *failed_at)
{
    return acquire(table, PM_LEASE_OPEN | PM_LEASE_HOLDABLE, lease, host, size, failed_at);
}

/* A block that is wanted in no state is not leased. */
bool pm_lease_is_closed(const PmLeaseTable *table, const void *host)
{
    Part part;

    return lease_part(table, 0, (uintptr_t)host, 1, &part) == PM_LEASE_CLOSED;
}

void pm_lease_release(const PmLease *lease)
{
    uint64_t offset = 0;
    Part part;

    for (; offset < lease->size; offset += part.size) {
        find_leased(lease, offset, &part);
        release_blocks(part.range, part.first, part.last + 1);
    }
}

static bool continues_run(const PmLeaseBlock *block, uint64_t address, const PmLeaseRun *run)
{
    return run->address + run->size == address &&
           (__atomic_load_n(&block->word, __ATOMIC_RELAXED) & PM_LEASE_FIRST) == 0;
}

/* The run grows by the blocks of the part that continue it. Returns whether all of them do. */
static bool extend_run(const Part *part, PmLeaseRun *run)
{
    uint64_t shift = part->range->granularity_shift;
    uint64_t offset = part->offset;
    uint64_t end = part->offset + part->size;

    for (uint64_t i = part->first; i <= part->last; i++) {
        const PmLeaseBlock *block = pm_lease_block(part->range, i);
        uint64_t address = block->address + (offset - (i << shift));
        uint64_t block_end = i == part->last ? end : (i + 1) << shift;

        if (run->size == 0)
            run->address = address;
        else if (!continues_run(block, address, run))
            return false;
        run->size += block_end - offset;
        offset = block_end;
    }
    return true;
}

bool pm_lease_next(const PmLease *lease, uint64_t offset, PmLeaseRun *run)
{
    Part part;

    if (offset >= lease->size)
        return false;
    run->size = 0;
    do
        find_leased(lease, offset + run->size, &part);
    while (extend_run(&part, run) && offset + run->size < lease->size);
    return true;
}
