/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "iommu/ledger.h"
#include "util/allocation_util.h"
#include "util/random_util.h"

#define BLOCK UINT64_C(0x200000)

static int make(void **state)
{
    *state = pm_ledger_new(BLOCK, UINT64_MAX);
    return 0;
}

static int drop(void **state)
{
    pm_ledger_free(*state);
    return 0;
}

/* Blocks of BLOCK bytes from number @first on, the first at @ram_block in the RAM. */
static void set(PmLedger *ledger, uint64_t first, uint64_t count, PmLedgerState state,
                uint64_t ram_block)
{
    assert_true(pm_ledger_reserve(ledger));
    pm_ledger_set(ledger, first * BLOCK, (first + count) * BLOCK - 1, state, ram_block * BLOCK);
}

/* With memory at the same distance. */
static void map(PmLedger *ledger, uint64_t first, uint64_t count)
{
    set(ledger, first, count, PM_LEDGER_MAPPED, first);
}

static void unmap(PmLedger *ledger, uint64_t first, uint64_t count)
{
    set(ledger, first, count, PM_LEDGER_UNMAPPED, 0);
}

static void forget(PmLedger *ledger, uint64_t first, uint64_t count)
{
    assert_true(pm_ledger_reserve(ledger));
    pm_ledger_forget(ledger, first * BLOCK, (first + count) * BLOCK - 1);
}

static void assert_run(PmLedger *ledger, uint64_t from, uint64_t first, uint64_t count,
                       PmLedgerState state, uint64_t ram_block)
{
    PmIommuRun run;

    assert_true(pm_ledger_next_run(ledger, from * BLOCK, &run));
    assert_int_equal(run.iova, first * BLOCK);
    assert_int_equal(run.block_size, BLOCK);
    assert_int_equal(run.n_blocks, count);
    assert_int_equal(run.ram_offset, ram_block * BLOCK);
    assert_int_equal(run.unknown, state == PM_LEDGER_UNKNOWN);
}

static unsigned count_runs(PmLedger *ledger)
{
    uint64_t at = 0;
    unsigned n = 0;
    PmIommuRun run;

    while (pm_ledger_next_run(ledger, at, &run)) {
        at = run.iova + run.block_size * run.n_blocks;
        n++;
    }
    return n;
}

static void assert_counts(const PmLedger *ledger, uint64_t n_blocks, uint64_t n_unknown)
{
    assert_int_equal(pm_ledger_n_blocks(ledger), n_blocks);
    assert_int_equal(pm_ledger_n_unknown(ledger), n_unknown);
}

/* --- runs --- */

static void empty_ledger_has_no_run(void **state)
{
    PmIommuRun run;

    assert_false(pm_ledger_next_run(*state, 0, &run));
    assert_counts(*state, 0, 0);
}

static void half_a_million_adjacent_blocks_are_one_run(void **state)
{
    for (uint64_t i = 0; i < 524288; i++)
        map(*state, i, 1);
    assert_run(*state, 0, 0, 524288, PM_LEDGER_MAPPED, 0);
    assert_int_equal(count_runs(*state), 1);
    assert_counts(*state, 524288, 0);
}

static void blocks_mapped_downwards_are_one_run(void **state)
{
    for (uint64_t i = 100; i > 0; i--)
        map(*state, i, 1);
    assert_int_equal(count_runs(*state), 1);
    assert_run(*state, 0, 1, 100, PM_LEDGER_MAPPED, 1);
}

static void block_between_two_runs_makes_them_one(void **state)
{
    map(*state, 0, 2);
    map(*state, 3, 2);
    assert_int_equal(count_runs(*state), 2);
    map(*state, 2, 1);
    assert_int_equal(count_runs(*state), 1);
    assert_run(*state, 0, 0, 5, PM_LEDGER_MAPPED, 0);
}

static void neighbours_whose_memory_does_not_continue_stay_apart(void **state)
{
    set(*state, 0, 2, PM_LEDGER_MAPPED, 10);
    set(*state, 2, 2, PM_LEDGER_MAPPED, 13);
    set(*state, 4, 2, PM_LEDGER_MAPPED, 14);
    assert_int_equal(count_runs(*state), 3);
    set(*state, 6, 2, PM_LEDGER_MAPPED, 16);
    assert_int_equal(count_runs(*state), 3);
    assert_run(*state, 2, 2, 2, PM_LEDGER_MAPPED, 13);
    assert_run(*state, 5, 5, 3, PM_LEDGER_MAPPED, 15);
}

