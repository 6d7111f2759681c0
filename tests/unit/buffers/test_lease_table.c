/* SPDX-License-Identifier: MIT */
/* Ranges of a lease table: added, found and removed. */
#include "lease_util.h"

#include <plugmap/error.h>

#include "util/allocation_util.h"

static void assert_refused(const World *world, uint64_t host, uint64_t size, uint64_t granularity,
                           PmError code)
{
    GError *error = NULL;

    assert_null(pm_lease_table_add(world->table, pointer(host), size, granularity, &error));
    assert_non_null(error);
    assert_int_equal(error->code, code);
    g_error_free(error);
}

static void memory_outside_of_ranges_is_unknown(void **state)
{
    assert_int_equal(try_lease(*state, HOST - 1, 1), PM_LEASE_UNKNOWN);
    assert_int_equal(try_lease(*state, HOST + SIZE, 1), PM_LEASE_UNKNOWN);
    assert_int_equal(try_lease(*state, 0, 1), PM_LEASE_UNKNOWN);
    assert_int_equal(try_lease(*state, UINT64_MAX, 1), PM_LEASE_UNKNOWN);
}

static void nothing_is_known_to_an_empty_table(void **state)
{
    PmLeaseTable *table = pm_lease_table_new(false);
    PmLease held;

    (void)state;
    assert_int_equal(pm_lease_acquire(table, &held, pointer(HOST), 1, NULL), PM_LEASE_UNKNOWN);
    assert_null(pm_lease_table_find(table, pointer(HOST)));
    pm_lease_table_free(table);
    pm_lease_table_free(NULL);
}

static void blocks_of_a_new_range_are_discarded(void **state)
{
    assert_int_equal(try_lease(*state, HOST, 1), PM_LEASE_DISCARDED);
    assert_int_equal(try_lease(*state, HOST + SIZE - 1, 1), PM_LEASE_DISCARDED);
}

static void find_returns_the_range_that_contains_the_address(void **state)
{
    const World *world = *state;
    PmLeaseRange *other = add(world->table, HOST + 2 * SIZE, 4096, 0);

    assert_ptr_equal(pm_lease_table_find(world->table, pointer(HOST)), world->range);
    assert_ptr_equal(pm_lease_table_find(world->table, pointer(HOST + SIZE - 1)), world->range);
    assert_null(pm_lease_table_find(world->table, pointer(HOST - 1)));
    assert_null(pm_lease_table_find(world->table, pointer(HOST + SIZE)));
    assert_ptr_equal(pm_lease_table_find(world->table, pointer(HOST + 2 * SIZE)), other);
}

static void ranges_do_not_overlap(void **state)
{
    assert_refused(*state, HOST, SIZE, MIB, PM_ERROR_OVERLAP);
    assert_refused(*state, HOST - 1, 2, 0, PM_ERROR_OVERLAP);
    assert_refused(*state, HOST + SIZE - 1, 2, 0, PM_ERROR_OVERLAP);
    assert_refused(*state, HOST + 100, 1, 0, PM_ERROR_OVERLAP);
    assert_refused(*state, HOST - 1, SIZE + 2, 0, PM_ERROR_OVERLAP);
}

static void ranges_can_be_adjacent(void **state)
{
    const World *world = *state;

    (void)add(world->table, HOST - 5, 5, 0);
    (void)add(world->table, HOST + SIZE, 7, 0);
}

static void a_range_can_end_at_the_last_address(void **state)
{
    const World *world = *state;
    PmLeaseRange *range = add(world->table, UINT64_MAX - MIB + 1, MIB, 4096);

    pm_lease_range_open(range, 0, MIB, ADDRESS);
    assert_int_equal(try_lease(world, UINT64_MAX, 1), PM_LEASE_GRANTED);
    assert_int_equal(try_lease(world, UINT64_MAX, 2), PM_LEASE_UNKNOWN);
    assert_refused(world, UINT64_MAX, 1, 0, PM_ERROR_OVERLAP);
}

static void more_than_2_to_the_31_blocks_are_refused(void **state)
{
    assert_refused(*state, 0, (UINT64_C(1) << 31) + 1, 1, PM_ERROR_INVALID_ARGUMENT);
}

static void a_removed_range_is_unknown(void **state)
{
    const World *world = *state;

    open_blocks(world, 0, N_BLOCKS);
    assert_true(close_blocks(world, 0, N_BLOCKS));
    pm_lease_table_remove(world->table, world->range);
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_UNKNOWN);
    assert_null(pm_lease_table_find(world->table, pointer(HOST)));
}

