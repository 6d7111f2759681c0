/* SPDX-License-Identifier: MIT */
#include "replay/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void fill(PmHistogram *histogram, const uint64_t *times, unsigned n_times)
{
    g_autoptr(GArray) ns = g_array_new(FALSE, FALSE, sizeof(uint64_t));

    g_array_append_vals(ns, times, n_times);
    pm_histogram_fill(histogram, ns);
}

static void whole_decades_are_shown(void **state)
{
    static const uint64_t times[] = {25, 250};
    g_auto(PmHistogram) histogram = {0};

    (void)state;
    fill(&histogram, times, G_N_ELEMENTS(times));
    assert_int_equal(histogram.first_decade, 1);
    assert_int_equal(histogram.n_decades, 2);
    assert_int_equal(pm_histogram_bin_start(&histogram, 0), 10);
    assert_int_equal(pm_histogram_bin_start(&histogram, PM_HISTOGRAM_A_DECADE), 100);
    assert_int_equal(pm_histogram_bin_start(&histogram, 2 * PM_HISTOGRAM_A_DECADE), 1000);
    /* 10^1.4 is 25.1. */
    assert_int_equal(histogram.counts[3], 1);
    assert_int_equal(histogram.counts[10 + 3], 1);
}

static void every_time_is_in_its_bin(void **state)
{
    g_autoptr(GArray) ns = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_auto(PmHistogram) histogram = {0};
    guint next = 0;

    (void)state;
    for (uint64_t time = 1; time < UINT64_C(1000000000000000); time += 1 + time / 50)
        g_array_append_val(ns, time);
    pm_histogram_fill(&histogram, ns);
    assert_int_equal(histogram.n_decades, 15);
    for (unsigned bin = 0; bin < 15 * PM_HISTOGRAM_A_DECADE; bin++)
        for (uint64_t i = 0; i < histogram.counts[bin]; i++, next++)
            assert_in_range(g_array_index(ns, uint64_t, next),
                            pm_histogram_bin_start(&histogram, bin),
                            pm_histogram_bin_start(&histogram, bin + 1) - 1);
    assert_int_equal(next, ns->len);
}

static void the_least_and_the_greatest_time_are_counted(void **state)
{
    static const uint64_t times[] = {0, 0, 1, UINT64_MAX};
    g_auto(PmHistogram) histogram = {0};
    uint64_t n_times = 0;

    (void)state;
    fill(&histogram, times, G_N_ELEMENTS(times));
    for (unsigned bin = 0; bin < histogram.n_decades * PM_HISTOGRAM_A_DECADE; bin++)
        n_times += histogram.counts[bin];
    assert_int_equal(histogram.counts[0], 3);
    assert_int_equal(n_times, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_decades_are_shown),
        cmocka_unit_test(every_time_is_in_its_bin),
        cmocka_unit_test(the_least_and_the_greatest_time_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
