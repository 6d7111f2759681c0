/* SPDX-License-Identifier: MIT */
/* Errno, listener, cause and code names of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/error_text.h"

/* Created like the library does. */
static GError *new_refused(void)
{
    GError *error = NULL;

    (void)pm_fail(&error, PM_ERROR_KERNEL, "the kernel refused");
    assert_false(pm_note_errno(&error, EXDEV));
    return error;
}

static void errno_survives_copying(void **state)
{
    g_autoptr(GError) error = new_refused();
    g_autoptr(GError) copy = g_error_copy(error);

    (void)state;
    pm_error_set_errno(error, EIO);
    assert_int_equal(pm_error_get_errno(error), EIO);
    assert_int_equal(pm_error_get_errno(copy), EXDEV);
}

static void errno_survives_prefixes_and_propagation(void **state)
{
    GError *error = new_refused();
    g_autoptr(GError) propagated = NULL;

    (void)state;
    g_prefix_error(&error, "as always: ");
    g_propagate_prefixed_error(&propagated, error, "again: ");
    assert_int_equal(pm_error_get_errno(propagated), EXDEV);
    assert_string_equal(propagated->message, "again: as always: the kernel refused");
}

static void rewording_keeps_errno(void **state)
{
    g_autoptr(GError) error = new_refused();

    (void)state;
    pm_reword(error, PM_ERROR_QUARANTINED, "%s; and more", error->message);
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    assert_string_equal(error->message, "the kernel refused; and more");
    assert_int_equal(pm_error_get_errno(error), EXDEV);
}

static void error_without_a_failed_call_has_errno_0(void **state)
{
    g_autoptr(GError) made_by_hand = g_error_new(PM_ERROR, PM_ERROR_LIMIT, "no room");
    g_autoptr(GError) literal = g_error_new_literal(PM_ERROR, PM_ERROR_LIMIT, "no room");
    g_autoptr(GError) copy = g_error_copy(literal);

    (void)state;
    assert_int_equal(pm_error_get_errno(made_by_hand), 0);
    assert_int_equal(pm_error_get_errno(literal), 0);
    assert_int_equal(pm_error_get_errno(copy), 0);
}

static void errno_of_other_domains_and_null_is_0(void **state)
{
    g_autoptr(GError) foreign = g_error_new(G_FILE_ERROR, G_FILE_ERROR_IO, "no disk");

    (void)state;
    pm_error_set_errno(foreign, EIO);
    pm_error_set_errno(NULL, EIO);
    assert_false(pm_note_errno(NULL, EIO));
    assert_int_equal(pm_error_get_errno(foreign), 0);
    assert_int_equal(pm_error_get_errno(NULL), 0);
}

static void every_code_has_a_unique_name(void **state)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    (void)state;
    for (guint code = 0; code <= PM_ERROR_GUEST_LIMIT; code++) {
        const char *name = pm_error_code_name((PmError)code);

        assert_non_null(name);
        assert_string_not_equal(name, "unknown");
        assert_true(g_hash_table_add(seen, (void *)name));
    }
    assert_string_equal(pm_error_code_name(PM_ERROR_LIMIT), "entry-limit");
    assert_string_equal(pm_error_code_name(PM_ERROR_LOCKED_MEMORY), "locked-memory");
}

static void invalid_codes_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(pm_error_code_name((PmError)(PM_ERROR_GUEST_LIMIT + 1)), "unknown");
    assert_string_equal(pm_error_code_name((PmError)-1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errno_survives_copying),
        cmocka_unit_test(errno_survives_prefixes_and_propagation),
        cmocka_unit_test(rewording_keeps_errno),
        cmocka_unit_test(error_without_a_failed_call_has_errno_0),
        cmocka_unit_test(errno_of_other_domains_and_null_is_0),
        cmocka_unit_test(every_code_has_a_unique_name),
        cmocka_unit_test(invalid_codes_are_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
