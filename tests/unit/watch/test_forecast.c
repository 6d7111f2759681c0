/* SPDX-License-Identifier: MIT */
/* Forecasts, limits and their warnings, with given times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "watch/limit.h"

#define SECOND INT64_C(1000000000)

/* @per_second more each second, from @first on. */
static void add_line(PmForecast *forecast, int64_t start_ns, unsigned n_seconds, uint64_t first,
                     int64_t per_second)
{
    for (unsigned i = 0; i < n_seconds * 10; i++)
        pm_forecast_add(forecast, start_ns + i * (SECOND / 10),
                        (uint64_t)((int64_t)first + (int64_t)i * per_second / 10));
}

static void assert_rate(const PmForecast *forecast, double expected)
{
    double per_second;

    assert_true(pm_forecast_rate(forecast, &per_second));
    assert_true(per_second > expected - 0.5 && per_second < expected + 0.5);
}

static void a_steady_rate_reaches_the_limit_when_it_says(void **state)
{
    PmForecast forecast = {0};
    int64_t in_ns;

    (void)state;
    add_line(&forecast, 7 * SECOND, 11, 1000, 100);
    pm_forecast_add(&forecast, 18 * SECOND, 2100);
    assert_rate(&forecast, 100);
    assert_true(pm_forecast_reach(&forecast, 2700, &in_ns));
    assert_true(in_ns > 5 * SECOND && in_ns < 7 * SECOND);
}

static void only_the_window_counts(void **state)
{
    PmForecast forecast = {0};
    PmForecast sparse = {0};

    (void)state;
    add_line(&forecast, 0, 60, 0, 1000);
    add_line(&forecast, 60 * SECOND, 31, 60000, 10);
    assert_rate(&forecast, 10);
    pm_forecast_add(&sparse, 0, 0);
    add_line(&sparse, 1000 * SECOND, 3, 60000, 10);
    assert_rate(&sparse, 10);
}

static void a_falling_or_constant_value_never_reaches_the_limit(void **state)
{
    PmForecast falling = {0};
    PmForecast constant = {0};
    int64_t in_ns;

    (void)state;
    add_line(&falling, 0, 10, 5000, -100);
    add_line(&constant, 0, 10, 5000, 0);
    assert_rate(&falling, -100);
    assert_rate(&constant, 0);
    assert_false(pm_forecast_reach(&falling, 6000, &in_ns));
    assert_false(pm_forecast_reach(&constant, 6000, &in_ns));
    assert_true(pm_forecast_reach(&constant, 5000, &in_ns));
    assert_int_equal(in_ns, 0);
}

static void too_few_or_too_close_values_have_no_rate(void **state)
{
    PmForecast forecast = {0};
    double per_second;
    int64_t in_ns;

    (void)state;
    assert_false(pm_forecast_rate(&forecast, &per_second));
    assert_false(pm_forecast_reach(&forecast, 10, &in_ns));
    pm_forecast_add(&forecast, 5 * SECOND, 0);
    assert_false(pm_forecast_rate(&forecast, &per_second));
    pm_forecast_add(&forecast, 6 * SECOND - 1, 5);
    assert_false(pm_forecast_rate(&forecast, &per_second));
    pm_forecast_add(&forecast, 6 * SECOND, 5);
    assert_rate(&forecast, 5);
}

static void a_clock_that_is_set_back_restarts_the_forecast(void **state)
{
    PmForecast forecast = {0};
    double per_second;

    (void)state;
    add_line(&forecast, 100 * SECOND, 10, 0, 100);
    pm_forecast_add(&forecast, SECOND, 1000);
    assert_false(pm_forecast_rate(&forecast, &per_second));
    assert_int_equal(forecast.n_samples, 1);
}

static PmLimit make_limit(uint64_t most)
{
    return (PmLimit){.what = "mappings", .remedy = "raise it", .limit = most};
}

static void assert_warning(PmLimit *limit, int64_t time_ns, uint64_t value, const char *expected)
{
    g_autofree char *warning = pm_limit_set(limit, time_ns, value);

    if (expected == NULL)
        assert_null(warning);
    else
        assert_string_equal(warning, expected);
}

static void each_level_is_warned_of_once(void **state)
{
    PmLimit limit = make_limit(1000);

    (void)state;
    assert_warning(&limit, 0, 899, NULL);
    assert_warning(&limit, 0, 900, "mappings: 900 of 1,000 (90.0%): raise it");
    assert_warning(&limit, 0, 950, NULL);
    assert_warning(&limit, 0, 1000, "mappings: 1,000 of 1,000 (100.0%), limit reached: raise it");
    assert_warning(&limit, 0, 1001, NULL);
    assert_warning(&limit, 0, 850, NULL);
    assert_warning(&limit, 0, 900, NULL);
    assert_warning(&limit, 0, 799, NULL);
    assert_warning(&limit, 0, 900, "mappings: 900 of 1,000 (90.0%): raise it");
    assert_int_equal(limit.peak, 1001);
    assert_int_equal(limit.value, 900);
}

static void a_warning_says_when_the_limit_is_reached(void **state)
{
    PmLimit limit = make_limit(1000);
    g_autofree char *rate = NULL;

    (void)state;
    for (unsigned i = 0; i < 90; i++)
        assert_warning(&limit, i * SECOND, UINT64_C(10) * i, NULL);
    assert_warning(&limit, 90 * SECOND, 900,
                   "mappings: 900 of 1,000 (90.0%), limit reached in 10 s: raise it");
    rate = pm_limit_forecast_text(&limit);
    assert_string_equal(rate, "+10/s, limit reached in 10 s");
}

static void without_a_limit_there_is_no_warning(void **state)
{
    PmLimit limit = make_limit(PM_LIMIT_NO_LIMIT);
    g_autofree char *text = NULL;
    g_autofree char *rate = NULL;

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        assert_warning(&limit, i * SECOND, UINT64_MAX / 10 * i, NULL);
    text = pm_limit_text(&limit, 5);
    assert_string_equal(text, "5, no limit");
    rate = pm_limit_forecast_text(&limit);
    assert_null(strstr(rate, "reached"));
}

static void a_limit_of_nothing_is_reached_by_anything(void **state)
{
    PmLimit limit = make_limit(0);

    (void)state;
    assert_warning(&limit, 0, 0, NULL);
    assert_warning(&limit, 0, 1, "mappings: 1 of 0 (100.0%), limit reached: raise it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_rate_reaches_the_limit_when_it_says),
        cmocka_unit_test(only_the_window_counts),
        cmocka_unit_test(a_falling_or_constant_value_never_reaches_the_limit),
        cmocka_unit_test(too_few_or_too_close_values_have_no_rate),
        cmocka_unit_test(a_clock_that_is_set_back_restarts_the_forecast),
        cmocka_unit_test(each_level_is_warned_of_once),
        cmocka_unit_test(a_warning_says_when_the_limit_is_reached),
        cmocka_unit_test(without_a_limit_there_is_no_warning),
        cmocka_unit_test(a_limit_of_nothing_is_reached_by_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
