/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* All combinations of whole and partial words, and of bits that stand for 1 to 1024 bits. */
static void combining_with_a_coarser_bitmap_matches_a_simple_model(void **state)
{
    g_autoptr(GRand) rand = random_new("bitmap_combine");

    (void)state;
    for (unsigned step = 0; step < random_steps(20000); step++) {
        unsigned shift = (unsigned)g_rand_int_range(rand, 0, 11);
        uint64_t n_coarse = (uint64_t)g_rand_int_range(rand, 1, 3) + (2000 >> shift);
        uint64_t n_bits = n_coarse << shift;
        g_autoptr(PmBitmap) bitmap = pm_bitmap_new(n_bits);
        g_autoptr(PmBitmap) other = pm_bitmap_new(n_coarse);
        uint64_t first = g_rand_int(rand) % n_bits;
        uint64_t end = first + g_rand_int(rand) % (n_bits - first + 1);
        int what = g_rand_int_range(rand, 0, 3);
        g_autofree bool *model = g_new0(bool, n_bits);
        uint64_t n_set = 0;

        for (uint64_t i = 0; i < n_bits; i++)
            if ((model[i] = g_rand_int_range(rand, 0, 3) > 0))
                pm_bitmap_set(bitmap, i, 1);
        for (uint64_t i = 0; i < n_coarse; i++)
            if (g_rand_boolean(rand))
                pm_bitmap_set(other, i, 1);
        for (uint64_t i = first; i < end; i++) {
            bool is_set = pm_bitmap_next_set(other, i >> shift, (i >> shift) + 1) == i >> shift;

            model[i] = what == 0 ? model[i] && is_set
                                 : (what == 1 ? model[i] && !is_set : model[i] || is_set);
        }
        if (what == 0)
            pm_bitmap_keep(bitmap, other, shift, first, end);
        else if (what == 1)
            pm_bitmap_subtract(bitmap, other, shift, first, end);
        else
            pm_bitmap_add(bitmap, other, shift, first, end);
        for (uint64_t i = 0; i < n_bits; i++) {
            assert_int_equal(pm_bitmap_next_set(bitmap, i, i + 1) == i, model[i]);
            n_set += model[i] ? 1 : 0;
        }
        assert_int_equal(pm_bitmap_n_set(bitmap), n_set);
    }
}

static void a_search_backwards_finds_the_end_of_the_last_run(void **state)
{
    g_autoptr(GRand) rand = random_new("bitmap_previous");

    for (unsigned step = 0; step < random_steps(20000); step++) {
        uint64_t from = g_rand_int(rand) % N_BITS;
        uint64_t end = from + g_rand_int(rand) % (N_BITS - from + 1);
        uint64_t last_set = end;
        uint64_t last_clear = end;

        pm_bitmap_clear(*state, 0, N_BITS);
        for (unsigned i = 0; i < 6; i++) {
            uint64_t first = g_rand_int(rand) % N_BITS;

            pm_bitmap_set(*state, first, g_rand_int(rand) % (N_BITS - first) + 1);
            if (i % 2 == 0)
                pm_bitmap_clear(*state, first, g_rand_int(rand) % (N_BITS - first) + 1);
        }
        while (last_set > from && pm_bitmap_next_set(*state, last_set - 1, last_set) == last_set)
            last_set--;
        while (last_clear > from &&
               pm_bitmap_next_clear(*state, last_clear - 1, last_clear) == last_clear)
            last_clear--;
        assert_int_equal(pm_bitmap_previous_set(*state, from, end), last_set);
        assert_int_equal(pm_bitmap_previous_clear(*state, from, end), last_clear);
    }
}

static void words_are_loaded_without_the_bits_past_the_end(void **state)
{
    uint64_t words[(N_BITS + 63) / 64];

    memset(words, 0xff, sizeof(words));
    words[1] = UINT64_C(0xf0);
    pm_bitmap_load(*state, words);
    assert_int_equal(pm_bitmap_n_set(*state), N_BITS - 60);
    assert_int_equal(pm_bitmap_next_clear(*state, 0, N_BITS), 64);
    assert_int_equal(pm_bitmap_next_set(*state, 64, N_BITS), 68);
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
        cmocka_unit_test(combining_with_a_coarser_bitmap_matches_a_simple_model),
        cmocka_unit_test_setup_teardown(a_search_backwards_finds_the_end_of_the_last_run, make,
                                        drop),
        cmocka_unit_test_setup_teardown(words_are_loaded_without_the_bits_past_the_end, make, drop),
        cmocka_unit_test_setup_teardown(random_changes_match_a_simple_model, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