static void mapped_and_unknown_neighbours_stay_apart(void **state)
{
    map(*state, 0, 2);
    set(*state, 2, 2, PM_LEDGER_UNKNOWN, 2);
    map(*state, 4, 2);
    assert_int_equal(count_runs(*state), 3);
    assert_run(*state, 2, 2, 2, PM_LEDGER_UNKNOWN, 2);
    assert_counts(*state, 6, 2);
}

static void unknown_neighbours_are_one_run(void **state)
{
    set(*state, 0, 2, PM_LEDGER_UNKNOWN, 0);
    set(*state, 2, 2, PM_LEDGER_UNKNOWN, 2);
    assert_int_equal(count_runs(*state), 1);
    assert_run(*state, 3, 3, 1, PM_LEDGER_UNKNOWN, 3);
    assert_counts(*state, 4, 4);
}

static void next_run_inside_a_run_begins_with_the_block_there(void **state)
{
    PmIommuRun run;

    set(*state, 1, 8, PM_LEDGER_MAPPED, 20);
    assert_true(pm_ledger_next_run(*state, 3 * BLOCK + 5, &run));
    assert_int_equal(run.iova, 3 * BLOCK);
    assert_int_equal(run.n_blocks, 6);
    assert_int_equal(run.ram_offset, 22 * BLOCK);
    assert_true(pm_ledger_next_run(*state, 9 * BLOCK - 1, &run));
    assert_int_equal(run.iova, 8 * BLOCK);
    assert_int_equal(run.n_blocks, 1);
    assert_int_equal(run.ram_offset, 27 * BLOCK);
}

static void middle_taken_out_leaves_both_ends_with_their_memory(void **state)
{
    set(*state, 0, 8, PM_LEDGER_MAPPED, 100);
    unmap(*state, 3, 2);
    assert_run(*state, 0, 0, 3, PM_LEDGER_MAPPED, 100);
    assert_run(*state, 3, 5, 3, PM_LEDGER_MAPPED, 105);
    assert_counts(*state, 6, 0);
}

static void unmapping_takes_parts_of_the_runs_at_its_ends(void **state)
{
    map(*state, 0, 4);
    set(*state, 6, 2, PM_LEDGER_UNKNOWN, 50);
    map(*state, 8, 4);
    unmap(*state, 2, 8);
    assert_run(*state, 0, 0, 2, PM_LEDGER_MAPPED, 0);
    assert_run(*state, 2, 10, 2, PM_LEDGER_MAPPED, 10);
    assert_counts(*state, 4, 0);
}

static void setting_a_range_replaces_its_state(void **state)
{
    set(*state, 0, 9, PM_LEDGER_MAPPED, 100);
    set(*state, 3, 3, PM_LEDGER_MAPPED, 50);
    assert_int_equal(count_runs(*state), 3);
    assert_run(*state, 3, 3, 3, PM_LEDGER_MAPPED, 50);
    assert_run(*state, 6, 6, 3, PM_LEDGER_MAPPED, 106);
    set(*state, 0, 9, PM_LEDGER_UNKNOWN, 0);
    assert_int_equal(count_runs(*state), 1);
    assert_counts(*state, 9, 9);
}

static void blocks_up_to_the_last_address_are_tracked(void **state)
{
    const uint64_t n_all = UINT64_MAX / BLOCK + 1;

    set(*state, n_all - 2, 2, PM_LEDGER_MAPPED, 0);
    assert_run(*state, n_all - 1, n_all - 1, 1, PM_LEDGER_MAPPED, 1);
    forget(*state, n_all - 1, 1);
    assert_counts(*state, 2, 1);
    unmap(*state, n_all - 2, 2);
    assert_counts(*state, 0, 0);
}

/* --- states --- */

static void assert_state(PmLedger *ledger, uint64_t block, uint64_t end_block,
                         PmLedgerState expected, uint64_t n_same)
{
    uint64_t last = 0;

    assert_int_equal(pm_ledger_state_at(ledger, block * BLOCK, (end_block + 1) * BLOCK - 1, &last),
                     expected);
    assert_int_equal(last, (block + n_same) * BLOCK - 1);
}

