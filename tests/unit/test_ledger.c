/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "iommu/ledger.h"

#define BLOCK UINT64_C(0x200000)

static int make(void **state)
{
    *state = pm_ledger_new();
    return 0;
}

static int drop(void **state)
{
    pm_ledger_free(*state);
    return 0;
}

/* As pm_iommu_map() does it. */
static void add(PmLedger *ledger, uint64_t iova, uint64_t block_size, uint64_t n_blocks)
{
    assert_true(pm_ledger_add(ledger, iova, block_size, n_blocks));
    pm_ledger_join(ledger, iova + block_size * n_blocks);
}

/* As pm_iommu_unmap() does it. */
static void take(PmLedger *ledger, uint64_t iova, uint64_t size)
{
    assert_true(pm_ledger_prepare_remove(ledger, iova, iova + size - 1));
    pm_ledger_remove(ledger, iova, iova + size - 1);
}

static void assert_run(PmLedger *ledger, uint64_t from, uint64_t iova, uint64_t block_size,
                       uint64_t n_blocks)
{
    PmIommuRun run;

    assert_true(pm_ledger_next_run(ledger, from, &run));
    assert_int_equal(run.iova, iova);
    assert_int_equal(run.block_size, block_size);
    assert_int_equal(run.n_blocks, n_blocks);
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

static void assert_finding(PmLedger *ledger, uint64_t iova, uint64_t size, bool holes_allowed,
                           PmLedgerFinding expected, uint64_t expected_at)
{
    uint64_t at = 0;

    assert_int_equal(pm_ledger_check(ledger, iova, iova + size - 1, holes_allowed, &at), expected);
    if (expected != PM_LEDGER_WHOLE)
        assert_int_equal(at, expected_at);
}

static void empty_ledger_has_no_run(void **state)
{
    PmIommuRun run;

    assert_false(pm_ledger_next_run(*state, 0, &run));
    assert_int_equal(pm_ledger_n_mappings(*state), 0);
    assert_int_equal(pm_ledger_n_bytes(*state), 0);
}

static void half_a_million_adjacent_blocks_are_one_run(void **state)
{
    uint64_t i;

    for (i = 0; i < 524288; i++)
        add(*state, i * BLOCK, BLOCK, 1);
    assert_run(*state, 0, 0, BLOCK, 524288);
    assert_int_equal(count_runs(*state), 1);
    assert_int_equal(pm_ledger_n_mappings(*state), 524288);
    assert_int_equal(pm_ledger_n_bytes(*state), 524288 * BLOCK);
}

static void blocks_added_downwards_are_one_run(void **state)
{
    uint64_t i;

    for (i = 100; i > 0; i--)
        add(*state, i * BLOCK, BLOCK, 1);
    assert_int_equal(count_runs(*state), 1);
    assert_run(*state, 0, BLOCK, BLOCK, 100);
}

static void block_between_two_runs_makes_them_one(void **state)
{
    add(*state, 0, BLOCK, 2);
    add(*state, 3 * BLOCK, BLOCK, 2);
    assert_int_equal(count_runs(*state), 2);
    add(*state, 2 * BLOCK, BLOCK, 1);
    assert_int_equal(count_runs(*state), 1);
    assert_run(*state, 0, 0, BLOCK, 5);
}

static void runs_of_different_block_sizes_stay_apart(void **state)
{
    add(*state, 0, BLOCK, 2);
    add(*state, 2 * BLOCK, 2 * BLOCK, 1);
    add(*state, 4 * BLOCK, BLOCK, 1);
    assert_int_equal(count_runs(*state), 3);
    assert_int_equal(pm_ledger_n_mappings(*state), 4);
}

static void next_run_inside_a_run_begins_with_the_mapping_there(void **state)
{
    add(*state, BLOCK, BLOCK, 8);
    assert_run(*state, 3 * BLOCK + 5, 3 * BLOCK, BLOCK, 6);
    assert_run(*state, 9 * BLOCK - 1, 8 * BLOCK, BLOCK, 1);
}

static void middle_taken_out_leaves_both_ends(void **state)
{
    add(*state, 0, BLOCK, 8);
    take(*state, 3 * BLOCK, 2 * BLOCK);
    assert_run(*state, 0, 0, BLOCK, 3);
    assert_run(*state, 3 * BLOCK, 5 * BLOCK, BLOCK, 3);
    assert_int_equal(pm_ledger_n_mappings(*state), 6);
    assert_int_equal(pm_ledger_n_bytes(*state), 6 * BLOCK);
}

static void removal_prepared_and_given_up_changes_nothing(void **state)
{
    add(*state, 0, BLOCK, 8);
    assert_true(pm_ledger_prepare_remove(*state, 3 * BLOCK, 5 * BLOCK - 1));
    pm_ledger_join(*state, 5 * BLOCK);
    assert_int_equal(count_runs(*state), 1);
    assert_run(*state, 0, 0, BLOCK, 8);
}

static void removal_takes_parts_of_the_runs_at_its_ends(void **state)
{
    add(*state, 0, BLOCK, 4);
    add(*state, 6 * BLOCK, 2 * BLOCK, 1);
    add(*state, 8 * BLOCK, BLOCK, 4);
    take(*state, 2 * BLOCK, 8 * BLOCK);
    assert_run(*state, 0, 0, BLOCK, 2);
    assert_run(*state, 2 * BLOCK, 10 * BLOCK, BLOCK, 2);
    assert_int_equal(pm_ledger_n_mappings(*state), 4);
    assert_int_equal(pm_ledger_n_bytes(*state), 4 * BLOCK);
}

static void mapping_that_ends_at_the_last_address_is_kept_right(void **state)
{
    uint64_t iova = UINT64_MAX - 2 * BLOCK + 1;

    add(*state, iova, BLOCK, 2);
    assert_run(*state, UINT64_MAX, UINT64_MAX - BLOCK + 1, BLOCK, 1);
    assert_finding(*state, iova, 2 * BLOCK, false, PM_LEDGER_WHOLE, 0);
    take(*state, iova, 2 * BLOCK);
    assert_int_equal(pm_ledger_n_mappings(*state), 0);
}

static void check_finds_the_first_hole(void **state)
{
    add(*state, 0, BLOCK, 2);
    add(*state, 4 * BLOCK, BLOCK, 2);
    assert_finding(*state, 0, 6 * BLOCK, false, PM_LEDGER_HOLE, 2 * BLOCK);
    assert_finding(*state, 2 * BLOCK, BLOCK, false, PM_LEDGER_HOLE, 2 * BLOCK);
    assert_finding(*state, 4 * BLOCK, 4 * BLOCK, false, PM_LEDGER_HOLE, 6 * BLOCK);
    assert_finding(*state, 0, 8 * BLOCK, true, PM_LEDGER_WHOLE, 0);
}

static void check_finds_cuts_at_both_ends(void **state)
{
    add(*state, 0, 4096, 1);
    add(*state, 4096, 4 * BLOCK, 2);
    assert_finding(*state, 8192, 8 * BLOCK - 4096, false, PM_LEDGER_CUT, 8192);
    assert_finding(*state, 0, 4096 + BLOCK, false, PM_LEDGER_CUT, 4096 + BLOCK);
    assert_finding(*state, 0, 4096 + 4 * BLOCK, false, PM_LEDGER_WHOLE, 0);
    assert_finding(*state, 4096 + 4 * BLOCK, 4 * BLOCK, false, PM_LEDGER_WHOLE, 0);
}

static void cut_is_found_where_holes_are_allowed(void **state)
{
    add(*state, 4 * BLOCK, 4 * BLOCK, 1);
    assert_finding(*state, 0, 6 * BLOCK, true, PM_LEDGER_CUT, 6 * BLOCK);
    assert_finding(*state, 6 * BLOCK, 6 * BLOCK, true, PM_LEDGER_CUT, 6 * BLOCK);
}

/* --- at random, beside a plain model --- */

#define N_UNITS 256
#define N_STEPS 100000
#define UNIT    UINT64_C(4096)

/* For each unit: 0, or the size in units of the mapping that covers it, and whether it begins one.
 */
typedef struct {
    unsigned char size[N_UNITS];
    bool begins[N_UNITS + 1];
} Model;

static bool model_is_free(const Model *model, unsigned first, unsigned count)
{
    unsigned i;

    for (i = first; i < first + count; i++) {
        if (model->size[i] != 0)
            return false;
    }
    return true;
}

static void model_set(Model *model, unsigned first, unsigned count, unsigned block)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        model->size[first + i] = (unsigned char)block;
        model->begins[first + i] = block != 0 && i % block == 0;
    }
}

