/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "util/random_util.h"

/* Not a multiple of the word size. */
#define N_BITS 1003

static int make(void **state)
{
    *state = pm_bitmap_new(N_BITS);
    return 0;
}

static int drop(void **state)
{
    pm_bitmap_free(*state);
    return 0;
}

static void new_bitmap_is_clear(void **state)
{
    assert_int_equal(pm_bitmap_n_bits(*state), N_BITS);
    assert_int_equal(pm_bitmap_n_set(*state), 0);
    assert_int_equal(pm_bitmap_next_set(*state, 0, N_BITS), N_BITS);
    assert_int_equal(pm_bitmap_next_clear(*state, 0, N_BITS), 0);
}

/* Queried by the sanitizers: excessive allocations must fail instead of aborting. */
#define ASKED_EARLY __attribute__((visibility("default"), no_sanitize("thread")))
ASKED_EARLY const char *__asan_default_options(void);
ASKED_EARLY const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return __asan_default_options();
}

static void new_bitmap_fails_without_memory(void **state)
{
    (void)state;
    assert_null(pm_bitmap_new(UINT64_MAX));
    assert_null(pm_bitmap_new(UINT64_MAX - 63));
}

static void search_in_an_empty_bitmap_finds_nothing(void **state)
{
    PmBitmap *bitmap = pm_bitmap_new(0);

    (void)state;
    assert_non_null(bitmap);
    assert_int_equal(pm_bitmap_next_set(bitmap, 0, 0), 0);
    assert_int_equal(pm_bitmap_next_clear(bitmap, 0, 0), 0);
    pm_bitmap_free(bitmap);
}

/* First and last bits of words and their neighbours, alone and as ends of ranges. */
static void ranges_end_exactly_at_word_edges(void **state)
{
    static const uint64_t edges[] = {0, 1, 62, 63, 64, 65, 127, 128, 129, 191, 192, 1002, 1003};

    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        for (size_t j = i + 1; j < G_N_ELEMENTS(edges); j++) {
            uint64_t first = edges[i];
            uint64_t end = edges[j];

            pm_bitmap_set(*state, first, end - first);
            assert_int_equal(pm_bitmap_n_set(*state), end - first);
            assert_int_equal(pm_bitmap_next_set(*state, 0, N_BITS), first);
            assert_int_equal(pm_bitmap_next_clear(*state, first, N_BITS), end);
            assert_int_equal(pm_bitmap_next_set(*state, end, N_BITS), N_BITS);
            pm_bitmap_clear(*state, first, end - first);
            assert_int_equal(pm_bitmap_n_set(*state), 0);
            assert_int_equal(pm_bitmap_next_set(*state, 0, N_BITS), N_BITS);
        }
    }
}

static void bits_set_or_cleared_twice_count_once(void **state)
{
    pm_bitmap_set(*state, 10, 100);
    pm_bitmap_set(*state, 50, 100);
    assert_int_equal(pm_bitmap_n_set(*state), 140);
    pm_bitmap_clear(*state, 0, 20);
    pm_bitmap_clear(*state, 0, 30);
    assert_int_equal(pm_bitmap_n_set(*state), 120);
}

static void search_stops_at_its_end(void **state)
{
    pm_bitmap_set(*state, 70, 1);
    assert_int_equal(pm_bitmap_next_set(*state, 0, 70), 70);
    assert_int_equal(pm_bitmap_next_set(*state, 0, 66), 66);
    assert_int_equal(pm_bitmap_next_set(*state, 71, 71), 71);
    assert_int_equal(pm_bitmap_next_clear(*state, 70, 71), 71);
}

/* --- against a simple model: one byte per bit --- */

static uint64_t model_next(const bool *model, uint64_t from, uint64_t end, bool wanted)
{
    while (from < end && model[from] != wanted)
        from++;
    return from;
}

static void random_changes_match_a_simple_model(void **state)
{
    GRand *random = random_new("bitmap");
    unsigned n_steps = random_steps(200000);
    bool model[N_BITS] = {false};
    uint64_t n_set = 0;

    for (unsigned step = 0; step < n_steps; step++) {
        uint64_t first = (uint64_t)g_rand_int_range(random, 0, N_BITS + 1);
        uint64_t count = (uint64_t)g_rand_int_range(random, 0, 150);
        uint64_t end = MIN(N_BITS, first + count);
        bool set = g_rand_boolean(random);

        if (set)
            pm_bitmap_set(*state, first, end - first);
        else
            pm_bitmap_clear(*state, first, end - first);
        for (uint64_t i = first; i < end; i++) {
            n_set += (uint64_t)set - (uint64_t)model[i];
            model[i] = set;
        }
        first = (uint64_t)g_rand_int_range(random, 0, N_BITS + 1);
        end = (uint64_t)g_rand_int_range(random, (gint32)first, N_BITS + 1);
        assert_int_equal(pm_bitmap_n_set(*state), n_set);
        assert_int_equal(pm_bitmap_next_set(*state, first, end),
                         model_next(model, first, end, true));
        assert_int_equal(pm_bitmap_next_clear(*state, first, end),
                         model_next(model, first, end, false));
    }
    g_rand_free(random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_bitmap_is_clear, make, drop),
        cmocka_unit_test(new_bitmap_fails_without_memory),
        cmocka_unit_test(search_in_an_empty_bitmap_finds_nothing),
        cmocka_unit_test_setup_teardown(ranges_end_exactly_at_word_edges, make, drop),
        cmocka_unit_test_setup_teardown(bits_set_or_cleared_twice_count_once, make, drop),
        cmocka_unit_test_setup_teardown(search_stops_at_its_end, make, drop),
        cmocka_unit_test_setup_teardown(random_changes_match_a_simple_model, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
