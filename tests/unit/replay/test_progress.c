/* SPDX-License-Identifier: MIT */
#include "replay/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_text(uint64_t n_done, uint64_t n_events, uint64_t elapsed_us, const char *wanted)
{
    g_autofree char *text = pm_progress_text(n_done, n_events, elapsed_us);

    assert_string_equal(text, wanted);
}

static void progress_shows_rate_and_time_left(void **state)
{
    (void)state;
    assert_text(1000, 4000, 2 * (uint64_t)G_USEC_PER_SEC,
                "[#####...............] 1,000 of 4,000 events, 500/s, 6 s left");
    assert_text(4000, 4000, 2 * (uint64_t)G_USEC_PER_SEC,
                "[####################] 4,000 of 4,000 events, 2,000/s, 0 s left");
    assert_text(1, 1, 0, "[####################] 1 of 1 event, 1,000,000/s, 0 s left");
}

static void long_times_are_in_minutes_and_hours(void **state)
{
    (void)state;
    assert_text(1, 91, G_USEC_PER_SEC,
                "[....................] 1 of 91 events, 1/s, 1 min 30 s left");
    assert_text(1, 3901, G_USEC_PER_SEC,
                "[....................] 1 of 3,901 events, 1/s, 1 h 5 min left");
    assert_text(1, 11, 10 * (uint64_t)G_USEC_PER_SEC,
                "[#...................] 1 of 11 events, 0/s, 1 min 40 s left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_shows_rate_and_time_left),
        cmocka_unit_test(long_times_are_in_minutes_and_hours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
