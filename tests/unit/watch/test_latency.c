/* SPDX-License-Identifier: MIT */
/* Percentiles of latencies, compared with those of a sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "replay/result.h"
#include "watch/latency.h"

static void no_values_have_no_percentile(void **state)
{
    static PmLatency latency;

    (void)state;
    assert_int_equal(pm_latency_percentile(&latency, 50), 0);
    assert_int_equal(pm_latency_percentile(&latency, 100), 0);
}

static void small_values_and_the_maximum_are_exact(void **state)
{
    static PmLatency latency;

    (void)state;
    for (uint64_t i = 1; i < 64; i++)
        pm_latency_add(&latency, i);
    assert_int_equal(pm_latency_percentile(&latency, 50), 32);
    assert_int_equal(pm_latency_percentile(&latency, 100), 63);
    pm_latency_add(&latency, 1000001);
    assert_int_equal(pm_latency_percentile(&latency, 100), 1000001);
    pm_latency_add(&latency, UINT64_MAX);
    assert_int_equal(pm_latency_percentile(&latency, 100), UINT64_MAX);
    assert_int_equal(pm_latency_percentile(&latency, 0), 1);
}

static int compare(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a;
    uint64_t second = *(const uint64_t *)b;

    return (first > second) - (first < second);
}

static void percentiles_are_those_of_a_replay_at_most_a_32nd_more(void **state)
{
    static PmLatency latency;
    g_autoptr(GArray) values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    uint64_t number = 1;

    (void)state;
    for (unsigned i = 0; i < 10007; i++) {
        uint64_t value;

        number = number * 6364136223846793005 + 1442695040888963407;
        value = number >> (number & 63);
        g_array_append_val(values, value);
        pm_latency_add(&latency, value);
    }
    g_array_sort(values, compare);
    for (unsigned percent = 0; percent <= 100; percent++) {
        uint64_t exact = pm_percentile(values, percent);
        uint64_t found = pm_latency_percentile(&latency, percent);

        assert_true(found >= exact && found - exact <= exact / 32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_values_have_no_percentile),
        cmocka_unit_test(small_values_and_the_maximum_are_exact),
        cmocka_unit_test(percentiles_are_those_of_a_replay_at_most_a_32nd_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
