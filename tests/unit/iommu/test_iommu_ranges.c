/* SPDX-License-Identifier: MIT */
/* The valid I/O addresses, and the reservation of claimed ones in the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>

#include "kernel-uapi/iommufd.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"

static void page_sizes_and_ranges_are_the_kernels(void **state)
{
    IommuFixture *fixture = *state;
    size_t n_ranges = 0;
    const PmIovaRange *ranges = pm_iommu_get_iova_ranges(fixture->iommu, &n_ranges);

    assert_int_equal(pm_iommu_get_page_sizes(fixture->iommu),
                     backend_is_iommufd() ? 0x1000 : 0x40201000);
    assert_int_equal(n_ranges, 2);
    assert_int_equal(ranges[0].start, 0);
    assert_int_equal(ranges[0].last, 0xfedfffff);
    assert_int_equal(ranges[1].start, 0xfef00000);
    assert_int_equal(ranges[1].last, 0x7fffffffff);
}

static void whole_valid_range_is_accepted(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(pm_iommu_check_range(fixture->iommu, 0, 0xfee00000, NULL));
    assert_true(pm_iommu_check_range(fixture->iommu, 0xfef00000, 0x7fffffffff - 0xfeefffff, NULL));
    assert_true(pm_iommu_check_range(fixture->iommu, 0x7ffffff000, 4096, NULL));
}

static void assert_not_valid(IommuFixture *fixture, uint64_t iova, uint64_t size, PmError code,
                             const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_check_range(fixture->iommu, iova, size, &error));
    assert_error(&error, code, words);
}

static void range_outside_names_the_nearest_that_fits(void **state)
{
    assert_not_valid(*state, 0xfee00000, 4096, PM_ERROR_IOVA_RANGE, "room for it is 0xfedff000");
    assert_not_valid(*state, 0xfeeff000, 4096, PM_ERROR_IOVA_RANGE, "room for it is 0xfef00000");
    assert_not_valid(*state, 0xfedff000, 8192, PM_ERROR_IOVA_RANGE, "room for it is 0xfedfe000");
    assert_not_valid(*state, 0, PM_TIB / 4, PM_ERROR_IOVA_RANGE, "room for it is 0xfef00000");
    assert_not_valid(*state, 0xffffffff00000000, PM_GIB, PM_ERROR_IOVA_RANGE,
                     "room for it is 0x7fc0000000");
    assert_not_valid(*state, UINT64_MAX - 4095, 8192, PM_ERROR_IOVA_RANGE,
                     "room for it is 0x7fffffe000");
}

static void range_larger_than_all_valid_ones_is_reported(void **state)
{
    assert_not_valid(*state, 0, PM_TIB, PM_ERROR_IOVA_RANGE, "no range is that large");
}

static void range_that_is_empty_or_unaligned_is_refused(void **state)
{
    assert_not_valid(*state, 0, 0, PM_ERROR_INVALID_ARGUMENT, "empty");
    assert_not_valid(*state, 100, 4096, PM_ERROR_UNALIGNED, "I/O address 0x64");
    assert_not_valid(*state, 0, 100, PM_ERROR_UNALIGNED, "size 0x64");
}

static void many_ranges_are_abbreviated(void **state)
{
    PmIovaRange ranges[10];
    PmFakeConfig config;
    IommuFixture *fixture;
    unsigned i;

    (void)state;
    for (i = 0; i < G_N_ELEMENTS(ranges); i++)
        ranges[i] = (PmIovaRange){i * UINT64_C(0x100000), i * UINT64_C(0x100000) + 0xffff};
    /* One range has room for the fixture's claim. */
    ranges[9] = (PmIovaRange){BASE, BASE + FIXTURE_MEMORY_SIZE - 1};
    pm_fake_config_init(&config);
    config.iova_ranges = ranges;
    config.n_iova_ranges = G_N_ELEMENTS(ranges);
    fixture = iommu_fixture_new(&config);
    assert_not_valid(fixture, 0x20000, 4096, PM_ERROR_IOVA_RANGE,
                     "0x700000-0x70ffff and 2 more): the nearest address");
    iommu_fixture_free(fixture);
}

static void last_page_below_two_to_the_64_is_left_out(void **state)
{
    PmIovaRange all = {0, UINT64_MAX};
    PmFakeConfig config;
    IommuFixture *fixture;
    size_t n_ranges;

    (void)state;
    pm_fake_config_init(&config);
    config.iova_ranges = &all;
    config.n_iova_ranges = 1;
    fixture = iommu_fixture_new(&config);
    assert_true(pm_iommu_get_iova_ranges(fixture->iommu, &n_ranges)[0].last == UINT64_MAX - 4096);
    assert_true(pm_iommu_check_range(fixture->iommu, UINT64_MAX - 8191, 4096, NULL));
    assert_not_valid(fixture, UINT64_MAX - 4095, 4096, PM_ERROR_IOVA_RANGE, "0xffffffffffffe000");
    iommu_fixture_free(fixture);
}

/* A page would fit at 0xfef00000. */
static void advised_address_for_blocks_is_aligned_to_them(void **state)
{
    const IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(pm_iommu_check_blocks(fixture->iommu, 0xfe000000, 4 * PM_MIB, BLOCK, NULL));
    assert_false(pm_iommu_check_blocks(fixture->iommu, 0xfee80000, 4 * PM_MIB, BLOCK, &error));
    assert_error(&error, PM_ERROR_IOVA_RANGE, "room for it is 0xff000000");
}

static void blocks_that_do_not_fit_pages_or_the_range_are_refused(void **state)
{
    const IommuFixture *fixture = *state;
    static const uint64_t block_sizes[] = {0, 2048, BLOCK + 2048, 3 * PM_MIB, 8 * PM_MIB};

    for (size_t i = 0; i < G_N_ELEMENTS(block_sizes); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(pm_iommu_check_blocks(fixture->iommu, 0, 4 * PM_MIB, block_sizes[i], &error));
        assert_error(&error, PM_ERROR_UNALIGNED, "");
    }
}

/* So that it takes as long in a large address space: a guest IOMMU makes claims at every MAP. */
static void claiming_addresses_and_releasing_them_makes_no_kernel_call(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_calls;

    fixture_drop_claim(fixture);
    n_calls = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_ANY);
    fixture->claim = fixture_claim(fixture, BASE, BLOCK, BLOCK, NULL);
    assert_non_null(fixture->claim);
    fixture_drop_claim(fixture);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_ANY), n_calls);
}

#define RANGES_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RANGES_TEST(page_sizes_and_ranges_are_the_kernels),
        RANGES_TEST(whole_valid_range_is_accepted),
        RANGES_TEST(range_outside_names_the_nearest_that_fits),
        RANGES_TEST(range_larger_than_all_valid_ones_is_reported),
        RANGES_TEST(range_that_is_empty_or_unaligned_is_refused),
        RANGES_TEST(advised_address_for_blocks_is_aligned_to_them),
        RANGES_TEST(blocks_that_do_not_fit_pages_or_the_range_are_refused),
        cmocka_unit_test(many_ranges_are_abbreviated),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(last_page_below_two_to_the_64_is_left_out)),
        RANGES_TEST(claiming_addresses_and_releasing_them_makes_no_kernel_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
