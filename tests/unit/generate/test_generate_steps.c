/* SPDX-License-Identifier: MIT */
/* The list of --resize. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/size.h>

#include "generate/step.h"

static void assert_step(const GArray *steps, guint i, PmStepType type, uint64_t size,
                        int64_t after_ns)
{
    const PmStep *step = &g_array_index(steps, PmStep, i);

    assert_int_equal(step->type, type);
    assert_int_equal(step->size, size);
    assert_int_equal(step->after_ns, after_ns);
}

static void a_list_has_sizes_resets_and_times(void **state)
{
    g_autoptr(GArray) steps = pm_steps_parse("1G,reset,0@0.5,kexec@86400,2M@0", NULL);

    (void)state;
    assert_non_null(steps);
    assert_int_equal(steps->len, 5);
    assert_step(steps, 0, PM_STEP_RESIZE, PM_GIB, PM_STEP_WHEN_SETTLED);
    assert_step(steps, 1, PM_STEP_RESET, 0, PM_STEP_WHEN_SETTLED);
    assert_step(steps, 2, PM_STEP_RESIZE, 0, 500000000);
    assert_step(steps, 3, PM_STEP_KEXEC, 0, INT64_C(86400000000000));
    assert_step(steps, 4, PM_STEP_RESIZE, 2 * PM_MIB, 0);
}

static void what_is_no_step_is_refused(void **state)
{
    static const struct {
        const char *text;
        const char *hint;
    } table[] = {
        {"", "invalid step ' ': must be a size, 'reset' or 'kexec'"},
        {"1G,", "invalid step ''"},
        {",1G", "invalid step ''"},
        {"1X", "invalid step '1X'"},
        {"-1", "invalid step '-1'"},
        {"Reset", "invalid step 'Reset'"},
        {"@1", "invalid step ''"},
        {"1G@", "invalid time '@': must be 0 to 86400 seconds"},
        {"1G@-1", "invalid time '@-1'"},
        {"1G@nan", "invalid time '@nan'"},
        {"1G@0x10", "invalid time '@0x10'"},
        {"1G@1s", "invalid time '@1s'"},
        {"1G@1@2", "invalid time '@1@2'"},
        {"1G@86400.1", "invalid time '@86400.1'"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(pm_steps_parse(table[i].text, &error));
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
        if (strstr(error->message, table[i].hint) == NULL)
            fail_msg("expected '%s' in: %s", table[i].hint, error->message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_sizes_resets_and_times),
        cmocka_unit_test(what_is_no_step_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
