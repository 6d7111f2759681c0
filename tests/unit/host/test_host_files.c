/* SPDX-License-Identifier: MIT */
/* Reading the host's files: what is damaged is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host_files.h"
#include "util/host_tree.h"

static int make(void **state)
{
    *state = host_tree_new();
    return 0;
}

static int drop(void **state)
{
    host_tree_free(*state);
    return 0;
}

/* Takes @error. */
static void assert_error(const char *root, const char *path, GError *error, PmError code,
                         const char *because)
{
    g_autofree char *full = g_strconcat(root, path, NULL);

    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    assert_non_null(strstr(error->message, full));
    assert_non_null(strstr(error->message, because));
    g_error_free(error);
}

static void numbers_are_read(void **state)
{
    uint64_t number = 0;

    host_tree_file(*state, "/sys/n", "65535\n");
    assert_true(pm_host_read_number(*state, "/sys/n", 10, &number, NULL));
    assert_int_equal(number, 65535);
    host_tree_file(*state, "/sys/n", "0x10de\n");
    assert_true(pm_host_read_number(*state, "/sys/n", 16, &number, NULL));
    assert_int_equal(number, 0x10de);
    host_tree_file(*state, "/sys/n", "d2008c40660462");
    assert_true(pm_host_read_number(*state, "/sys/n", 16, &number, NULL));
    assert_int_equal(number, 0xd2008c40660462);
}

static void damaged_numbers_name_their_file(void **state)
{
    static const char *const damaged[] = {"", "\n", "abc", "-1", "1 2", "18446744073709551616"};

    for (size_t i = 0; i < G_N_ELEMENTS(damaged); i++) {
        GError *error = NULL;
        uint64_t number = 77;

        host_tree_file(*state, "/sys/n", damaged[i]);
        assert_false(pm_host_read_number(*state, "/sys/n", 10, &number, &error));
        assert_error(*state, "/sys/n", error, PM_ERROR_BAD_INPUT, "must be a number");
        assert_int_equal(number, 77);
    }
}

static void flags_are_read(void **state)
{
    static const char *const texts[] = {"Y\n", "1", "N\n", "0"};
    GError *error = NULL;
    bool flag;

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        host_tree_file(*state, "/sys/f", texts[i]);
        assert_true(pm_host_read_flag(*state, "/sys/f", &flag, NULL));
        assert_int_equal(flag, i < 2);
    }
    host_tree_file(*state, "/sys/f", "maybe\n");
    assert_false(pm_host_read_flag(*state, "/sys/f", &flag, &error));
    assert_error(*state, "/sys/f", error, PM_ERROR_BAD_INPUT, "contains 'maybe': must be Y or N");
}

static void missing_file_is_not_found(void **state)
{
    GError *error = NULL;

    assert_null(pm_host_read(*state, "/sys/none", &error));
    assert_error(*state, "/sys/none", error, PM_ERROR_NOT_FOUND, "ENOENT");
    error = NULL;
    assert_null(pm_host_list(*state, "/sys/none", &error));
    assert_error(*state, "/sys/none", error, PM_ERROR_NOT_FOUND, "ENOENT");
}

/* A FIFO without a writer would wait for ever. */
static void only_regular_files_are_opened(void **state)
{
    g_autofree char *fifo = g_strconcat(*state, "/fifo", NULL);
    GError *error = NULL;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_null(pm_host_read(*state, "/fifo", &error));
    assert_error(*state, "/fifo", error, PM_ERROR_BAD_INPUT, "not a regular file");
    error = NULL;
    host_tree_folder(*state, "/folder");
    assert_null(pm_host_read(*state, "/folder", &error));
    assert_error(*state, "/folder", error, PM_ERROR_BAD_INPUT, "not a regular file");
}

static void zero_bytes_and_huge_files_are_damaged(void **state)
{
    g_autofree char *path = g_strconcat(*state, "/f", NULL);
    GError *error = NULL;

    assert_true(g_file_set_contents(path, "1\0002", 3, NULL));
    assert_null(pm_host_read(*state, "/f", &error));
    assert_error(*state, "/f", error, PM_ERROR_BAD_INPUT, "zero byte");
    error = NULL;
    host_tree_file(*state, "/f", "");
    {
        g_autofree char *large = g_strnfill((16 << 20) + 1, 'x');

        host_tree_file(*state, "/f", large);
    }
    assert_null(pm_host_read(*state, "/f", &error));
    assert_error(*state, "/f", error, PM_ERROR_BAD_INPUT, "more than 16M");
}

static void names_are_sorted(void **state)
{
    g_auto(GStrv) names = NULL;

    host_tree_file(*state, "/d/b", "");
    host_tree_file(*state, "/d/a", "");
    host_tree_file(*state, "/d/c", "");
    names = pm_host_list(*state, "/d", NULL);
    assert_int_equal(g_strv_length(names), 3);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[2], "c");
}

static void link_has_the_last_part_of_its_target(void **state)
{
    g_autofree char *name = NULL;

    host_tree_link(*state, "/l", "../../kernel/iommu_groups/7");
    name = pm_host_link_name(*state, "/l");
    assert_string_equal(name, "7");
    host_tree_file(*state, "/file", "");
    assert_null(pm_host_link_name(*state, "/file"));
    assert_null(pm_host_link_name(*state, "/none"));
}

static void lines_are_found_by_their_beginning(void **state)
{
    g_autofree char *found =
        pm_host_find_line("a: 1\nMemTotal:  \t2 kB \nMemTotal: 3", "MemTotal:");

    (void)state;
    assert_string_equal(found, "2 kB");
    assert_null(pm_host_find_line("xMemTotal: 1", "MemTotal:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_are_read, make, drop),
        cmocka_unit_test_setup_teardown(damaged_numbers_name_their_file, make, drop),
        cmocka_unit_test_setup_teardown(flags_are_read, make, drop),
        cmocka_unit_test_setup_teardown(missing_file_is_not_found, make, drop),
        cmocka_unit_test_setup_teardown(only_regular_files_are_opened, make, drop),
        cmocka_unit_test_setup_teardown(zero_bytes_and_huge_files_are_damaged, make, drop),
        cmocka_unit_test_setup_teardown(names_are_sorted, make, drop),
        cmocka_unit_test_setup_teardown(link_has_the_last_part_of_its_target, make, drop),
        cmocka_unit_test(lines_are_found_by_their_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
