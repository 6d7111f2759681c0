/* SPDX-License-Identifier: MIT */
/* Threads lease buffers at random while another one closes, maps and replaces what is under them.
 * A lease must have the addresses that its blocks are mapped at, for as long as it is held. */
#include "lease_util.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "util/random_util.h"

#define PAGE         UINT64_C(4096)
#define N_PAGES      16
#define N_IO_THREADS 2
#define WAIT_MS      1000

/* Ranges at the same addresses, that use the same memory of the table one after the other. */
static const struct {
    uint64_t first; /* page */
    uint64_t n_pages;
} shapes[] = {{0, 16}, {1, 15}, {0, 12}, {4, 12}};

static struct {
    PmLeaseTable *table;
    PmLeaseRange *range;
    uint64_t first;
    uint64_t n_pages;
    uint64_t next_address;
    GRand *random;
    guint32 seed; /* of the I/O threads */

    /* The I/O address of each page, or 0. Not atomic: the leases order the accesses, which the
     * thread sanitizer checks. */
    volatile uint64_t mapped[N_PAGES];
    bool is_open[N_PAGES];

    atomic_bool is_over;
    atomic_uint n_rounds[N_IO_THREADS];
    atomic_uint n_granted;
    atomic_uint n_wrong;
} world;

/* --- I/O threads --- */

static void check_byte(const PmLease *held, uint64_t offset, uint64_t address)
{
    uint64_t host = held->host + offset - HOST;

    if (world.mapped[host / PAGE] + host % PAGE != address)
        atomic_fetch_add(&world.n_wrong, 1);
}

/* The first and the last byte of each run, and every byte that is a page after the first. */
static void check_lease(const PmLease *held)
{
    PmLeaseRun run;

    for (uint64_t offset = 0; pm_lease_next(held, offset, &run); offset += run.size) {
        for (uint64_t i = 0; i < run.size; i += PAGE)
            check_byte(held, offset + i, run.address + i);
        check_byte(held, offset + run.size - 1, run.address + run.size - 1);
    }
}

static void do_request(GRand *random)
{
    uint64_t host = HOST + (uint64_t)g_rand_int_range(random, 0, N_PAGES * PAGE);
    uint64_t size = (uint64_t)g_rand_int_range(random, 1, 3 * PAGE);
    PmLease held;

    if (pm_lease_acquire(world.table, &held, pointer(host), size, NULL) != PM_LEASE_GRANTED)
        return;
    check_lease(&held);
    if (g_rand_int_range(random, 0, 8) == 0)
        sched_yield();
    check_lease(&held);
    pm_lease_release(&held);
    atomic_fetch_add_explicit(&world.n_granted, 1, memory_order_relaxed);
}

static void *do_io(void *user_data)
{
    unsigned index = *(const unsigned *)user_data;
    GRand *random = g_rand_new_with_seed(world.seed + index);

    while (!atomic_load(&world.is_over)) {
        do_request(random);
        atomic_fetch_add(&world.n_rounds[index], 1);
    }
    g_rand_free(random);
    return NULL;
}

/* --- the control thread --- */

static uint64_t any(uint64_t end)
{
    return (uint64_t)g_rand_int_range(world.random, 0, (gint32)end);
}

/* Pages of the range that are not open get new addresses. */
static void map_pages(uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        if (world.is_open[world.first + i])
            continue;
        world.mapped[world.first + i] = world.next_address;
        pm_lease_range_open(world.range, i * PAGE, PAGE, world.next_address);
        world.is_open[world.first + i] = true;
        world.next_address += PAGE * (1 + any(2));
    }
}

static void unmap_pages(uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        world.mapped[world.first + i] = 0;
        world.is_open[world.first + i] = false;
    }
}

static bool close_pages(uint64_t first, uint64_t end, unsigned wait_ms)
{
    return pm_lease_range_close(world.range, first * PAGE, (end - first) * PAGE, wait_ms, NULL);
}

static void unmap_some(uint64_t first, uint64_t end, unsigned wait_ms)
{
    if (!close_pages(first, end, wait_ms))
        return;
    unmap_pages(first, end);
    if (any(2) == 0)
        pm_lease_range_set_unregistered(world.range, first * PAGE, (end - first) * PAGE);
    else
        pm_lease_range_set_discarded(world.range, first * PAGE, (end - first) * PAGE);
    pm_lease_range_reopen(world.range, first * PAGE, (end - first) * PAGE);
}

static void cancel_some(uint64_t first, uint64_t end)
{
    if (close_pages(first, end, 0))
        pm_lease_range_reopen(world.range, first * PAGE, (end - first) * PAGE);
}

static void add_shape(unsigned shape)
{
    world.first = shapes[shape].first;
    world.n_pages = shapes[shape].n_pages;
    world.range = add(world.table, HOST + world.first * PAGE, world.n_pages * PAGE, PAGE);
    map_pages(0, world.n_pages);
}

/* Whoever has done two rounds since has released what it had leased before. */
static bool all_went_on(const unsigned *n_before)
{
    for (unsigned i = 0; i < N_IO_THREADS; i++)
        if (atomic_load(&world.n_rounds[i]) - n_before[i] < 2)
            return false;
    return true;
}

static bool close_all(void)
{
    unsigned n_before[N_IO_THREADS];

    do {
        for (unsigned i = 0; i < N_IO_THREADS; i++)
            n_before[i] = atomic_load(&world.n_rounds[i]);
        if (close_pages(0, world.n_pages, WAIT_MS))
            return true;
    } while (!all_went_on(n_before));
    return false;
}

static void replace(void)
{
    assert_true(close_all());
    unmap_pages(0, world.n_pages);
    pm_lease_table_remove(world.table, world.range);
    add_shape((unsigned)any(G_N_ELEMENTS(shapes)));
}

static void step(void)
{
    uint64_t first = any(world.n_pages);
    uint64_t end = first + 1 + any(world.n_pages - first);

    switch (any(8)) {
    case 0:
        replace();
        break;
    case 1:
        unmap_some(first, end, 1);
        break;
    case 2:
        cancel_some(first, end);
        break;
    case 3:
    case 4:
        unmap_some(first, end, 0);
        break;
    default:
        map_pages(first, end);
    }
}

static void set_up(void)
{
    world.table = pm_lease_table_new(false);
    world.random = random_new("lease_threads");
    world.seed = g_rand_int(world.random);
    world.next_address = PAGE;
    add_shape(0);
}

static void tear_down(void)
{
    pm_lease_table_free(world.table);
    g_rand_free(world.random);
}

static void a_leased_buffer_stays_where_it_is_whatever_else_happens(void **state)
{
    unsigned n_steps = random_steps(50000);
    unsigned indexes[N_IO_THREADS];
    pthread_t threads[N_IO_THREADS];

    (void)state;
    set_up();
    for (unsigned i = 0; i < N_IO_THREADS; i++) {
        indexes[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, do_io, &indexes[i]), 0);
    }
    /* As many changes as leases, whichever thread runs more often. */
    for (unsigned i = 0; i < n_steps || atomic_load(&world.n_granted) < n_steps; i++) {
        step();
        if (any(4) == 0)
            sched_yield();
    }
    atomic_store(&world.is_over, true);
    for (unsigned i = 0; i < N_IO_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&world.n_wrong), 0);
    assert_int_equal(pm_lease_range_n_leases(world.range, 0, world.n_pages * PAGE), 0);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leased_buffer_stays_where_it_is_whatever_else_happens),
    };

    return cmocka_run_group_tests_name("lease_threads", tests, NULL, NULL);
}
