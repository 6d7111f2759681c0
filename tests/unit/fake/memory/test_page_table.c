/* SPDX-License-Identifier: MIT */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <plugmap/size.h>

#include "fake/memory/page_table.h"
#include "util/random_util.h"

#define PAGE UINT64_C(0x1000)
#define HOST UINT64_C(0x7f0000000000)

static int make(void **state)
{
    *state = pm_page_table_new();
    return 0;
}

static int drop(void **state)
{
    pm_page_table_free(*state);
    return 0;
}

static void map(PmPageTable *table, uint64_t iova, uint64_t host, uint64_t size)
{
    assert_true(pm_page_table_map(table, iova, host, size, PM_IOMMU_READ_WRITE));
}

static void assert_translates(const PmPageTable *table, uint64_t iova, uint64_t host,
                              PmIommuAccess access, uint64_t left)
{
    uint64_t found_host = 0;
    uint64_t found_left = 0;
    PmIommuAccess found_access = 0;

    assert_true(pm_page_table_translate(table, iova, &found_host, &found_access, &found_left));
    assert_int_equal(found_host, host);
    assert_int_equal(found_access, access);
    assert_int_equal(found_left, left);
}

static void assert_untranslated(const PmPageTable *table, uint64_t iova)
{
    uint64_t host;
    uint64_t left;
    PmIommuAccess access;

    assert_false(pm_page_table_translate(table, iova, &host, &access, &left));
}

static void assert_run(const PmPageTable *table, uint64_t from, uint64_t iova, uint64_t size)
{
    uint64_t run_iova = 0;
    uint64_t run_size = 0;

    assert_true(pm_page_table_next_run(table, from, UINT64_MAX, &run_iova, &run_size));
    assert_int_equal(run_iova, iova);
    assert_int_equal(run_size, size);
}

static void assert_no_run(const PmPageTable *table, uint64_t from)
{
    uint64_t iova;
    uint64_t size;

    assert_false(pm_page_table_next_run(table, from, UINT64_MAX, &iova, &size));
}

static void new_table_translates_nothing(void **state)
{
    assert_untranslated(*state, 0);
    assert_untranslated(*state, UINT64_MAX);
    assert_no_run(*state, 0);
    pm_page_table_unmap(*state, 0, UINT64_MAX);
}

static void translate_returns_access_and_host_address(void **state)
{
    assert_true(pm_page_table_map(*state, 0x3000, HOST + 0x5000, PAGE, PM_IOMMU_READ));
    assert_true(pm_page_table_map(*state, 0x4000, HOST + 0x1000, PAGE, PM_IOMMU_WRITE));
    assert_translates(*state, 0x3000, HOST + 0x5000, PM_IOMMU_READ, PAGE);
    assert_translates(*state, 0x3abc, HOST + 0x5abc, PM_IOMMU_READ, PAGE - 0xabc);
    assert_translates(*state, 0x4fff, HOST + 0x1fff, PM_IOMMU_WRITE, 1);
    assert_untranslated(*state, 0x2fff);
    assert_untranslated(*state, 0x5000);
}

static void map_uses_the_largest_pages_the_iova_allows(void **state)
{
    /* The host address need not be aligned to the page. */
    map(*state, PM_GIB - 2 * PM_MIB - PAGE, HOST + PAGE, 2 * PM_GIB);
    assert_translates(*state, PM_GIB - 2 * PM_MIB - PAGE, HOST + PAGE, PM_IOMMU_READ_WRITE, PAGE);
    assert_translates(*state, PM_GIB - 2 * PM_MIB, HOST + 2 * PAGE, PM_IOMMU_READ_WRITE,
                      2 * PM_MIB);
    assert_translates(*state, PM_GIB, HOST + 2 * PAGE + 2 * PM_MIB, PM_IOMMU_READ_WRITE, PM_GIB);
    assert_translates(*state, 2 * PM_GIB, HOST + 2 * PAGE + 2 * PM_MIB + PM_GIB,
                      PM_IOMMU_READ_WRITE, 2 * PM_MIB);
    assert_run(*state, 0, PM_GIB - 2 * PM_MIB - PAGE, 2 * PM_GIB);
}