static PmLedgerFinding model_check(const Model *model, unsigned first, unsigned count, unsigned *at)
{
    for (*at = first; *at < first + count; (*at)++) {
        if (model->size[*at] == 0)
            return PM_LEDGER_HOLE;
        if (*at == first && !model->begins[*at])
            return PM_LEDGER_CUT;
    }
    if (*at < N_UNITS && model->size[*at] != 0 && !model->begins[*at])
        return PM_LEDGER_CUT;
    return PM_LEDGER_WHOLE;
}

static void assert_equal_to_model(PmLedger *ledger, const Model *model)
{
    uint64_t n_mappings = 0;
    uint64_t n_units = 0;
    unsigned i;

    for (i = 0; i < N_UNITS; i++) {
        PmIommuRun run;
        bool found = pm_ledger_next_run(ledger, i * UNIT, &run);
        bool covered = found && run.iova <= i * UNIT;

        assert_int_equal(covered, model->size[i] != 0);
        if (!covered)
            continue;
        n_units++;
        n_mappings += model->begins[i];
        assert_int_equal(run.block_size, model->size[i] * UNIT);
        assert_int_equal(run.iova == i * UNIT, model->begins[i]);
    }
    assert_int_equal(pm_ledger_n_mappings(ledger), n_mappings);
    assert_int_equal(pm_ledger_n_bytes(ledger), n_units * UNIT);
}