static void state_is_returned_with_the_end_of_its_run(void **state)
{
    map(*state, 2, 3);
    set(*state, 5, 2, PM_LEDGER_UNKNOWN, 5);
    assert_state(*state, 0, 9, PM_LEDGER_UNMAPPED, 2);
    assert_state(*state, 3, 9, PM_LEDGER_MAPPED, 2);
    assert_state(*state, 5, 9, PM_LEDGER_UNKNOWN, 2);
    assert_state(*state, 7, 9, PM_LEDGER_UNMAPPED, 3);
}

static void state_is_returned_no_further_than_requested(void **state)
{
    assert_state(*state, 0, 3, PM_LEDGER_UNMAPPED, 4);
    map(*state, 2, 6);
    assert_state(*state, 0, 0, PM_LEDGER_UNMAPPED, 1);
    assert_state(*state, 0, 1, PM_LEDGER_UNMAPPED, 2);
    assert_state(*state, 3, 4, PM_LEDGER_MAPPED, 2);
}

/* --- forgetting --- */

static void forget_marks_only_mapped_blocks_unknown(void **state)
{
    set(*state, 0, 2, PM_LEDGER_MAPPED, 30);
    set(*state, 4, 2, PM_LEDGER_UNKNOWN, 60);
    set(*state, 7, 1, PM_LEDGER_MAPPED, 90);
    forget(*state, 0, 10);
    assert_run(*state, 0, 0, 2, PM_LEDGER_UNKNOWN, 30);
    assert_run(*state, 2, 4, 2, PM_LEDGER_UNKNOWN, 60);
    assert_run(*state, 6, 7, 1, PM_LEDGER_UNKNOWN, 90);
    assert_int_equal(count_runs(*state), 3);
    assert_counts(*state, 5, 5);
}

static void forgetting_cuts_the_runs_at_its_ends(void **state)
{
    set(*state, 0, 4, PM_LEDGER_MAPPED, 30);
    set(*state, 6, 4, PM_LEDGER_MAPPED, 60);
    forget(*state, 2, 6);
    assert_run(*state, 0, 0, 2, PM_LEDGER_MAPPED, 30);
    assert_run(*state, 2, 2, 2, PM_LEDGER_UNKNOWN, 32);
    assert_run(*state, 4, 6, 2, PM_LEDGER_UNKNOWN, 60);
    assert_run(*state, 8, 8, 2, PM_LEDGER_MAPPED, 62);
    assert_counts(*state, 8, 4);
}

static void forgetting_the_middle_of_a_run_makes_it_three(void **state)
{
    set(*state, 0, 9, PM_LEDGER_MAPPED, 30);
    forget(*state, 3, 3);
    assert_int_equal(count_runs(*state), 3);
    assert_run(*state, 3, 3, 3, PM_LEDGER_UNKNOWN, 33);
    assert_run(*state, 6, 6, 3, PM_LEDGER_MAPPED, 36);
}

/* --- memory --- */

/* Runs that do not join, so that chunks are full. */
#define N_CROWDED UINT64_C(3000)

static void crowd(PmLedger *ledger)
{
    for (uint64_t i = 0; i < N_CROWDED; i++)
        map(ledger, 4 * i, 3);
}

static void set_and_forget_need_no_memory_that_was_not_reserved(void **state)
{
    crowd(*state);
    for (uint64_t i = 0; i < N_CROWDED; i++) {
        uint64_t middle = 4 * (i * 7 % N_CROWDED) + 1;

        assert_true(pm_ledger_reserve(*state));
        allocations_end_after(0);
        if (i % 2 == 0)
            pm_ledger_set(*state, middle * BLOCK, (middle + 1) * BLOCK - 1, PM_LEDGER_UNKNOWN, 0);
        else
            pm_ledger_forget(*state, middle * BLOCK, (middle + 1) * BLOCK - 1);
        allocations_go_on();
        assert_run(*state, middle, middle, 1, PM_LEDGER_UNKNOWN, i % 2 == 0 ? 0 : middle);
        assert_run(*state, middle + 1, middle + 1, 1, PM_LEDGER_MAPPED, middle + 1);
    }
    assert_counts(*state, 3 * N_CROWDED, N_CROWDED);
    assert_int_equal(count_runs(*state), 3 * N_CROWDED);
}

