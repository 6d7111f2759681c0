/* SPDX-License-Identifier: MIT */
/* When the events of a recording are due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "watch/pace.h"

#define MS INT64_C(1000000)

static void events_are_due_at_their_times(void **state)
{
    PmPace pace;

    (void)state;
    pm_pace_begin(&pace, 1, 1000 * MS);
    assert_int_equal(pm_pace_wait(&pace, 0, 1000 * MS), 0);
    assert_int_equal(pm_pace_wait(&pace, 50 * MS, 1000 * MS), 50 * MS + 1);
    assert_int_equal(pm_pace_wait(&pace, 50 * MS, 1030 * MS), 20 * MS + 1);
    assert_int_equal(pm_pace_wait(&pace, 50 * MS, 1050 * MS), 0);
    assert_int_equal(pm_pace_wait(&pace, 50 * MS, 2000 * MS), 0);
}

static void a_speed_divides_the_wait(void **state)
{
    PmPace pace;

    (void)state;
    pm_pace_begin(&pace, 10, 0);
    assert_int_equal(pm_pace_wait(&pace, 50 * MS, 0), 5 * MS + 1);
    pm_pace_set_speed(&pace, 0.5, 2 * MS); /* at 20 ms */
    assert_int_equal(pm_pace_position(&pace, 2 * MS), 20 * MS);
    assert_int_equal(pm_pace_wait(&pace, 50 * MS, 2 * MS), 60 * MS + 1);
}

static void without_a_speed_nothing_waits(void **state)
{
    PmPace pace;

    (void)state;
    pm_pace_begin(&pace, PM_PACE_NO_WAIT, 0);
    assert_int_equal(pm_pace_wait(&pace, INT64_MAX, 0), 0);
}

static void a_pause_stops_the_time(void **state)
{
    PmPace pace;

    (void)state;
    pm_pace_begin(&pace, 1, 0);
    pm_pace_toggle(&pace, 10 * MS);
    assert_int_equal(pm_pace_wait(&pace, 50 * MS, 100 * MS), -1);
    pm_pace_toggle(&pace, 100 * MS);
    assert_int_equal(pm_pace_wait(&pace, 50 * MS, 100 * MS), 40 * MS + 1);
}

static void a_step_plays_one_event(void **state)
{
    PmPace pace;

    (void)state;
    pm_pace_begin(&pace, 1, 0);
    pm_pace_step(&pace, 10 * MS);
    assert_int_equal(pm_pace_wait(&pace, 50 * MS, 10 * MS), 0);
    pm_pace_played(&pace, 50 * MS, 10 * MS);
    assert_int_equal(pm_pace_wait(&pace, 80 * MS, 10 * MS), -1);
    pm_pace_toggle(&pace, 20 * MS);
    assert_int_equal(pm_pace_wait(&pace, 80 * MS, 20 * MS), 30 * MS + 1);
}

static void an_event_that_is_late_moves_nothing(void **state)
{
    PmPace pace;

    (void)state;
    pm_pace_begin(&pace, 1, 0);
    pm_pace_played(&pace, 10 * MS, 30 * MS);
    assert_int_equal(pm_pace_position(&pace, 30 * MS), 30 * MS);
}

static void far_times_do_not_overflow(void **state)
{
    PmPace pace;
    int64_t wait_ns;

    (void)state;
    pm_pace_begin(&pace, PM_PACE_SLOWEST, 0);
    wait_ns = pm_pace_wait(&pace, INT64_MAX, 0);
    assert_true(wait_ns > 0);
    pm_pace_begin(&pace, PM_PACE_FASTEST, 0);
    assert_true(pm_pace_position(&pace, INT64_MAX) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_due_at_their_times),
        cmocka_unit_test(a_speed_divides_the_wait),
        cmocka_unit_test(without_a_speed_nothing_waits),
        cmocka_unit_test(a_pause_stops_the_time),
        cmocka_unit_test(a_step_plays_one_event),
        cmocka_unit_test(an_event_that_is_late_moves_nothing),
        cmocka_unit_test(far_times_do_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
