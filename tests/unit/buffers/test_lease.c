/* SPDX-License-Identifier: MIT */
/* Leases of buffers in one thread. */
#include "lease_util.h"

static void assert_run(const PmLease *held, uint64_t offset, uint64_t address, uint64_t size)
{
    PmLeaseRun run;

    assert_true(pm_lease_next(held, offset, &run));
    assert_int_equal(run.address, address);
    assert_int_equal(run.size, size);
}

static void assert_result(const World *world, uint64_t host, uint64_t size, PmLeaseResult expected,
                          uint64_t expected_at)
{
    uint64_t failed_at = UINT64_MAX;
    PmLease held;

    assert_int_equal(pm_lease_acquire(world->table, &held, pointer(host), size, &failed_at),
                     expected);
    assert_int_equal(failed_at, expected_at);
    assert_int_equal(n_leases(world), 0);
}

/* --- granted --- */

static void a_buffer_in_an_open_block_has_its_address(void **state)
{
    const World *world = *state;
    PmLease held;

    open_blocks(world, 3, 1);
    lease(world, &held, HOST + 3 * MIB + 100, 200);
    assert_run(&held, 0, ADDRESS + 3 * MIB + 100, 200);
    assert_run(&held, 199, ADDRESS + 3 * MIB + 299, 1);
    pm_lease_release(&held);
}

static void each_touched_block_has_a_lease_until_it_is_released(void **state)
{
    const World *world = *state;
    PmLease held;

    open_blocks(world, 0, N_BLOCKS);
    lease(world, &held, HOST + 2 * MIB - 1, MIB + 2);
    assert_int_equal(pm_lease_range_n_leases(world->range, 0, MIB), 0);
    assert_int_equal(pm_lease_range_n_leases(world->range, MIB, MIB), 1);
    assert_int_equal(pm_lease_range_n_leases(world->range, 2 * MIB, MIB), 1);
    assert_int_equal(pm_lease_range_n_leases(world->range, 3 * MIB, MIB), 1);
    assert_int_equal(n_leases(world), 3);
    pm_lease_release(&held);
    assert_int_equal(n_leases(world), 0);
}

static void a_buffer_can_be_leased_several_times(void **state)
{
    const World *world = *state;
    PmLease one;
    PmLease other;

    open_blocks(world, 0, 1);
    lease(world, &one, HOST, MIB);
    lease(world, &other, HOST, MIB);
    assert_int_equal(n_leases(world), 2);
    pm_lease_release(&one);
    assert_int_equal(n_leases(world), 1);
    pm_lease_release(&other);
}

static void an_empty_buffer_leases_nothing(void **state)
{
    const World *world = *state;
    PmLeaseRun run;
    PmLease held;

    open_blocks(world, 0, 1);
    lease(world, &held, HOST, 0);
    assert_int_equal(n_leases(world), 0);
    assert_false(pm_lease_next(&held, 0, &run));
    pm_lease_release(&held);
}

static void a_range_without_granularity_is_one_block(void **state)
{
    const World *world = *state;
    PmLeaseRange *range = add(world->table, 12345, 1000, 0);
    PmLease held;

    pm_lease_range_open(range, 0, 1000, 777);
    lease(world, &held, 12345 + 10, 990);
    assert_run(&held, 0, 787, 990);
    assert_int_equal(pm_lease_range_n_leases(range, 0, 1000), 1);
    pm_lease_release(&held);
}

static void the_last_block_of_a_range_can_be_shorter(void **state)
{
    const World *world = *state;
    PmLeaseRange *range = add(world->table, 0, 4096 + 10, 4096);
    PmLease held;

    pm_lease_range_open(range, 0, 4096 + 10, 777);
    lease(world, &held, 4095, 11);
    assert_run(&held, 0, 777 + 4095, 11);
    pm_lease_release(&held);
    assert_int_equal(try_lease(world, 4095, 12), PM_LEASE_UNKNOWN);
}

/* --- translated --- */

static void contiguous_blocks_are_one_run(void **state)
{
    const World *world = *state;
    PmLeaseRun run;
    PmLease held;

    open_blocks(world, 0, 2);
    open_blocks(world, 2, 1);
    lease(world, &held, HOST + 10, 3 * MIB - 20);
    assert_run(&held, 0, ADDRESS + 10, 3 * MIB - 20);
    assert_run(&held, 2 * MIB, ADDRESS + 2 * MIB + 10, MIB - 20);
    assert_false(pm_lease_next(&held, 3 * MIB - 20, &run));
    pm_lease_release(&held);
}

