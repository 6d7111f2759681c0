/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/size.h>

#include "memory/quarantine.h"

#define BLOCK    (64 * PM_KIB)
#define N_BLOCKS UINT64_C(4096)

static PmQuarantine *make(void)
{
    PmQuarantine *quarantine = pm_quarantine_new(N_BLOCKS * BLOCK, BLOCK);

    assert_non_null(quarantine);
    return quarantine;
}

/* The next run at or after a block is this one, in blocks. */
static void assert_run(const PmQuarantine *quarantine, uint64_t from, uint64_t first,
                       uint64_t n_blocks, const char *expected_listener,
                       const char *expected_reason)
{
    uint64_t offset;
    uint64_t size;
    const char *listener;
    const char *reason;

    assert_true(
        pm_quarantine_next_run(quarantine, from * BLOCK, &offset, &size, &listener, &reason));
    assert_int_equal(offset, first * BLOCK);
    assert_int_equal(size, n_blocks * BLOCK);
    assert_string_equal(listener, expected_listener);
    assert_string_equal(reason, expected_reason);
}

static void assert_no_run(const PmQuarantine *quarantine, uint64_t from)
{
    uint64_t offset = 7;
    uint64_t size = 7;

    assert_false(pm_quarantine_next_run(quarantine, from * BLOCK, &offset, &size, NULL, NULL));
    assert_int_equal(offset, 7);
    assert_int_equal(size, 7);
}

static void new_quarantine_is_empty(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();

    (void)state;
    assert_int_equal(pm_quarantine_n_bytes(quarantine), 0);
    assert_int_equal(pm_quarantine_next(quarantine, BLOCK, 9 * BLOCK), 9 * BLOCK);
    assert_int_equal(pm_quarantine_next_free(quarantine, BLOCK, 9 * BLOCK), BLOCK);
    assert_no_run(quarantine, 0);
    assert_no_run(quarantine, N_BLOCKS);
}

static void runs_are_reported_with_listener_and_reason(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();

    (void)state;
    pm_quarantine_add(quarantine, 4 * BLOCK, 2 * BLOCK, NULL, "a", "no entry left");
    pm_quarantine_add(quarantine, 9 * BLOCK, BLOCK, NULL, "b", "short unmap");
    assert_int_equal(pm_quarantine_n_bytes(quarantine), 3 * BLOCK);
    assert_run(quarantine, 0, 4, 2, "a", "no entry left");
    assert_run(quarantine, 5, 5, 1, "a", "no entry left");
    assert_run(quarantine, 6, 9, 1, "b", "short unmap");
    assert_no_run(quarantine, 10);
    assert_int_equal(pm_quarantine_next(quarantine, 0, 3 * BLOCK), 3 * BLOCK);
    assert_int_equal(pm_quarantine_next(quarantine, 0, N_BLOCKS * BLOCK), 4 * BLOCK);
    assert_int_equal(pm_quarantine_next_free(quarantine, 4 * BLOCK, N_BLOCKS * BLOCK), 6 * BLOCK);
    assert_int_equal(pm_quarantine_next_free(quarantine, 4 * BLOCK, 5 * BLOCK), 5 * BLOCK);
}

static void adjacent_runs_of_different_listeners_are_separate(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();

    (void)state;
    pm_quarantine_add(quarantine, 4 * BLOCK, 2 * BLOCK, NULL, "a", "x");
    pm_quarantine_add(quarantine, 6 * BLOCK, 2 * BLOCK, NULL, "b", "y");
    assert_run(quarantine, 0, 4, 2, "a", "x");
    assert_run(quarantine, 6, 6, 2, "b", "y");
}

static void the_first_of_several_listeners_with_a_block_is_reported(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();

    (void)state;
    pm_quarantine_add(quarantine, 4 * BLOCK, 2 * BLOCK, NULL, "a", "x");
    pm_quarantine_add(quarantine, 2 * BLOCK, 6 * BLOCK, NULL, "b", "y");
    assert_int_equal(pm_quarantine_n_bytes(quarantine), 6 * BLOCK);
    assert_run(quarantine, 0, 2, 2, "b", "y");
    assert_run(quarantine, 4, 4, 2, "a", "x");
    assert_run(quarantine, 6, 6, 2, "b", "y");
    assert_no_run(quarantine, 8);
}

