/* SPDX-License-Identifier: MIT */
/* Holding: as a lease, but also where there is no I/O address. */
#include "lease_util.h"

static PmLeaseResult try_hold(const World *world, uint64_t host, uint64_t size)
{
    PmLease held;
    PmLeaseResult result = pm_lease_hold(world->table, &held, pointer(host), size, NULL);

    if (result == PM_LEASE_GRANTED)
        pm_lease_release(&held);
    return result;
}

static void hold(const World *world, PmLease *held, uint64_t host, uint64_t size)
{
    assert_int_equal(pm_lease_hold(world->table, held, pointer(host), size, NULL),
                     PM_LEASE_GRANTED);
}

static void open_and_unregistered_blocks_can_be_held(void **state)
{
    const World *world = *state;
    PmLease held;

    open_blocks(world, 0, 1);
    pm_lease_range_set_unregistered(world->range, MIB, MIB);
    hold(world, &held, HOST, 2 * MIB);
    assert_int_equal(n_leases(world), 2);
    pm_lease_release(&held);
    assert_int_equal(n_leases(world), 0);
    assert_int_equal(try_hold(world, HOST + MIB, MIB + 1), PM_LEASE_DISCARDED);
    assert_int_equal(try_hold(world, HOST - 1, MIB), PM_LEASE_UNKNOWN);
    assert_int_equal(n_leases(world), 0);
}

static void a_held_block_is_not_closed(void **state)
{
    const World *world = *state;
    PmLease held;

    pm_lease_range_set_unregistered(world->range, 0, MIB);
    hold(world, &held, HOST, 1);
    assert_false(close_blocks(world, 0, 1));
    assert_int_equal(try_hold(world, HOST, 1), PM_LEASE_GRANTED);
    pm_lease_release(&held);
    assert_true(close_blocks(world, 0, 1));
    assert_int_equal(try_hold(world, HOST, 1), PM_LEASE_CLOSED);
}

static void a_closed_block_is_reopened_as_it_was(void **state)
{
    const World *world = *state;

    open_blocks(world, 0, 1);
    pm_lease_range_set_unregistered(world->range, MIB, MIB);
    assert_true(close_blocks(world, 0, 3));
    pm_lease_range_reopen(world->range, 0, 3 * MIB);
    assert_int_equal(try_lease(world, HOST, MIB), PM_LEASE_GRANTED);
    assert_int_equal(try_lease(world, HOST + MIB, MIB), PM_LEASE_UNREGISTERED);
    assert_int_equal(try_hold(world, HOST + MIB, MIB), PM_LEASE_GRANTED);
    assert_int_equal(try_hold(world, HOST + 2 * MIB, MIB), PM_LEASE_DISCARDED);
}

static void a_block_stays_held_when_it_gets_an_address(void **state)
{
    const World *world = *state;
    PmLease held;

    pm_lease_range_set_unregistered(world->range, 0, MIB);
    hold(world, &held, HOST, 1);
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_UNREGISTERED);
    open_blocks(world, 0, 1);
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_GRANTED);
    assert_false(close_blocks(world, 0, 1));
    pm_lease_release(&held);
    assert_int_equal(n_leases(world), 0);
    assert_true(close_blocks(world, 0, 1));
}

static void a_closed_block_that_is_unregistered_stays_closed(void **state)
{
    const World *world = *state;

    open_blocks(world, 0, 2);
    assert_true(close_blocks(world, 0, 2));
    pm_lease_range_set_unregistered(world->range, 0, 2 * MIB);
    assert_int_equal(try_hold(world, HOST, 1), PM_LEASE_CLOSED);
    pm_lease_range_set_discarded(world->range, 0, MIB);
    pm_lease_range_reopen(world->range, 0, 2 * MIB);
    assert_int_equal(try_hold(world, HOST, 1), PM_LEASE_DISCARDED);
    assert_int_equal(try_lease(world, HOST + MIB, 1), PM_LEASE_UNREGISTERED);
    assert_int_equal(try_hold(world, HOST + MIB, 1), PM_LEASE_GRANTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(open_and_unregistered_blocks_can_be_held),
        TEST(a_held_block_is_not_closed),
        TEST(a_closed_block_is_reopened_as_it_was),
        TEST(a_block_stays_held_when_it_gets_an_address),
        TEST(a_closed_block_that_is_unregistered_stays_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
