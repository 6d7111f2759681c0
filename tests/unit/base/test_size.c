/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/size.h>

static void sizes_are_parsed_with_and_without_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } table[] = {
        {"0", 0},
        {"4097", 4097},
        {"2M", 2 * PM_MIB},
        {"2m", 2 * PM_MIB},
        {"1GiB", PM_GIB},
        {"4Gi", 4 * PM_GIB},
        {"1gib", PM_GIB},
        {"3KB", 3 * PM_KIB},
        {"16T", 16 * PM_TIB},
        {"1P", UINT64_C(1) << 50},
        {"15E", UINT64_C(15) << 60},
        {"0x100000000", 4 * PM_GIB},
        {"0X10k", 16 * PM_KIB},
        {"18446744073709551615", UINT64_MAX},
        {"0xffffffffffffffff", UINT64_MAX},
        {"007", 7},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        uint64_t value = 12345;

        assert_true(pm_size_parse(table[i].text, &value, NULL));
        assert_true(value == table[i].value);
    }
}

static void invalid_sizes_are_refused_and_quoted(void **state)
{
    static const char *const texts[] = {
        "",
        "M",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1.5G",
        "2X",
        "2MM",
        "2Mib ",
        "2iB",
        "0x",
        "0xg",
        "1e9",
        "18446744073709551616",
        "16E",
        "0x10000000000000000",
        "17592186044416M",
        "2M\n",
        "٣",
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t value = 12345;

        if (pm_size_parse(texts[i], &value, &error))
            fail_msg("'%s' was parsed as %llu", texts[i], (unsigned long long)value);
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
        /* Unprintable characters are escaped. */
        if (g_str_is_ascii(texts[i]) && strchr(texts[i], '\n') == NULL)
            assert_non_null(strstr(error->message, texts[i]));
        assert_int_equal(value, 12345);
    }
}

static void sizes_are_formatted_in_the_largest_exact_unit(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } table[] = {
        {0, "0"},
        {1, "1"},
        {4097, "4097"},
        {4096, "4K"},
        {2097152, "2M"},
        {3 * PM_GIB, "3G"},
        {PM_TIB, "1T"},
        {UINT64_MAX, "18446744073709551615"},
        {UINT64_C(1) << 63, "8E"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *text = pm_size_format(table[i].value);
        uint64_t value;

        assert_string_equal(text, table[i].text);
        assert_true(pm_size_parse(text, &value, NULL));
        assert_true(value == table[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_parsed_with_and_without_units),
        cmocka_unit_test(invalid_sizes_are_refused_and_quoted),
        cmocka_unit_test(sizes_are_formatted_in_the_largest_exact_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