/* The list is in chunks: for one number of runs or another, both pieces begin a new chunk */
static void
cutting_the_last_of_any_number_of_runs_needs_no_memory_that_was_not_reserved(void **state)
{
    (void)state;
    for (unsigned n_runs = 1; n_runs <= 300; n_runs++) {
        PmLedger *ledger = pm_ledger_new(BLOCK, UINT64_MAX);
        uint64_t middle = 4 * (n_runs - 1) + 1;

        for (uint64_t i = 0; i < n_runs; i++)
            map(ledger, 4 * i, 3);
        assert_true(pm_ledger_reserve(ledger));
        allocations_end_after(0);
        pm_ledger_forget(ledger, middle * BLOCK, (middle + 1) * BLOCK - 1);
        allocations_go_on();
        assert_int_equal(count_runs(ledger), n_runs + 2);
        pm_ledger_free(ledger);
    }
}

static void forgetting_whole_runs_needs_no_memory_at_all(void **state)
{
    crowd(*state);
    allocations_end_after(0);
    pm_ledger_forget(*state, 0, UINT64_MAX);
    allocations_go_on();
    assert_counts(*state, 3 * N_CROWDED, 3 * N_CROWDED);
    assert_int_equal(count_runs(*state), N_CROWDED);
}

static void unmapping_everything_needs_no_memory_at_all(void **state)
{
    crowd(*state);
    allocations_end_after(0);
    pm_ledger_set(*state, 0, UINT64_MAX, PM_LEDGER_UNMAPPED, 0);
    allocations_go_on();
    assert_counts(*state, 0, 0);
}

static void reservation_without_memory_fails_and_changes_nothing(void **state)
{
    for (unsigned n_left = 0; n_left < 2; n_left++) {
        bool reserved;

        allocations_end_after(n_left);
        reserved = pm_ledger_reserve(*state);
        allocations_go_on();
        assert_false(reserved);
        assert_counts(*state, 0, 0);
    }
    map(*state, 0, 1);
}

/* --- random sequences, compared with a plain model --- */

#define N_UNITS 256
#define UNIT    UINT64_C(4096)

typedef struct {
    PmLedgerState state[N_UNITS];
    uint64_t ram_offset[N_UNITS]; /* of blocks that are not unmapped */
} Model;

static bool model_continues(const Model *model, unsigned unit)
{
    return model->state[unit] == model->state[unit - 1] &&
           (model->state[unit] == PM_LEDGER_UNMAPPED ||
            model->ram_offset[unit] == model->ram_offset[unit - 1] + UNIT);
}

static void assert_unit(PmLedger *ledger, const Model *model, unsigned unit)
{
    PmIommuRun run;
    uint64_t last = 0;
    bool covered = pm_ledger_next_run(ledger, unit * UNIT, &run) && run.iova <= unit * UNIT;

    assert_int_equal(pm_ledger_state_at(ledger, unit * UNIT, N_UNITS * UNIT - 1, &last),
                     model->state[unit]);
    assert_int_equal(covered, model->state[unit] != PM_LEDGER_UNMAPPED);
    for (uint64_t at = unit; at <= last / UNIT; at++)
        assert_int_equal(model->state[at], model->state[unit]);
    if (!covered)
        return;
    assert_int_equal(run.ram_offset, model->ram_offset[unit]);
    assert_int_equal(run.unknown, model->state[unit] == PM_LEDGER_UNKNOWN);
    for (unsigned i = unit + 1; i < unit + run.n_blocks; i++)
        assert_true(model_continues(model, i));
}

static void assert_equal_to_model(PmLedger *ledger, const Model *model)
{
    uint64_t n_blocks = 0;
    uint64_t n_unknown = 0;

    for (unsigned i = 0; i < N_UNITS; i++) {
        assert_unit(ledger, model, i);
        n_blocks += model->state[i] != PM_LEDGER_UNMAPPED;
        n_unknown += model->state[i] == PM_LEDGER_UNKNOWN;
    }
    assert_counts(ledger, n_blocks, n_unknown);
}

