/* SPDX-License-Identifier: MIT */
/* Closing blocks: never under a lease; all or nothing; with or without waiting. */
#include "lease_util.h"

#include <pthread.h>
#include <sched.h>

/* So long that it does not end in a test that passes. */
#define LONG_MS 600000

static void blocks_without_leases_are_closed(void **state)
{
    const World *world = *state;

    open_blocks(world, 0, N_BLOCKS);
    assert_true(close_blocks(world, 3, 2));
    assert_int_equal(try_lease(world, HOST + 3 * MIB, MIB), PM_LEASE_CLOSED);
    assert_int_equal(try_lease(world, HOST + 4 * MIB, MIB), PM_LEASE_CLOSED);
    assert_int_equal(try_lease(world, HOST + 2 * MIB, MIB), PM_LEASE_GRANTED);
    assert_int_equal(try_lease(world, HOST + 5 * MIB, MIB), PM_LEASE_GRANTED);
}

static void a_leased_block_is_not_closed(void **state)
{
    const World *world = *state;
    uint64_t n_left = 0;
    PmLease held;

    open_blocks(world, 0, N_BLOCKS);
    lease(world, &held, HOST + 2 * MIB, 2 * MIB);
    assert_false(pm_lease_range_close(world->range, 0, SIZE, 0, &n_left));
    assert_int_equal(n_left, 2);
    assert_false(close_blocks(world, 3, 1));
    assert_true(close_blocks(world, 4, 1));
    pm_lease_release(&held);
    assert_true(close_blocks(world, 3, 1));
}

static void a_failed_close_leaves_all_open_as_they_were(void **state)
{
    const World *world = *state;
    PmLeaseRun run;
    PmLease held;

    open_blocks(world, 0, 3);
    pm_lease_range_set_unregistered(world->range, 3 * MIB, MIB);
    lease(world, &held, HOST + 2 * MIB, 1);
    assert_false(close_blocks(world, 0, N_BLOCKS));
    assert_int_equal(try_lease(world, HOST, 3 * MIB), PM_LEASE_GRANTED);
    assert_int_equal(try_lease(world, HOST + 3 * MIB, MIB), PM_LEASE_UNREGISTERED);
    assert_int_equal(try_lease(world, HOST + 4 * MIB, MIB), PM_LEASE_DISCARDED);
    assert_true(pm_lease_next(&held, 0, &run));
    assert_int_equal(run.address, ADDRESS + 2 * MIB);
    pm_lease_release(&held);
    assert_int_equal(n_leases(world), 0);
}

static void reopened_blocks_have_their_addresses(void **state)
{
    const World *world = *state;
    PmLeaseRun run;
    PmLease held;

    open_blocks(world, 0, 4);
    assert_true(close_blocks(world, 1, 2));
    pm_lease_range_reopen(world->range, 0, SIZE);
    lease(world, &held, HOST, 4 * MIB);
    assert_true(pm_lease_next(&held, 0, &run));
    assert_int_equal(run.address, ADDRESS);
    assert_int_equal(run.size, 4 * MIB);
    pm_lease_release(&held);
}

static void blocks_are_reopened_as_they_were_before(void **state)
{
    const World *world = *state;

    open_blocks(world, 1, 1);
    pm_lease_range_set_unregistered(world->range, 2 * MIB, MIB);
    assert_true(close_blocks(world, 0, 3));
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_DISCARDED);
    assert_int_equal(try_lease(world, HOST + 2 * MIB, 1), PM_LEASE_CLOSED);
    pm_lease_range_reopen(world->range, 0, 3 * MIB);
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_DISCARDED);
    assert_int_equal(try_lease(world, HOST + MIB, 1), PM_LEASE_GRANTED);
    assert_int_equal(try_lease(world, HOST + 2 * MIB, 1), PM_LEASE_UNREGISTERED);
}

static void closed_blocks_open_at_other_addresses(void **state)
{
    const World *world = *state;
    PmLeaseRun run;
    PmLease held;

    open_blocks(world, 0, 2);
    assert_true(close_blocks(world, 0, 2));
    pm_lease_range_open(world->range, MIB, MIB, 0x1000);
    lease(world, &held, HOST + MIB, MIB);
    assert_true(pm_lease_next(&held, 0, &run));
    assert_int_equal(run.address, 0x1000);
    pm_lease_release(&held);
}

/* --- waiting --- */

static void a_lease_that_is_not_released_in_time_prevents_closing(void **state)
{
    const World *world = *state;
    uint64_t n_left = 0;
    PmLease held;

    open_blocks(world, 0, 2);
    lease(world, &held, HOST, 1);
    assert_false(pm_lease_range_close(world->range, 0, 2 * MIB, 1, &n_left));
    assert_int_equal(n_left, 1);
    assert_int_equal(try_lease(world, HOST, 2 * MIB), PM_LEASE_GRANTED);
    pm_lease_release(&held);
}

static void without_leases_there_is_nothing_to_wait_for(void **state)
{
    const World *world = *state;

    open_blocks(world, 0, N_BLOCKS);
    assert_true(pm_lease_range_close(world->range, 0, SIZE, LONG_MS, NULL));
}

typedef struct {
    const World *world;
    const PmLease *leases;
    unsigned n_leases;
} Releaser;

/* Only once nobody gets a lease any more, so the other thread is about to wait, or waits. */
static void *release_when_closing(void *user_data)
{
    const Releaser *releaser = user_data;

    while (try_lease(releaser->world, HOST, 1) != PM_LEASE_CLOSED)
        sched_yield();
    for (unsigned i = 0; i < releaser->n_leases; i++)
        pm_lease_release(&releaser->leases[i]);
    return NULL;
}

static void close_waits_until_the_last_lease_is_released(void **state)
{
    const World *world = *state;
    PmLease held[3];
    Releaser releaser = {world, held, G_N_ELEMENTS(held)};
    pthread_t thread;

    open_blocks(world, 0, 3);
    lease(world, &held[0], HOST, 1);
    lease(world, &held[1], HOST, 3 * MIB);
    lease(world, &held[2], HOST + MIB, 1);
    assert_int_equal(pthread_create(&thread, NULL, release_when_closing, &releaser), 0);
    assert_true(pm_lease_range_close(world->range, 0, 3 * MIB, LONG_MS, NULL));
    assert_int_equal(n_leases(world), 0);
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_CLOSED);
    pthread_join(thread, NULL);
}

static void the_lease_of_another_block_does_not_keep_close_waiting(void **state)
{
    const World *world = *state;
    PmLease held;

    open_blocks(world, 0, 2);
    lease(world, &held, HOST, 1);
    assert_true(pm_lease_range_close(world->range, MIB, MIB, LONG_MS, NULL));
    pm_lease_release(&held);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocks_without_leases_are_closed),
        TEST(a_leased_block_is_not_closed),
        TEST(a_failed_close_leaves_all_open_as_they_were),
        TEST(reopened_blocks_have_their_addresses),
        TEST(blocks_are_reopened_as_they_were_before),
        TEST(closed_blocks_open_at_other_addresses),
        TEST(a_lease_that_is_not_released_in_time_prevents_closing),
        TEST(without_leases_there_is_nothing_to_wait_for),
        TEST(close_waits_until_the_last_lease_is_released),
        TEST(the_lease_of_another_block_does_not_keep_close_waiting),
    };

    return cmocka_run_group_tests_name("lease_close", tests, NULL, NULL);
}