/* Neighbours of one block size are never two runs. */
static void assert_joined(PmLedger *ledger)
{
    uint64_t end = 0;
    uint64_t size_before = 0;
    PmIommuRun run;

    while (pm_ledger_next_run(ledger, end, &run)) {
        assert_false(run.iova == end && run.block_size == size_before);
        size_before = run.block_size;
        end = run.iova + run.block_size * run.n_blocks;
    }
}

static void step(PmLedger *ledger, Model *model, GRand *random)
{
    unsigned first = (unsigned)g_rand_int_range(random, 0, N_UNITS);
    unsigned block = 1U << g_rand_int_range(random, 0, 4);
    unsigned count = block * (unsigned)g_rand_int_range(random, 1, 9);
    uint64_t at = 0;
    unsigned model_at = 0;
    PmLedgerFinding finding;

    if (first + count > N_UNITS)
        return;
    if (model_is_free(model, first, count)) {
        add(ledger, first * UNIT, block * UNIT, count / block);
        model_set(model, first, count, block);
        return;
    }
    finding = pm_ledger_check(ledger, first * UNIT, (first + count) * UNIT - 1, false, &at);
    assert_int_equal(finding, model_check(model, first, count, &model_at));
    if (finding != PM_LEDGER_WHOLE) {
        assert_int_equal(at, model_at * UNIT);
        return;
    }
    assert_true(pm_ledger_prepare_remove(ledger, first * UNIT, (first + count) * UNIT - 1));
    if (g_rand_int_range(random, 0, 4) == 0) { /* the kernel refused */
        pm_ledger_join(ledger, (first + count) * UNIT);
        return;
    }
    pm_ledger_remove(ledger, first * UNIT, (first + count) * UNIT - 1);
    model_set(model, first, count, 0);
}

static void random_life_is_that_of_a_plain_model(void **state)
{
    const char *given = getenv("PLUGMAP_SEED");
    guint32 seed = given != NULL ? (guint32)strtoul(given, NULL, 0) : g_random_int();
    GRand *random = g_rand_new_with_seed(seed);
    Model model = {0};
    unsigned i;

    print_message("PLUGMAP_SEED=%u\n", seed);
    for (i = 0; i < N_STEPS; i++) {
        step(*state, &model, random);
        if (i % 50 == 0) {
            assert_equal_to_model(*state, &model);
            assert_joined(*state);
        }
    }
    g_rand_free(random);
}

#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(empty_ledger_has_no_run),
        LEDGER_TEST(half_a_million_adjacent_blocks_are_one_run),
        LEDGER_TEST(blocks_added_downwards_are_one_run),
        LEDGER_TEST(block_between_two_runs_makes_them_one),
        LEDGER_TEST(runs_of_different_block_sizes_stay_apart),
        LEDGER_TEST(next_run_inside_a_run_begins_with_the_mapping_there),
        LEDGER_TEST(middle_taken_out_leaves_both_ends),
        LEDGER_TEST(removal_prepared_and_given_up_changes_nothing),
        LEDGER_TEST(removal_takes_parts_of_the_runs_at_its_ends),
        LEDGER_TEST(mapping_that_ends_at_the_last_address_is_kept_right),
        LEDGER_TEST(check_finds_the_first_hole),
        LEDGER_TEST(check_finds_cuts_at_both_ends),
        LEDGER_TEST(cut_is_found_where_holes_are_allowed),
        LEDGER_TEST(random_life_is_that_of_a_plain_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
