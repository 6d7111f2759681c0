/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/version.h>

/* PLUGMAP_VERSION is CMake's, used for pkg-config and sonames. */
static void headers_library_and_build_have_the_same_version(void **state)
{
    (void)state;
    assert_string_equal(PM_VERSION_STRING, PLUGMAP_VERSION);
    assert_int_equal(pm_version(), PM_VERSION);
    assert_int_equal(PM_VERSION,
                     PM_VERSION_ENCODE(PM_VERSION_MAJOR, PM_VERSION_MINOR, PM_VERSION_MICRO));
}

static void versions_are_ordered(void **state)
{
    (void)state;
    assert_true(PM_VERSION_ENCODE(1, 0, 0) > PM_VERSION_ENCODE(0, 255, 255));
    assert_true(PM_VERSION_ENCODE(0, 2, 0) > PM_VERSION_ENCODE(0, 1, 255));
    assert_true(PM_CHECK_VERSION(0, 0, 0));
    assert_true(PM_CHECK_VERSION(PM_VERSION_MAJOR, PM_VERSION_MINOR, PM_VERSION_MICRO));
    assert_false(PM_CHECK_VERSION(PM_VERSION_MAJOR, PM_VERSION_MINOR, PM_VERSION_MICRO + 1));
    assert_false(PM_CHECK_VERSION(PM_VERSION_MAJOR + 1, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_library_and_build_have_the_same_version),
        cmocka_unit_test(versions_are_ordered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