static void a_run_ends_where_the_addresses_do_not_continue(void **state)
{
    const World *world = *state;
    PmLease held;

    open_blocks(world, 0, 2);
    pm_lease_range_open(world->range, 2 * MIB, MIB, ADDRESS + 3 * MIB);
    lease(world, &held, HOST + MIB, 2 * MIB);
    assert_run(&held, 0, ADDRESS + MIB, MIB);
    assert_run(&held, MIB, ADDRESS + 3 * MIB, MIB);
    pm_lease_release(&held);
}

static void a_run_of_a_table_with_separate_regions_ends_where_they_do(void **state)
{
    World world = {.table = pm_lease_table_new(true)};
    PmLease held;

    (void)state;
    world.range = add(world.table, HOST, SIZE, MIB);
    open_blocks(&world, 0, 2);
    open_blocks(&world, 2, 1);
    lease(&world, &held, HOST + 10, 3 * MIB - 20);
    assert_run(&held, 0, ADDRESS + 10, 2 * MIB - 10);
    assert_run(&held, 2 * MIB - 10, ADDRESS + 2 * MIB, MIB - 10);
    pm_lease_release(&held);
    pm_lease_table_free(world.table);
}

static void a_buffer_can_span_adjacent_ranges(void **state)
{
    const World *world = *state;
    PmLeaseRange *after = add(world->table, HOST + SIZE, 100, 0);
    PmLeaseRange *last = add(world->table, HOST + SIZE + 100, 100, 0);
    PmLease held;

    open_blocks(world, N_BLOCKS - 1, 1);
    pm_lease_range_open(after, 0, 100, ADDRESS + SIZE);
    pm_lease_range_open(last, 0, 100, 5);
    lease(world, &held, HOST + SIZE - 10, 160);
    assert_run(&held, 0, ADDRESS + SIZE - 10, 110);
    assert_run(&held, 110, 5, 50);
    assert_int_equal(pm_lease_range_n_leases(after, 0, 100), 1);
    pm_lease_release(&held);
    assert_int_equal(n_leases(world), 0);
    assert_int_equal(pm_lease_range_n_leases(after, 0, 100), 0);
    assert_int_equal(pm_lease_range_n_leases(last, 0, 100), 0);
}

static void other_ranges_are_added_and_removed_while_a_buffer_is_leased(void **state)
{
    const World *world = *state;
    PmLeaseRange *after = add(world->table, HOST + SIZE, 100, 0);
    PmLease held;

    open_blocks(world, N_BLOCKS - 1, 1);
    pm_lease_range_open(after, 0, 100, 5);
    lease(world, &held, HOST + SIZE - 10, 20);
    for (uint64_t i = 0; i < 50; i++)
        pm_lease_table_remove(world->table, add(world->table, i * 4096, 4096, 0));
    assert_run(&held, 0, ADDRESS + SIZE - 10, 10);
    assert_run(&held, 10, 5, 10);
    pm_lease_release(&held);
    assert_int_equal(pm_lease_range_n_leases(after, 0, 100), 0);
}

/* --- refused --- */

static void a_buffer_that_touches_a_discarded_block_is_not_leased(void **state)
{
    open_blocks(*state, 0, 2);
    assert_result(*state, HOST + 100, 2 * MIB, PM_LEASE_DISCARDED, 2 * MIB - 100);
}

static void a_buffer_that_touches_an_unregistered_block_is_not_leased(void **state)
{
    const World *world = *state;

    open_blocks(world, 0, 2);
    pm_lease_range_set_unregistered(world->range, 2 * MIB, MIB);
    assert_result(world, HOST + 100, 4 * MIB, PM_LEASE_UNREGISTERED, 2 * MIB - 100);
    pm_lease_range_set_discarded(world->range, 2 * MIB, MIB);
    assert_result(world, HOST + 100, 4 * MIB, PM_LEASE_DISCARDED, 2 * MIB - 100);
}

static void a_buffer_that_touches_a_closed_block_is_not_leased(void **state)
{
    open_blocks(*state, 0, 4);
    assert_true(close_blocks(*state, 1, 1));
    assert_result(*state, HOST, 3 * MIB, PM_LEASE_CLOSED, MIB);
}