static void clearing_frees_all(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();

    (void)state;
    pm_quarantine_add(quarantine, 0, N_BLOCKS * BLOCK, NULL, "a", "x");
    pm_quarantine_clear(quarantine);
    assert_int_equal(pm_quarantine_n_bytes(quarantine), 0);
    assert_no_run(quarantine, 0);
}

static void removing_blocks_keeps_their_neighbors(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();

    (void)state;
    pm_quarantine_add(quarantine, 2 * BLOCK, 4 * BLOCK, NULL, "a", "x");
    pm_quarantine_remove(quarantine, 3 * BLOCK, BLOCK);
    assert_run(quarantine, 0, 2, 1, "a", "x");
    assert_run(quarantine, 3, 4, 2, "a", "x");
    pm_quarantine_remove(quarantine, 0, N_BLOCKS * BLOCK);
    assert_no_run(quarantine, 0);
    pm_quarantine_add(quarantine, 2 * BLOCK, BLOCK, NULL, "b", "y");
    assert_run(quarantine, 0, 2, 1, "b", "y");
}

/* An empty record does not give its name to later blocks. */
static void record_removed_piece_by_piece_is_freed(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();

    (void)state;
    pm_quarantine_add(quarantine, 2 * BLOCK, 4 * BLOCK, NULL, "a", "x");
    pm_quarantine_remove(quarantine, 3 * BLOCK, BLOCK);
    pm_quarantine_remove(quarantine, 4 * BLOCK, 2 * BLOCK);
    pm_quarantine_remove(quarantine, 2 * BLOCK, BLOCK);
    pm_quarantine_add(quarantine, 3 * BLOCK, BLOCK, NULL, "b", "y");
    assert_run(quarantine, 0, 3, 1, "b", "y");
}

static void record_ends_where_its_last_block_does(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();

    (void)state;
    pm_quarantine_add(quarantine, 2 * BLOCK, 4 * BLOCK, NULL, "a", "x");
    pm_quarantine_remove(quarantine, 2 * BLOCK, BLOCK);
    pm_quarantine_remove(quarantine, 4 * BLOCK, 2 * BLOCK);
    pm_quarantine_add(quarantine, 2 * BLOCK, BLOCK, NULL, "b", "y");
    pm_quarantine_add(quarantine, 4 * BLOCK, BLOCK, NULL, "c", "z");
    assert_run(quarantine, 0, 2, 1, "b", "y");
    assert_run(quarantine, 3, 3, 1, "a", "x");
    assert_run(quarantine, 4, 4, 1, "c", "z");
}

static void removed_records_make_room_for_others(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();
    int a;

    (void)state;
    for (uint64_t i = 0; i < PM_QUARANTINE_MAX_RECORDS; i++)
        pm_quarantine_add(quarantine, 2 * i * BLOCK, 2 * BLOCK, NULL, "a", "x");
    for (uint64_t i = 0; i < UINT64_C(2) * PM_QUARANTINE_MAX_RECORDS; i++)
        pm_quarantine_remove(quarantine, i * BLOCK, BLOCK);
    pm_quarantine_add(quarantine, 7 * BLOCK, BLOCK, &a, "b", "y");
    assert_run(quarantine, 0, 7, 1, "b", "y");
    pm_quarantine_remove_owner(quarantine, &a);
    assert_no_run(quarantine, 0);
}

static void removing_an_owner_keeps_blocks_of_others(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();
    int a;
    int b;

    (void)state;
    pm_quarantine_add(quarantine, 2 * BLOCK, 4 * BLOCK, &a, "a", "x");
    pm_quarantine_add(quarantine, 4 * BLOCK, 4 * BLOCK, &b, "b", "y");
    pm_quarantine_add(quarantine, 9 * BLOCK, BLOCK, &a, "a", "z");
    pm_quarantine_remove_owner(quarantine, &a);
    assert_run(quarantine, 0, 4, 4, "b", "y");
    assert_no_run(quarantine, 8);
}

