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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counted_noun_is_singular_or_plural),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
