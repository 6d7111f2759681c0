/* SPDX-License-Identifier: MIT */
/*
 * Cost of leases: processor time to lease, translate and release a buffer, compared with the two
 * atomic instructions that a lease cannot do without; and of two threads that lease adjacent
 * blocks, compared with one.
 *
 * buffers: exits 1 if a ratio exceeds its target.
 * buffers --idle: on an idle machine, with optimization: exits 1 if a time in nanoseconds exceeds
 * its target, too.
 */
#include <pthread.h>
#include <string.h>

#include "bench_util.h"
#include "buffers/lease_table.h"

#define BLOCK    (2 * PM_MIB)
#define HOST     (UINT64_C(1) << 40)
#define N_BLOCKS 100000
#define N_RANGES 10000

#define N_ROUNDS   200000
#define N_ATTEMPTS 9

/* How many atomic pairs a lease may cost, without optimization as well, and how much more a second
 * thread may make it cost. */
#define MAX_PAIRS   10
#define MAX_SHARING 1.5

#define MAX_LEASE_NS     20
#define MAX_TRANSLATE_NS 50
#define MIN_SPEEDUP      1.8

typedef struct {
    PmLeaseTable *table;
    uint64_t n_blocks; /* leased in turn, in an order that caches do not predict; or 1 */
    uint64_t first;
    bool translate;
    double ns; /* per round, the least of all attempts */
} Work;

static void lease_once(const Work *work, uint64_t block)
{
    const void *host = (const void *)(uintptr_t)(HOST + block * BLOCK + 512);
    PmLeaseRun run = {0};
    PmLease lease;

    if (pm_lease_acquire(work->table, &lease, host, 4096, NULL) != PM_LEASE_GRANTED ||
        (work->translate && (!pm_lease_next(&lease, 0, &run) || run.size != 4096)))
        bench_die("a lease", NULL);
    pm_lease_release(&lease);
}

static void *lease_in_turn(void *user_data)
{
    Work *work = user_data;

    for (unsigned attempt = 0; attempt < N_ATTEMPTS; attempt++) {
        double begin = bench_thread_ns();
        double ns;

        for (uint64_t i = 0; i < N_ROUNDS; i++)
            lease_once(work, work->first + i * 7919 % work->n_blocks);
        ns = (bench_thread_ns() - begin) / N_ROUNDS;
        work->ns = work->ns == 0 ? ns : MIN(work->ns, ns);
    }
    return NULL;
}

/* What a lease cannot do without: a count is increased, and decreased again. */
static double atomic_pair_ns(void)
{
    static uint32_t word;
    double least = 0;

    for (unsigned attempt = 0; attempt < N_ATTEMPTS; attempt++) {
        double begin = bench_thread_ns();
        double ns;

        for (uint64_t i = 0; i < N_ROUNDS; i++) {
            (void)__atomic_fetch_add(&word, 1, __ATOMIC_ACQUIRE);
            (void)__atomic_fetch_sub(&word, 1, __ATOMIC_RELEASE);
        }
        ns = (bench_thread_ns() - begin) / N_ROUNDS;
        least = least == 0 ? ns : MIN(least, ns);
    }
    return least;
}

static void open_range(PmLeaseTable *table, uint64_t first, uint64_t n_blocks)
{
    g_autoptr(GError) error = NULL;
    const void *host = (const void *)(uintptr_t)(HOST + first * BLOCK);
    PmLeaseRange *range = pm_lease_table_add(table, host, n_blocks * BLOCK, BLOCK, &error);

    if (range == NULL)
        bench_die("a range", error);
    for (uint64_t i = 0; i < n_blocks; i++)
        pm_lease_range_open(range, i * BLOCK, BLOCK, (first + i) * BLOCK);
}

static void drop_range(PmLeaseTable *table, uint64_t first, uint64_t n_blocks)
{
    PmLeaseRange *range =
        pm_lease_table_find(table, (const void *)(uintptr_t)(HOST + first * BLOCK));

    if (!pm_lease_range_close(range, 0, n_blocks * BLOCK, 0, NULL))
        bench_die("a range that is not leased any more", NULL);
    pm_lease_table_remove(table, range);
}

/* @n_ranges of so many blocks that there are @n_blocks. */
static double random_ns(uint64_t n_ranges, uint64_t n_blocks, bool translate)
{
    Work work = {pm_lease_table_new(false), n_blocks, 0, translate, 0};
    uint64_t n_each = n_blocks / n_ranges;

    for (uint64_t i = 0; i < n_ranges; i++)
        open_range(work.table, i * n_each, n_each);
    (void)lease_in_turn(&work);
    for (uint64_t i = 0; i < n_ranges; i++)
        drop_range(work.table, i * n_each, n_each);
    pm_lease_table_free(work.table);
    return work.ns;
}

/* Processor time per lease of one of two threads that lease adjacent blocks. */
static double two_threads_ns(void)
{
    PmLeaseTable *table = pm_lease_table_new(false);
    Work works[2] = {{table, 1, 0, false, 0}, {table, 1, 1, false, 0}};
    pthread_t threads[2];

    open_range(table, 0, N_BLOCKS);
    for (unsigned i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, lease_in_turn, &works[i]) != 0)
            bench_die("a thread", NULL);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    drop_range(table, 0, N_BLOCKS);
    pm_lease_table_free(table);
    return MAX(works[0].ns, works[1].ns);
}

static void add_value(JsonBuilder *json, const char *name, double value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_double_value(json, value);
}

int main(int argc, char **argv)
{
    bool idle = argc > 1 && strcmp(argv[1], "--idle") == 0;
    double pair = atomic_pair_ns();
    double one = random_ns(1, 1, false);
    double two = two_threads_ns();
    double blocks = random_ns(1, N_BLOCKS, false);
    double translated = random_ns(1, N_BLOCKS, true);
    double ranges = random_ns(N_RANGES, N_RANGES, true);
    g_autoptr(JsonBuilder) json = json_builder_new();
    bool met = bench_check("a lease, in atomic pairs", one / pair, MAX_PAIRS);

    json_builder_begin_object(json);
    add_value(json, "atomic_pair_ns", pair);
    add_value(json, "lease_ns", one);
    add_value(json, "lease_two_threads_ns", two);
    add_value(json, "two_threads_speedup", 2 * one / two);
    add_value(json, "lease_100000_blocks_ns", blocks);
    add_value(json, "translate_100000_blocks_ns", MAX(translated - blocks, 0));
    add_value(json, "lease_and_translate_100000_blocks_ns", translated);
    add_value(json, "lease_and_translate_10000_ranges_ns", ranges);
    json_builder_end_object(json);
    bench_print_json(json);
    met &= bench_check("a lease next to another thread's", two / one, MAX_SHARING);
    if (idle) {
        met &= bench_check("a lease, ns", one, MAX_LEASE_NS);
        met &= bench_check("lease and translate, ns", translated, MAX_TRANSLATE_NS);
        met &= bench_check("slowdown of two threads", two / one, 2 / MIN_SPEEDUP);
    }
    return met ? 0 : 1;
}
