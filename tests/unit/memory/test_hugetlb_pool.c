/* SPDX-License-Identifier: MIT */
/* Messages about a hugetlb pool: a folder that the test writes, and memory that pretends to have
 * hugetlb pages. */
#include "memory/hugetlb_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <plugmap/size.h>

#define N_PAGES 4
#define SIZE    (2 * PM_MIB * N_PAGES)

typedef struct {
    char *pools;
    char *folder;  /* in it, for pages of 2 MiB */
    PmRam *memory; /* contains the RAM */
    PmRam *ram;
} Fixture;

static int make(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    PmRamAdoption adoption = {
        .struct_size = sizeof(adoption), .size = SIZE, .page_size = 2 * PM_MIB};

    *state = fixture;
    fixture->pools = g_dir_make_tmp("plugmap-pools-XXXXXX", NULL);
    fixture->folder = g_build_filename(fixture->pools, "hugepages-2048kB", NULL);
    assert_int_equal(g_mkdir(fixture->folder, 0700), 0);
    fixture->memory = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, 2 * PM_MIB, NULL);
    adoption.host = pm_ram_get_host(fixture->memory);
    fixture->ram = pm_ram_adopt(&adoption, NULL);
    return fixture->ram != NULL ? 0 : -1;
}

static void write_number(const Fixture *fixture, const char *name, unsigned number)
{
    g_autofree char *path = g_build_filename(fixture->folder, name, NULL);
    g_autofree char *text = g_strdup_printf("%u\n", number);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void write_pool(const Fixture *fixture, unsigned n_pages, unsigned n_free,
                       unsigned n_reserved)
{
    write_number(fixture, "nr_hugepages", n_pages);
    write_number(fixture, "free_hugepages", n_free);
    write_number(fixture, "resv_hugepages", n_reserved);
}

static int drop(void **state)
{
    static const char *const names[] = {"nr_hugepages", "free_hugepages", "resv_hugepages"};
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(fixture->folder, names[i], NULL);

        (void)g_remove(path);
    }
    (void)g_rmdir(fixture->folder);
    (void)g_rmdir(fixture->pools);
    pm_ram_unref(fixture->ram);
    pm_ram_unref(fixture->memory);
    g_free(fixture->folder);
    g_free(fixture->pools);
    g_free(fixture);
    return 0;
}

static char *describe(const Fixture *fixture)
{
    return pm_hugetlb_pool_describe_lack_in(fixture->pools, fixture->ram, 0, SIZE);
}

static void a_pool_with_enough_pages_is_not_the_cause(void **state)
{
    Fixture *fixture = *state;

    write_pool(fixture, 10, N_PAGES, 0);
    assert_null(describe(fixture));
}

static void pages_reserved_by_others_are_not_free(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *lack = NULL;

    write_pool(fixture, 10, N_PAGES + 1, 2);
    lack = describe(fixture);
    assert_non_null(lack);
    assert_non_null(strstr(lack, "the range lacks 4 hugetlb pages of 2M, and the host has 3 free"));
}

/* The files are not read atomically. */
static void more_reserved_than_free_is_none_free(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *lack = NULL;

    write_pool(fixture, 10, 1, 2);
    lack = describe(fixture);
    assert_non_null(lack);
    assert_non_null(strstr(lack, "the host has 0 free"));
}

static void resident_pages_are_not_missing(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *lack = NULL;

    memset(pm_ram_get_host(fixture->memory), 1, SIZE / 2);
    write_pool(fixture, 10, N_PAGES / 2 - 1, 0);
    lack = describe(fixture);
    assert_non_null(lack);
    assert_non_null(strstr(lack, "the range lacks 2 hugetlb pages of 2M, and the host has 1 free"));
    write_pool(fixture, 10, N_PAGES / 2, 0);
    assert_null(describe(fixture));
}

static void command_raises_the_pool_to_the_required_size(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *lack = NULL;
    g_autofree char *command = NULL;

    write_pool(fixture, 10, 3, 1);
    lack = describe(fixture);
    command = g_strdup_printf("\n  echo 12 > %s/nr_hugepages", fixture->folder);
    assert_non_null(lack);
    assert_non_null(strstr(lack, command));
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(a_pool_with_enough_pages_is_not_the_cause),
        POOL_TEST(pages_reserved_by_others_are_not_free),
        POOL_TEST(more_reserved_than_free_is_none_free),
        POOL_TEST(resident_pages_are_not_missing),
        POOL_TEST(command_raises_the_pool_to_the_required_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