static void run_joins_mappings_of_any_host_address_and_access(void **state)
{
    map(*state, 2 * PM_MIB, HOST, 2 * PM_MIB);
    assert_true(
        pm_page_table_map(*state, 4 * PM_MIB, HOST + PM_GIB, 2 * PM_MIB + PAGE, PM_IOMMU_READ));
    map(*state, PM_TIB, HOST, PAGE);
    assert_run(*state, 0, 2 * PM_MIB, 4 * PM_MIB + PAGE);
    assert_run(*state, 3 * PM_MIB + 5, 3 * PM_MIB + 5, 3 * PM_MIB + PAGE - 5);
    assert_run(*state, 6 * PM_MIB + PAGE, PM_TIB, PAGE);
    assert_no_run(*state, PM_TIB + PAGE);
}

static void run_ends_at_the_last_address(void **state)
{
    PmPageTable *table = *state;
    uint64_t iova;
    uint64_t size;

    assert_true(pm_page_table_map(table, 4 * PAGE, 0, 8 * PAGE, PM_IOMMU_READ));
    assert_false(pm_page_table_next_run(table, 0, 4 * PAGE - 1, &iova, &size));
    assert_true(pm_page_table_next_run(table, 0, 4 * PAGE, &iova, &size));
    assert_int_equal(iova, 4 * PAGE);
    assert_int_equal(size, 1);
    assert_true(pm_page_table_next_run(table, 5 * PAGE, 7 * PAGE - 1, &iova, &size));
    assert_int_equal(iova, 5 * PAGE);
    assert_int_equal(size, 2 * PAGE);
    assert_true(pm_page_table_next_run(table, 5 * PAGE, 20 * PAGE, &iova, &size));
    assert_int_equal(size, 7 * PAGE);
}

static void last_page_of_the_address_space_maps(void **state)
{
    map(*state, UINT64_MAX - PAGE + 1, HOST, PAGE);
    assert_translates(*state, UINT64_MAX, HOST + PAGE - 1, PM_IOMMU_READ_WRITE, 1);
    assert_run(*state, 0, UINT64_MAX - PAGE + 1, PAGE);
    pm_page_table_unmap(*state, UINT64_MAX - PAGE + 1, PAGE);
    assert_no_run(*state, 0);
}

static void unmap_removes_mappings_in_the_range_only(void **state)
{
    map(*state, 0, HOST, PAGE);
    map(*state, PM_GIB, HOST, PM_GIB);
    map(*state, 2 * PM_GIB, HOST, 2 * PM_MIB + PAGE);
    map(*state, PM_TIB, HOST, PAGE);
    pm_page_table_unmap(*state, PAGE, 3 * PM_GIB);
    assert_run(*state, 0, 0, PAGE);
    assert_run(*state, PAGE, PM_TIB, PAGE);
}

static void addresses_can_be_remapped_with_other_page_sizes(void **state)
{
    for (uint64_t i = 0; i < 512; i++)
        map(*state, i * PAGE, HOST + (512 - i) * PAGE, PAGE);
    pm_page_table_unmap(*state, 0, 2 * PM_MIB);
    map(*state, 0, HOST, 2 * PM_MIB);
    assert_translates(*state, PAGE, HOST + PAGE, PM_IOMMU_READ_WRITE, 2 * PM_MIB - PAGE);
    pm_page_table_unmap(*state, 0, 2 * PM_MIB);
    map(*state, PAGE, HOST, PAGE);
    assert_run(*state, 0, PAGE, PAGE);
}

static void page_tables_are_small_and_freed(void **state)
{
    size_t before = mallinfo2().uordblks;
    size_t used;

    for (uint64_t i = 0; i < PM_TIB / (2 * PM_MIB); i++)
        map(*state, i * 2 * PM_MIB, HOST, 2 * PM_MIB);
    used = mallinfo2().uordblks - before;
    /* 8 bytes per page; 0 with allocators that do not report usage. */
    assert_true(used <= PM_TIB / (2 * PM_MIB) * 8 * 11 / 10);
    assert_run(*state, 0, 0, PM_TIB);
    for (uint64_t i = 0; i < PM_TIB / (2 * PM_MIB); i++)
        pm_page_table_unmap(*state, i * 2 * PM_MIB, 2 * PM_MIB);
    assert_int_equal(mallinfo2().uordblks, before);
}

/* --- against a model with one element per page --- */

#define N_PAGES 4096

typedef struct {
    PmPageTable *table;
    GRand *random;
    uint64_t base; /* of the first page: not aligned */
    uint64_t host[N_PAGES];
    PmIommuAccess access[N_PAGES]; /* 0: not mapped */
    uint32_t mapping[N_PAGES];     /* the number of the page's mapping */
    uint32_t next_mapping;
} Model;

static uint32_t below(Model *model, uint32_t limit)
{
    return (uint32_t)g_rand_int_range(model->random, 0, (gint32)limit);
}

