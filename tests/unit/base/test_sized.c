/* SPDX-License-Identifier: MIT */
/* Structs of programs built against older and newer headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/sized.h"

/* Three versions of a struct; the library has the second. */
typedef struct {
    size_t struct_size;
    uint64_t first;
} Old;

typedef struct {
    size_t struct_size;
    uint64_t first;
    uint64_t second;
} Known;

typedef struct {
    size_t struct_size;
    uint64_t first;
    uint64_t second;
    uint64_t third;
    uint64_t fourth;
} New;

#define POISON UINT64_C(0xa5a5a5a5a5a5a5a5)

static void members_missing_in_an_old_program_are_zero(void **state)
{
    const struct {
        Old old;
        uint64_t next;
    } caller = {{sizeof(Old), 1}, POISON};
    Known known;

    (void)state;
    memset(&known, 0xa5, sizeof(known));
    assert_true(pm_sized_read("Known", &known, sizeof(known), &caller, NULL));
    assert_int_equal(known.struct_size, sizeof(known));
    assert_int_equal(known.first, 1);
    assert_int_equal(known.second, 0);
}

static void unknown_members_that_are_zero_are_accepted(void **state)
{
    const New new = {sizeof(new), 1, 2, 0, 0};
    Known known;

    (void)state;
    assert_true(pm_sized_read("Known", &known, sizeof(known), &new, NULL));
    assert_int_equal(known.struct_size, sizeof(known));
    assert_int_equal(known.first, 1);
    assert_int_equal(known.second, 2);
}

static void unknown_members_that_are_set_are_refused(void **state)
{
    const New third = {sizeof(third), 1, 2, 3, 0};
    const New last_byte = {sizeof(last_byte), 1, 2, 0, GUINT64_TO_LE(UINT64_C(1) << 63)};
    const New *const table[] = {&third, &last_byte};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;
        Known known = {.first = POISON};

        assert_false(pm_sized_read("Known", &known, sizeof(known), table[i], &error));
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_UNSUPPORTED));
        assert_non_null(strstr(error->message, "knows 24 of the 40 bytes"));
        assert_true(known.first == POISON);
    }
}

static void invalid_struct_sizes_are_refused(void **state)
{
    static const size_t sizes[] = {0, 1, sizeof(size_t), 12, 20, 4104, SIZE_MAX, SIZE_MAX - 7};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const Known caller = {sizes[i], 1, 2};
        g_autoptr(GError) error = NULL;
        Known known;

        assert_false(pm_sized_read("Known", &known, sizeof(known), &caller, &error));
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
        assert_non_null(strstr(error->message, "must be sizeof(Known)"));
        assert_false(pm_sized_check("Known", &caller, NULL));
    }
}

static void null_struct_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;
    Known known;

    (void)state;
    assert_false(pm_sized_read("Known", &known, sizeof(known), NULL, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
}

static void results_are_truncated_for_an_old_program(void **state)
{
    const Known known = {sizeof(known), 1, 2};
    struct {
        Old old;
        uint64_t next;
    } caller = {{sizeof(Old), POISON}, POISON};

    (void)state;
    assert_true(pm_sized_check("Known", &caller, NULL));
    pm_sized_write(&caller, &known, sizeof(known));
    assert_int_equal(caller.old.struct_size, sizeof(Old));
    assert_int_equal(caller.old.first, 1);
    assert_true(caller.next == POISON);
}

static void unknown_members_of_results_are_not_changed(void **state)
{
    const Known known = {sizeof(known), 1, 2};
    New caller = {sizeof(New), POISON, POISON, POISON, POISON};

    (void)state;
    pm_sized_write(&caller, &known, sizeof(known));
    assert_int_equal(caller.struct_size, sizeof(New));
    assert_int_equal(caller.first, 1);
    assert_int_equal(caller.second, 2);
    assert_true(caller.third == POISON);
    assert_true(caller.fourth == POISON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_missing_in_an_old_program_are_zero),
        cmocka_unit_test(unknown_members_that_are_zero_are_accepted),
        cmocka_unit_test(unknown_members_that_are_set_are_refused),
        cmocka_unit_test(invalid_struct_sizes_are_refused),
        cmocka_unit_test(null_struct_is_refused),
        cmocka_unit_test(results_are_truncated_for_an_old_program),
        cmocka_unit_test(unknown_members_of_results_are_not_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