/* Adjacent runs are merged. */
static void assert_joined(PmLedger *ledger, const Model *model)
{
    uint64_t end = 0;
    PmIommuRun run;

    while (pm_ledger_next_run(ledger, end, &run)) {
        if (run.iova == end && end > 0)
            assert_false(model_continues(model, (unsigned)(end / UNIT)));
        end = run.iova + run.block_size * run.n_blocks;
    }
}

/* One of three places in the RAM, where neighbours often continue. */
static void step(PmLedger *ledger, Model *model, GRand *random, bool forgets)
{
    unsigned first = (unsigned)g_rand_int_range(random, 0, N_UNITS);
    unsigned count = (unsigned)g_rand_int_range(random, 1, 1 + (gint32)MIN(N_UNITS - first, 40U));
    PmLedgerState state = (PmLedgerState)g_rand_int_range(random, 0, 3);
    uint64_t place = (uint64_t)g_rand_int_range(random, 0, 3) << 40;
    uint64_t last = (first + count) * UNIT - 1;

    assert_true(pm_ledger_reserve(ledger));
    allocations_end_after(0);
    if (forgets && g_rand_int_range(random, 0, 4) == 0) {
        pm_ledger_forget(ledger, first * UNIT, last);
        for (unsigned i = first; i < first + count; i++)
            model->state[i] =
                model->state[i] == PM_LEDGER_MAPPED ? PM_LEDGER_UNKNOWN : model->state[i];
    } else {
        pm_ledger_set(ledger, first * UNIT, last, state, place + first * UNIT);
        for (unsigned i = first; i < first + count; i++) {
            model->state[i] = state;
            model->ram_offset[i] = place + i * UNIT;
        }
    }
    allocations_go_on();
}

static void ledger_agrees_with_a_plain_model(void **state)
{
    PmLedger *ledger = pm_ledger_new(UNIT, N_UNITS);
    GRand *random = random_new("ledger");
    unsigned n_steps = random_steps(100000);
    Model model = {{0}, {0}};

    (void)state;
    for (unsigned i = 0; i < n_steps; i++) {
        bool forgets = i > n_steps / 2;

        step(ledger, &model, random, forgets);
        if (i % 50 != 0)
            continue;
        assert_equal_to_model(ledger, &model);
        if (!forgets)
            assert_joined(ledger, &model);
    }
    g_rand_free(random);
    pm_ledger_free(ledger);
}

#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(empty_ledger_has_no_run),
        LEDGER_TEST(half_a_million_adjacent_blocks_are_one_run),
        LEDGER_TEST(blocks_mapped_downwards_are_one_run),
        LEDGER_TEST(block_between_two_runs_makes_them_one),
        LEDGER_TEST(neighbours_whose_memory_does_not_continue_stay_apart),
        LEDGER_TEST(mapped_and_unknown_neighbours_stay_apart),
        LEDGER_TEST(unknown_neighbours_are_one_run),
        LEDGER_TEST(next_run_inside_a_run_begins_with_the_block_there),
        LEDGER_TEST(middle_taken_out_leaves_both_ends_with_their_memory),
        LEDGER_TEST(unmapping_takes_parts_of_the_runs_at_its_ends),
        LEDGER_TEST(setting_a_range_replaces_its_state),
        LEDGER_TEST(blocks_up_to_the_last_address_are_tracked),
        LEDGER_TEST(state_is_returned_with_the_end_of_its_run),
        LEDGER_TEST(state_is_returned_no_further_than_requested),
        LEDGER_TEST(forget_marks_only_mapped_blocks_unknown),
        LEDGER_TEST(forgetting_cuts_the_runs_at_its_ends),
        LEDGER_TEST(forgetting_the_middle_of_a_run_makes_it_three),
        LEDGER_TEST(set_and_forget_need_no_memory_that_was_not_reserved),
        LEDGER_TEST(cutting_the_last_of_any_number_of_runs_needs_no_memory_that_was_not_reserved),
        LEDGER_TEST(forgetting_whole_runs_needs_no_memory_at_all),
        LEDGER_TEST(unmapping_everything_needs_no_memory_at_all),
        LEDGER_TEST(reservation_without_memory_fails_and_changes_nothing),
        LEDGER_TEST(ledger_agrees_with_a_plain_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
