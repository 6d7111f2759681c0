/* SPDX-License-Identifier: MIT */
/* Adds and removes the ranges of a lease table. */
#include <inttypes.h>

#include "base/error_text.h"
#include "base/process.h"
#include "buffers/lease_private.h"

#define MAX_BLOCKS      (1ull << 31)
#define ONE_BLOCK_SHIFT 63

/* So many blocks have a cache line of their own. */
#define N_SEPARATE_BLOCKS 64

PmLeaseTable *pm_lease_table_new(bool separate)
{
    PmLeaseTable *table = g_new0(PmLeaseTable, 1);
    pthread_condattr_t attributes;

    pm_lease_index_init(&table->index);
    table->epoch = 1;
    table->process = pm_process_token();
    table->separate = separate;
    pthread_mutex_init(&table->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&table->released, &attributes);
    pthread_condattr_destroy(&attributes);
    return table;
}

static void free_ranges(PmLeaseRange *range)
{
    while (range != NULL) {
        PmLeaseRange *next = range->next_free;

        g_free(range);
        range = next;
    }
}

void pm_lease_table_free(PmLeaseTable *table)
{
    PmLeaseRange *range;

    if (table == NULL)
        return;
    while ((range = pm_lease_index_first(&table->index)) != NULL)
        pm_lease_table_remove(table, range);
    for (unsigned i = 0; i < PM_LEASE_N_CLASSES; i++)
        free_ranges(table->free[i]);
    pm_lease_index_clear(&table->index);
    if (table->process == pm_process_token()) /* else its waiters do not exist */
        pthread_cond_destroy(&table->released);
    pthread_mutex_destroy(&table->lock);
    g_free(table);
}

static unsigned shift_of(uint64_t granularity)
{
    return granularity == 0 ? ONE_BLOCK_SHIFT : (unsigned)__builtin_ctzll(granularity);
}

static unsigned lines_shift_of(uint64_t n_blocks)
{
    uint64_t n_lines = MAX(MIN(n_blocks, N_SEPARATE_BLOCKS),
                           (n_blocks + PM_LEASE_BLOCKS_PER_LINE - 1) / PM_LEASE_BLOCKS_PER_LINE);

    return n_lines == 1 ? 0 : 64 - (unsigned)__builtin_clzll(n_lines - 1);
}

static uint64_t n_allocated(unsigned lines_shift)
{
    return PM_LEASE_BLOCKS_PER_LINE << lines_shift;
}

static PmLeaseRange *allocate_range(PmLeaseTable *table, unsigned lines_shift)
{
    uint64_t size = sizeof(PmLeaseRange) + n_allocated(lines_shift) * sizeof(PmLeaseBlock);
    PmLeaseRange *range = g_try_malloc0(size + PM_LEASE_CACHE_LINE);
    uintptr_t blocks;

    if (range == NULL)
        return NULL;
    range->table = table;
    range->lines_shift = lines_shift;
    blocks = (uintptr_t)(range + 1);
    blocks = (blocks + PM_LEASE_CACHE_LINE - 1) & ~(uintptr_t)(PM_LEASE_CACHE_LINE - 1);
    range->blocks = (PmLeaseBlock *)blocks;
    return range;
}

static PmLeaseRange *take_range(PmLeaseTable *table, unsigned lines_shift)
{
    PmLeaseRange *range = table->free[lines_shift];

    if (range == NULL)
        return allocate_range(table, lines_shift);
    table->free[lines_shift] = range->next_free;
    return range;
}

static void return_range(PmLeaseTable *table, PmLeaseRange *range)
{
    range->next_free = table->free[range->lines_shift];
    table->free[range->lines_shift] = range;
}

static void set_range(PmLeaseRange *range, uint64_t host, uint64_t size, unsigned shift)
{
    __atomic_store_n(&range->host, host, __ATOMIC_RELEASE);
    __atomic_store_n(&range->size, size, __ATOMIC_RELEASE);
    __atomic_store_n(&range->granularity_shift, shift, __ATOMIC_RELEASE);
    for (uint64_t i = 0; i < n_allocated(range->lines_shift); i++) {
        __atomic_store_n(&range->blocks[i].last_use, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&range->blocks[i].word, 0, __ATOMIC_RELEASE);
    }
}

/* The last range that begins at or before @host. */
static PmLeaseRange *range_before(const PmLeaseTable *table, uint64_t host)
{
    return pm_lease_index_find(&table->index, pm_lease_index_version(&table->index), host);
}

PmLeaseRange *pm_lease_table_find(const PmLeaseTable *table, const void *host)
{
    PmLeaseRange *range = range_before(table, (uintptr_t)host);

    return range != NULL && (uintptr_t)host - range->host < range->size ? range : NULL;
}

static bool check_free(const PmLeaseTable *table, uint64_t host, uint64_t size, GError **error)
{
    PmLeaseRange *range = range_before(table, host + (size - 1));

    if (range == NULL || range->host + (range->size - 1) < host)
        return true;
    return pm_fail(error, PM_ERROR_OVERLAP,
                   "0x%" PRIx64 " bytes at host address 0x%" PRIx64
                   " overlap the buffers of 0x%" PRIx64 " bytes at 0x%" PRIx64
                   ": remove those first",
                   size, host, range->size, range->host);
}

static bool add(PmLeaseTable *table, PmLeaseRange *range, uint64_t host, uint64_t size,
                unsigned shift)
{
    set_range(range, host, size, shift);
    if (pm_lease_index_insert(&table->index, host, range))
        return true;
    return_range(table, range);
    return false;
}

static bool check_n_blocks(uint64_t size, uint64_t granularity, uint64_t n_blocks, GError **error)
{
    g_autofree char *blocks_text = NULL;

    if (n_blocks <= MAX_BLOCKS)
        return true;
    blocks_text = pm_count_text(n_blocks);
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "0x%" PRIx64 " bytes are %s blocks of 0x%" PRIx64
                   ": must be at most 2^31, so use larger ones",
                   size, blocks_text, granularity);
}

static PmLeaseRange *fail_memory(uint64_t host, uint64_t size, uint64_t n_blocks, GError **error)
{
    g_autofree char *blocks_text = pm_counted(n_blocks, "block");

    (void)pm_fail(error, PM_ERROR_MEMORY,
                  "cannot allocate the leases of 0x%" PRIx64 " bytes at host address 0x%" PRIx64
                  ", which have %s: use larger ones, or fewer buffers",
                  size, host, blocks_text);
    return NULL;
}

PmLeaseRange *pm_lease_table_add(PmLeaseTable *table, const void *memory, uint64_t size,
                                 uint64_t granularity, GError **error)
{
    uint64_t host = (uintptr_t)memory;
    unsigned shift = shift_of(granularity);
    uint64_t n_blocks = ((size - 1) >> shift) + 1;
    PmLeaseRange *range;

    if (!check_n_blocks(size, granularity, n_blocks, error) ||
        !check_free(table, host, size, error))
        return NULL;
    range = take_range(table, lines_shift_of(n_blocks));
    if (range != NULL && add(table, range, host, size, shift))
        return range;
    return fail_memory(host, size, n_blocks, error);
}

void pm_lease_table_remove(PmLeaseTable *table, PmLeaseRange *range)
{
    pm_lease_index_remove(&table->index, range->host);
    return_range(table, range);
}

uint32_t pm_lease_table_advance(PmLeaseTable *table)
{
    return __atomic_add_fetch(&table->epoch, 1, __ATOMIC_RELAXED);
}