static void map_one(Model *model)
{
    uint32_t first = below(model, N_PAGES);
    uint32_t count = 1 + below(model, below(model, 3) == 0 ? 1500 : 20);
    uint64_t host = HOST + below(model, 100000) * PAGE;
    PmIommuAccess access = (PmIommuAccess)(1 + below(model, 3));

    count = MIN(count, N_PAGES - first);
    for (uint32_t i = first; i < first + count; i++) {
        if (model->access[i] != 0)
            return;
    }
    assert_true(
        pm_page_table_map(model->table, model->base + first * PAGE, host, count * PAGE, access));
    for (uint32_t i = 0; i < count; i++) {
        model->host[first + i] = host + i * PAGE;
        model->access[first + i] = access;
        model->mapping[first + i] = model->next_mapping;
    }
    model->next_mapping++;
}

static bool is_inside_mapping(const Model *model, uint32_t page)
{
    return page > 0 && page < N_PAGES && model->access[page] != 0 && model->access[page - 1] != 0 &&
           model->mapping[page] == model->mapping[page - 1];
}

static void unmap_some(Model *model)
{
    uint32_t first = below(model, N_PAGES);
    uint32_t count = 1 + below(model, below(model, 3) == 0 ? 3000 : 100);
    uint32_t end = MIN(N_PAGES, first + count);

    while (is_inside_mapping(model, first))
        first--;
    while (is_inside_mapping(model, end))
        end++;
    pm_page_table_unmap(model->table, model->base + first * PAGE, (end - first) * PAGE);
    for (uint32_t i = first; i < end; i++)
        model->access[i] = 0;
}

static void check_translation(const Model *model, uint32_t page)
{
    uint64_t iova = model->base + page * PAGE + 0x123;
    uint64_t host;
    uint64_t left;
    PmIommuAccess access;

    if (model->access[page] == 0) {
        assert_untranslated(model->table, iova);
        return;
    }
    assert_true(pm_page_table_translate(model->table, iova, &host, &access, &left));
    assert_int_equal(host, model->host[page] + 0x123);
    assert_int_equal(access, model->access[page]);
    for (uint64_t i = 0; i < (left + 0x123) / PAGE; i++)
        assert_int_equal(model->host[page + i], model->host[page] + i * PAGE);
}

static void check_run(const Model *model, uint32_t page)
{
    uint32_t first = page;
    uint32_t end;

    while (first < N_PAGES && model->access[first] == 0)
        first++;
    for (end = first; end < N_PAGES && model->access[end] != 0; end++)
        ;
    if (first == N_PAGES)
        assert_no_run(model->table, model->base + page * PAGE);
    else
        assert_run(model->table, model->base + page * PAGE, model->base + first * PAGE,
                   (end - first) * PAGE);
}

static void random_changes_match_a_plain_model(void **state)
{
    Model *model = g_new0(Model, 1);
    unsigned n_steps = random_steps(100000);

    model->table = *state;
    model->random = random_new("page_table");
    model->base = 3 * PM_GIB - 1024 * PAGE - 7 * PAGE;
    for (unsigned step = 0; step < n_steps; step++) {
        if (below(model, 5) < 3)
            map_one(model);
        else
            unmap_some(model);
        check_translation(model, below(model, N_PAGES));
        check_run(model, below(model, N_PAGES));
    }
    for (uint32_t page = 0; page < N_PAGES; page++)
        check_translation(model, page);
    g_rand_free(model->random);
    g_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_table_translates_nothing, make, drop),
        cmocka_unit_test_setup_teardown(translate_returns_access_and_host_address, make, drop),
        cmocka_unit_test_setup_teardown(map_uses_the_largest_pages_the_iova_allows, make, drop),
        cmocka_unit_test_setup_teardown(run_joins_mappings_of_any_host_address_and_access, make,
                                        drop),
        cmocka_unit_test_setup_teardown(run_ends_at_the_last_address, make, drop),
        cmocka_unit_test_setup_teardown(last_page_of_the_address_space_maps, make, drop),
        cmocka_unit_test_setup_teardown(unmap_removes_mappings_in_the_range_only, make, drop),
        cmocka_unit_test_setup_teardown(addresses_can_be_remapped_with_other_page_sizes, make,
                                        drop),
        cmocka_unit_test_setup_teardown(page_tables_are_small_and_freed, make, drop),
        cmocka_unit_test_setup_teardown(random_changes_match_a_plain_model, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
