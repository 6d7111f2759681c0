/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error_text.h"

static void counted_noun_is_singular_or_plural(void **state)
{
    static const struct {
        uint64_t count;
        const char *text;
    } table[] = {
        {0, "0 mappings"},
        {1, "1 mapping"},
        {2, "2 mappings"},
        {65535, "65,535 mappings"},
        {UINT64_MAX, "18,446,744,073,709,551,615 mappings"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *text = pm_counted(table[i].count, "mapping");

        assert_string_equal(text, table[i].text);
    }
}

static void durations_have_a_unit_that_suits_them(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } table[] = {
        {0, "0 ns"},
        {9999, "9999 ns"},
        {10000, "10 µs"},
        {9999999, "9999 µs"},
        {10000000, "10 ms"},
        {UINT64_C(9999999999), "9999 ms"},
        {UINT64_C(10000000000), "10 s"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *text = pm_duration_text(table[i].ns);

        assert_string_equal(text, table[i].text);
    }
}

static void seconds_become_minutes_and_hours(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } table[] = {
        {59, "59 s"},
        {60, "1 min 0 s"},
        {3599, "59 min 59 s"},
        {3600, "1 h 0 min"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *text = pm_seconds_text(table[i].seconds);

        assert_string_equal(text, table[i].text);
    }
}

static void what_controls_a_terminal_is_not_shown(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
    } table[] = {
        {"", ""},
        {"size 4 KiB, 26 µs", "size 4 KiB, 26 µs"},
        {"\033[2Jx\n\t\r\177", "?[2Jx????"},
        {"a\xc2\x9b"
         "31mb",
         "a?31mb"}, /* one byte that begins a sequence in 8-bit terminals */
        {"a\xff", "a\xef\xbf\xbd"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *shown = pm_printable(table[i].text);

        assert_string_equal(shown, table[i].shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counted_noun_is_singular_or_plural),
        cmocka_unit_test(durations_have_a_unit_that_suits_them),
        cmocka_unit_test(seconds_become_minutes_and_hours),
        cmocka_unit_test(what_controls_a_terminal_is_not_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