static void disowned_blocks_stay_when_their_owner_is_removed(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();
    int a;

    (void)state;
    pm_quarantine_add(quarantine, 2 * BLOCK, BLOCK, &a, "a", "x");
    pm_quarantine_disown(quarantine, &a);
    pm_quarantine_remove_owner(quarantine, &a);
    assert_run(quarantine, 0, 2, 1, "a", "x");
}

/* A record of several owners belongs to none of them. */
static void owner_of_a_merged_record_is_not_removed(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();
    int a;
    int b;

    (void)state;
    for (uint64_t i = 0; i < PM_QUARANTINE_MAX_RECORDS; i++)
        pm_quarantine_add(quarantine, 2 * i * BLOCK, BLOCK, &a, "a", "x");
    pm_quarantine_add(quarantine, (2 * PM_QUARANTINE_MAX_RECORDS + 5) * BLOCK, BLOCK, &b, "b", "y");
    pm_quarantine_remove_owner(quarantine, &b);
    assert_int_equal(pm_quarantine_n_bytes(quarantine), (PM_QUARANTINE_MAX_RECORDS + 1) * BLOCK);
}

static void blocks_beyond_the_record_limit_are_reported_exactly(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();
    const uint64_t n_runs = N_BLOCKS / 2;
    uint64_t offset = 0;
    uint64_t size = 0;
    uint64_t n_reported = 0;

    (void)state;
    assert_true(n_runs > PM_QUARANTINE_MAX_RECORDS);
    /* Downwards, as in a rollback. */
    for (uint64_t i = n_runs; i-- > 0;)
        pm_quarantine_add(quarantine, 2 * i * BLOCK, BLOCK, NULL, "a", "x");
    assert_int_equal(pm_quarantine_n_bytes(quarantine), n_runs * BLOCK);
    while (pm_quarantine_next_run(quarantine, offset + size, &offset, &size, NULL, NULL)) {
        assert_int_equal(offset, 2 * n_reported * BLOCK);
        assert_int_equal(size, BLOCK);
        n_reported++;
    }
    assert_int_equal(n_reported, n_runs);
}

static void blocks_beyond_the_record_limit_added_upwards_are_reported_exactly(void **state)
{
    g_autoptr(PmQuarantine) quarantine = make();
    const uint64_t n_runs = N_BLOCKS / 2;
    uint64_t offset = 0;
    uint64_t size = 0;
    uint64_t n_reported = 0;

    (void)state;
    for (uint64_t i = 0; i < n_runs; i++)
        pm_quarantine_add(quarantine, 2 * i * BLOCK, BLOCK, NULL, "a", "x");
    while (pm_quarantine_next_run(quarantine, offset + size, &offset, &size, NULL, NULL))
        n_reported++;
    assert_int_equal(n_reported, n_runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_quarantine_is_empty),
        cmocka_unit_test(runs_are_reported_with_listener_and_reason),
        cmocka_unit_test(adjacent_runs_of_different_listeners_are_separate),
        cmocka_unit_test(the_first_of_several_listeners_with_a_block_is_reported),
        cmocka_unit_test(clearing_frees_all),
        cmocka_unit_test(removing_blocks_keeps_their_neighbors),
        cmocka_unit_test(record_removed_piece_by_piece_is_freed),
        cmocka_unit_test(record_ends_where_its_last_block_does),
        cmocka_unit_test(removed_records_make_room_for_others),
        cmocka_unit_test(removing_an_owner_keeps_blocks_of_others),
        cmocka_unit_test(disowned_blocks_stay_when_their_owner_is_removed),
        cmocka_unit_test(owner_of_a_merged_record_is_not_removed),
        cmocka_unit_test(blocks_beyond_the_record_limit_are_reported_exactly),
        cmocka_unit_test(blocks_beyond_the_record_limit_added_upwards_are_reported_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