static void a_buffer_that_ends_outside_of_all_ranges_is_not_leased(void **state)
{
    open_blocks(*state, 0, N_BLOCKS);
    assert_result(*state, HOST + MIB, SIZE, PM_LEASE_UNKNOWN, SIZE - MIB);
}

static void a_buffer_that_begins_outside_of_all_ranges_is_not_leased(void **state)
{
    open_blocks(*state, 0, N_BLOCKS);
    assert_result(*state, HOST - 1, 2, PM_LEASE_UNKNOWN, 0);
}

static void a_buffer_across_ranges_is_leased_as_a_whole_or_not_at_all(void **state)
{
    const World *world = *state;

    (void)add(world->table, HOST + SIZE, 100, 0);
    open_blocks(world, 0, N_BLOCKS);
    assert_result(world, HOST + SIZE - MIB, 2 * MIB, PM_LEASE_DISCARDED, MIB);
}

static void a_block_has_fewer_than_2_to_the_20_leases(void **state)
{
    const World *world = *state;
    const uint64_t most = (1u << 20) - 1;
    PmLease held;

    open_blocks(world, 0, 1);
    for (uint64_t i = 0; i < most; i++)
        lease(world, &held, HOST, 1);
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_FULL);
    assert_int_equal(n_leases(world), most);
    pm_lease_release(&held);
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_GRANTED);
    for (uint64_t i = 1; i < most; i++)
        pm_lease_release(&held);
    assert_int_equal(n_leases(world), 0);
}

/* --- last use --- */

static void a_lease_stamps_its_blocks_with_the_epoch(void **state)
{
    const World *world = *state;

    open_blocks(world, 0, N_BLOCKS);
    assert_int_equal(pm_lease_range_last_use(world->range, 0, SIZE), 0);
    assert_int_equal(try_lease(world, HOST + MIB, MIB), PM_LEASE_GRANTED);
    assert_int_equal(pm_lease_table_advance(world->table), 2);
    assert_int_equal(try_lease(world, HOST + 3 * MIB, MIB), PM_LEASE_GRANTED);
    assert_int_equal(pm_lease_range_last_use(world->range, 0, MIB), 0);
    assert_int_equal(pm_lease_range_last_use(world->range, MIB, MIB), 1);
    assert_int_equal(pm_lease_range_last_use(world->range, 0, 3 * MIB), 1);
    assert_int_equal(pm_lease_range_last_use(world->range, 0, SIZE), 2);
}

static void a_block_keeps_its_last_use_while_it_is_closed(void **state)
{
    const World *world = *state;

    open_blocks(world, 0, 1);
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_GRANTED);
    assert_true(close_blocks(world, 0, 1));
    pm_lease_range_set_unregistered(world->range, 0, MIB);
    assert_int_equal(pm_lease_range_last_use(world->range, 0, MIB), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_buffer_in_an_open_block_has_its_address),
        TEST(each_touched_block_has_a_lease_until_it_is_released),
        TEST(a_buffer_can_be_leased_several_times),
        TEST(an_empty_buffer_leases_nothing),
        TEST(a_range_without_granularity_is_one_block),
        TEST(the_last_block_of_a_range_can_be_shorter),
        TEST(contiguous_blocks_are_one_run),
        TEST(a_run_ends_where_the_addresses_do_not_continue),
        TEST(a_run_of_a_table_with_separate_regions_ends_where_they_do),
        TEST(a_buffer_can_span_adjacent_ranges),
        TEST(other_ranges_are_added_and_removed_while_a_buffer_is_leased),
        TEST(a_buffer_that_touches_a_discarded_block_is_not_leased),
        TEST(a_buffer_that_touches_an_unregistered_block_is_not_leased),
        TEST(a_buffer_that_touches_a_closed_block_is_not_leased),
        TEST(a_buffer_that_ends_outside_of_all_ranges_is_not_leased),
        TEST(a_buffer_that_begins_outside_of_all_ranges_is_not_leased),
        TEST(a_buffer_across_ranges_is_leased_as_a_whole_or_not_at_all),
        TEST(a_block_has_fewer_than_2_to_the_20_leases),
        TEST(a_lease_stamps_its_blocks_with_the_epoch),
        TEST(a_block_keeps_its_last_use_while_it_is_closed),
    };

    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