static void a_range_added_again_has_nothing_of_the_removed_one(void **state)
{
    World *world = *state;

    open_blocks(world, 0, N_BLOCKS);
    assert_int_equal(try_lease(world, HOST, SIZE), PM_LEASE_GRANTED);
    assert_true(close_blocks(world, 0, N_BLOCKS));
    pm_lease_table_remove(world->table, world->range);
    world->range = add(world->table, HOST, SIZE, MIB);
    assert_int_equal(try_lease(world, HOST, 1), PM_LEASE_DISCARDED);
    assert_int_equal(pm_lease_range_last_use(world->range, 0, SIZE), 0);
}

#define N_RANGES 100

/* Added and removed in an order that is neither ascending nor descending. */
static void each_of_many_ranges_is_found(void **state)
{
    const World *world = *state;
    PmLeaseRange *ranges[N_RANGES];

    for (uint64_t i = 0; i < N_RANGES; i++) {
        uint64_t at = i * 37 % N_RANGES;

        ranges[at] = add(world->table, at * 4096, 4096, 0);
    }
    for (uint64_t i = 0; i < N_RANGES; i++) {
        assert_ptr_equal(pm_lease_table_find(world->table, pointer(i * 4096)), ranges[i]);
        assert_ptr_equal(pm_lease_table_find(world->table, pointer(i * 4096 + 4095)), ranges[i]);
    }
    for (uint64_t i = 0; i < N_RANGES; i++) {
        uint64_t at = i * 73 % N_RANGES;

        pm_lease_table_remove(world->table, ranges[at]);
        assert_null(pm_lease_table_find(world->table, pointer(at * 4096)));
    }
    assert_ptr_equal(pm_lease_table_find(world->table, pointer(HOST)), world->range);
}

static void without_memory_nothing_is_added(void **state)
{
    const World *world = *state;

    allocations_end_after(0);
    assert_refused(world, 0, MIB, 4096, PM_ERROR_MEMORY);
    allocations_go_on();
    assert_null(pm_lease_table_find(world->table, pointer(0)));
}

/* The index has room for 8 ranges at first. */
static void without_memory_for_the_index_nothing_is_added(void **state)
{
    const World *world = *state;

    for (uint64_t i = 0; i < 7; i++)
        (void)add(world->table, i * 4096, 4096, 0);
    allocations_end_after(1);
    assert_refused(world, 7 * UINT64_C(4096), 4096, 0, PM_ERROR_MEMORY);
    allocations_go_on();
    assert_null(pm_lease_table_find(world->table, pointer(7 * UINT64_C(4096))));
    (void)add(world->table, 7 * UINT64_C(4096), 4096, 0);
    assert_non_null(pm_lease_table_find(world->table, pointer(HOST)));
    assert_non_null(pm_lease_table_find(world->table, pointer(0)));
}

/* From 1 to 2^16 blocks. */
static void add_and_remove(PmLeaseTable *table)
{
    PmLeaseRange *ranges[17];

    for (uint64_t i = 0; i < G_N_ELEMENTS(ranges); i++)
        ranges[i] = add(table, i * MIB, UINT64_C(1) << i, 1);
    for (uint64_t i = 0; i < G_N_ELEMENTS(ranges); i++)
        pm_lease_table_remove(table, ranges[i]);
}

static void adding_and_removing_again_and_again_needs_no_more_memory(void **state)
{
    const World *world = *state;

    add_and_remove(world->table);
    add_and_remove(world->table);
    allocations_end_after(0);
    for (unsigned i = 0; i < 10; i++)
        add_and_remove(world->table);
    allocations_go_on();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_outside_of_ranges_is_unknown),
        TEST(nothing_is_known_to_an_empty_table),
        TEST(blocks_of_a_new_range_are_discarded),
        TEST(find_returns_the_range_that_contains_the_address),
        TEST(ranges_do_not_overlap),
        TEST(ranges_can_be_adjacent),
        TEST(a_range_can_end_at_the_last_address),
        TEST(more_than_2_to_the_31_blocks_are_refused),
        TEST(a_removed_range_is_unknown),
        TEST(a_range_added_again_has_nothing_of_the_removed_one),
        TEST(each_of_many_ranges_is_found),
        TEST(without_memory_nothing_is_added),
        TEST(without_memory_for_the_index_nothing_is_added),
        TEST(adding_and_removing_again_and_again_needs_no_more_memory),
    };

    return cmocka_run_group_tests_name("lease_table", tests, NULL, NULL);
}
