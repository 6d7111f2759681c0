/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"

static void count_message(GLogLevelFlags level, const char *message, void *user_data)
{
    GLogLevelFlags *last = user_data;

    assert_string_equal(message, "message 1");
    *last = level;
}

static int count_call(int *n_calls)
{
    return ++*n_calls;
}

/* Logs one message of @level; returns whether it was received. */
static bool is_received(GLogLevelFlags level)
{
    GLogLevelFlags last = 0;
    int n_calls = 0;

    pm_log_set_func(count_message, &last);
    pm_log(level, "message %d", count_call(&n_calls));
    pm_log_set_func(NULL, NULL);
    assert_int_equal(n_calls, last == 0 ? 0 : 1);
    assert_true(last == 0 || last == level);
    return last != 0;
}

static void only_warnings_are_received_by_default(void **state)
{
    (void)state;
    assert_true(is_received(G_LOG_LEVEL_WARNING));
    assert_false(is_received(G_LOG_LEVEL_INFO));
    assert_false(is_received(G_LOG_LEVEL_DEBUG));
}

static void messages_below_the_level_are_not_made(void **state)
{
    (void)state;
    pm_log_set_level(G_LOG_LEVEL_INFO);
    assert_true(is_received(G_LOG_LEVEL_WARNING));
    assert_true(is_received(G_LOG_LEVEL_INFO));
    assert_false(is_received(G_LOG_LEVEL_DEBUG));
    pm_log_set_level(G_LOG_LEVEL_DEBUG);
    assert_true(is_received(G_LOG_LEVEL_DEBUG));
    pm_log_set_level(G_LOG_LEVEL_WARNING);
    assert_false(is_received(G_LOG_LEVEL_INFO));
}

static void without_a_function_nothing_is_made(void **state)
{
    int n_calls = 0;

    (void)state;
    pm_log(G_LOG_LEVEL_WARNING, "message %d", count_call(&n_calls));
    assert_int_equal(n_calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_warnings_are_received_by_default),
        cmocka_unit_test(messages_below_the_level_are_not_made),
        cmocka_unit_test(without_a_function_nothing_is_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
