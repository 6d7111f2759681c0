/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "backend_util.h"
#include "iommu_fixture.h"
#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"

/* With so many mappings and so much locked memory allowed. */
static IommuFixture *make_limited(uint32_t entry_limit, uint64_t memlock_limit)
{
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.entry_limit = entry_limit;
    config.memlock_limit = memlock_limit;
    return iommu_fixture_new(&config);
}

static void assert_over(IommuFixture *fixture, uint64_t n_mappings, uint64_t n_bytes,
                        uint64_t block_size, PmError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_check_budget(fixture->iommu, n_mappings, n_bytes, block_size, &error));
    assert_error(&error, code, words);
}

static void limit_and_what_is_available_are_the_kernels(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_available = 0;

    assert_int_equal(pm_iommu_get_mapping_limit(fixture->iommu), 65535);
    assert_true(pm_iommu_query_available(fixture->iommu, &n_available, NULL));
    assert_int_equal(n_available, 65535);
    assert_true(fixture_map(fixture, 0, 5, NULL));
    assert_true(pm_iommu_query_available(fixture->iommu, &n_available, NULL));
    assert_int_equal(n_available, 65530);
    assert_int_equal(pm_iommu_get_mapping_limit(fixture->iommu), 65535);
}

static void there_is_no_limit_of_mappings(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_available = 0;

    assert_true(pm_iommu_get_mapping_limit(fixture->iommu) == UINT64_MAX);
    assert_true(pm_iommu_query_available(fixture->iommu, &n_available, NULL));
    assert_true(n_available == UINT64_MAX);
    assert_true(pm_iommu_check_budget(fixture->iommu, UINT64_C(1) << 40, BLOCK, 4096, NULL));
}

static void question_for_what_is_available_can_fail(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;
    uint64_t n_available = 7;

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_false(pm_iommu_query_available(fixture->iommu, &n_available, &error));
    assert_error(&error, PM_ERROR_KERNEL, "EIO");
    assert_int_equal(n_available, 7);
}

static void budget_has_room_up_to_the_limit_and_no_further(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);

    (void)state;
    assert_true(fixture_map(fixture, 0, 3, NULL));
    assert_true(pm_iommu_check_budget(fixture->iommu, 5, 5 * BLOCK, BLOCK, NULL));
    assert_over(fixture, 6, 6 * BLOCK, BLOCK, PM_ERROR_LIMIT,
                "6 more mappings would exceed the container's limit of 8 (3 in use, room for 5)");
    assert_over(fixture, UINT64_MAX, UINT64_MAX, 0, PM_ERROR_LIMIT, "18,446,744,073,709,551,615");
    assert_mapped(fixture, 3);
    iommu_fixture_free(fixture);
}

static void advice_is_the_smallest_block_size_that_fits(void **state)
{
    IommuFixture *fixture = make_limited(65535, UINT64_MAX);

    (void)state;
    assert_over(fixture, 65536, 65536 * BLOCK, BLOCK, PM_ERROR_LIMIT,
                "use blocks of at least 4M, or raise "
                "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit to 65536 before the "
                "container is opened");
    assert_over(fixture, 8388608, 16 * PM_TIB, BLOCK, PM_ERROR_LIMIT, "blocks of at least 512M");
    /* 1 TiB and a page in blocks of 4 KiB: 65,535 blocks of 16 MiB are a page too few. */
    assert_over(fixture, 268435201, 65535 * (16 * PM_MIB) + 4096, 4096, PM_ERROR_LIMIT,
                "blocks of at least 32M");
    iommu_fixture_free(fixture);
}

static void there_is_no_advice_on_blocks_of_different_sizes(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_false(pm_iommu_check_budget(fixture->iommu, 9, 9 * BLOCK, 0, &error));
    assert_null(strstr(error->message, "blocks of at least"));
    iommu_fixture_free(fixture);
}

static void full_container_advises_larger_blocks_for_all(void **state)
{
    IommuFixture *fixture = make_limited(4, UINT64_MAX);

    (void)state;
    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_over(fixture, 1, BLOCK, BLOCK, PM_ERROR_LIMIT, "blocks of at least 4M");
    iommu_fixture_free(fixture);
}

static void locked_memory_has_room_up_to_the_limit_and_no_further(void **state)
{
    IommuFixture *fixture = make_limited(65535, 8 * BLOCK);

    (void)state;
    assert_true(fixture_map(fixture, 0, 3, NULL));
    assert_true(pm_iommu_check_budget(fixture->iommu, 5, 5 * BLOCK, BLOCK, NULL));
    assert_over(fixture, 6, 6 * BLOCK, BLOCK, PM_ERROR_LOCKED_MEMORY,
                "12M more of locked memory are needed, and 6M of the limit of 16M are in use: "
                "raise the limit (ulimit -l 18432, LimitMEMLOCK= of the systemd unit)");
    assert_over(fixture, 1, UINT64_MAX, 0, PM_ERROR_LOCKED_MEMORY, "limit of 16M");
    iommu_fixture_free(fixture);
}

static void limit_lowered_below_what_is_used_leaves_no_room(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 3, NULL));
    pm_fake_kernel_set_memlock(fixture->kernel, BLOCK, false);
    assert_over(fixture, 1, 4096, 4096, PM_ERROR_LOCKED_MEMORY, "6M of the limit of 2M");
}

static void cap_ipc_lock_waives_the_locked_memory_limit(void **state)
{
    IommuFixture *fixture = *state;

    pm_fake_kernel_set_memlock(fixture->kernel, BLOCK, true);
    assert_true(pm_iommu_check_budget(fixture->iommu, 9, 9 * BLOCK, BLOCK, NULL));
}

static void locked_memory_is_the_kernels(void **state)
{
    IommuFixture *fixture = make_limited(65535, 8 * BLOCK);
    PmLockedMemory locked;

    (void)state;
    assert_true(fixture_map(fixture, 0, 3, NULL));
    assert_true(pm_iommu_query_locked_memory(fixture->iommu, &locked, NULL));
    assert_int_equal(locked.limit, 8 * BLOCK);
    assert_int_equal(locked.used, 3 * BLOCK);
    assert_false(locked.waived);
    iommu_fixture_free(fixture);
}

/* --- valid ranges --- */

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

static void range_up_to_both_ends_of_a_valid_one_is_right(void **state)
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

static void range_larger_than_all_says_so(void **state)
{
    assert_not_valid(*state, 0, PM_TIB, PM_ERROR_IOVA_RANGE, "none of them is that large");
}

static void range_that_is_empty_or_unaligned_is_refused(void **state)
{
    assert_not_valid(*state, 0, 0, PM_ERROR_INVALID_ARGUMENT, "empty");
    assert_not_valid(*state, 100, 4096, PM_ERROR_UNALIGNED, "I/O address 0x64");
    assert_not_valid(*state, 0, 100, PM_ERROR_UNALIGNED, "size 0x64");
}

static void many_ranges_are_not_all_told(void **state)
{
    PmIovaRange ranges[10];
    PmFakeConfig config;
    IommuFixture *fixture;
    unsigned i;

    (void)state;
    for (i = 0; i < G_N_ELEMENTS(ranges); i++)
        ranges[i] = (PmIovaRange){i * UINT64_C(0x100000), i * UINT64_C(0x100000) + 0xffff};
    pm_fake_config_init(&config);
    config.iova_ranges = ranges;
    config.n_iova_ranges = G_N_ELEMENTS(ranges);
    fixture = iommu_fixture_new(&config);
    assert_not_valid(fixture, 0x20000, 4096, PM_ERROR_IOVA_RANGE,
                     "0x700000–0x70ffff and 2 more): the nearest address");
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

/* --- kept ranges --- */

static void a_range_is_kept_once(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) overlap = NULL;
    g_autoptr(GError) outside = NULL;
    g_autoptr(GError) release = NULL;

    assert_true(pm_iommu_keep_range(fixture->iommu, BASE, 2 * BLOCK, NULL));
    assert_true(pm_iommu_keep_range(fixture->iommu, BASE + 4 * BLOCK, BLOCK, NULL));
    assert_true(pm_iommu_keep_range(fixture->iommu, BASE + 2 * BLOCK, BLOCK, NULL));
    assert_false(pm_iommu_keep_range(fixture->iommu, BASE + BLOCK, 2 * BLOCK, &overlap));
    assert_error(&overlap, PM_ERROR_OVERLAP, "0x100000000–0x1003fffff, which are kept already");
    assert_false(pm_iommu_keep_range(fixture->iommu, 0xfee00000, 4096, &outside));
    assert_error(&outside, PM_ERROR_IOVA_RANGE, "0xfee00000");
    assert_false(pm_iommu_release_range(fixture->iommu, BASE, BLOCK, &release));
    assert_error(&release, PM_ERROR_NOT_FOUND, "are not kept");
    assert_true(pm_iommu_release_range(fixture->iommu, BASE, 2 * BLOCK, NULL));
    assert_true(pm_iommu_keep_range(fixture->iommu, BASE, BLOCK, NULL));
}

static void kept_ranges_are_found_whatever_came_first(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(pm_iommu_keep_range(fixture->iommu, BASE + 4 * BLOCK, BLOCK, NULL));
    assert_true(pm_iommu_keep_range(fixture->iommu, BASE, BLOCK, NULL));
    assert_true(pm_iommu_keep_range(fixture->iommu, BASE + 2 * BLOCK, BLOCK, NULL));
    for (uint64_t i = 0; i <= 4; i += 2) {
        g_autoptr(GError) error = NULL;

        assert_false(pm_iommu_keep_range(fixture->iommu, BASE + i * BLOCK, BLOCK, &error));
        assert_error(&error, PM_ERROR_OVERLAP, "kept already");
    }
}

/* Where the kernel puts a block if it may choose: inside what is to stay valid. */
static uint64_t chosen_place(IommuFixture *fixture)
{
    struct iommu_ioas_map map = {
        .size = sizeof map,
        .flags = IOMMU_IOAS_MAP_READABLE,
        .ioas_id = fixture->hooked.ioas,
        .user_va = (uintptr_t)fixture->memory,
        .length = BLOCK,
    };
    struct iommu_ioas_unmap unmap = {
        .size = sizeof unmap, .ioas_id = fixture->hooked.ioas, .length = BLOCK};
    PmKernel *kernel = fixture->kernel;

    assert_int_equal(kernel->ops->ioctl(kernel, fixture->hooked.iommufd, IOMMU_IOAS_MAP, &map), 0);
    unmap.iova = map.iova;
    assert_int_equal(kernel->ops->ioctl(kernel, fixture->hooked.iommufd, IOMMU_IOAS_UNMAP, &unmap),
                     0);
    return map.iova;
}

static void kernel_is_told_what_is_kept_and_what_no_more(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(pm_iommu_keep_range(fixture->iommu, BASE + 4 * BLOCK, BLOCK, NULL));
    assert_int_equal(chosen_place(fixture), BASE + 4 * BLOCK);
    assert_true(pm_iommu_keep_range(fixture->iommu, BASE, BLOCK, NULL));
    assert_int_equal(chosen_place(fixture), BASE);
    assert_true(pm_iommu_release_range(fixture->iommu, BASE, BLOCK, NULL));
    assert_int_equal(chosen_place(fixture), BASE + 4 * BLOCK);
    assert_true(pm_iommu_release_range(fixture->iommu, BASE + 4 * BLOCK, BLOCK, NULL));
    assert_true(chosen_place(fixture) < BASE);
}

static void a_range_that_the_kernel_does_not_keep_is_not_kept(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, 1, ENOMEM);
    assert_false(pm_iommu_keep_range(fixture->iommu, BASE, BLOCK, &error));
    assert_error(&error, PM_ERROR_KERNEL, "failed: ENOMEM");
    assert_false(pm_iommu_release_range(fixture->iommu, BASE, BLOCK, NULL));
    assert_true(pm_iommu_keep_range(fixture->iommu, BASE, BLOCK, NULL));
}

#define BUDGET_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKEND_IOMMUFD_ONLY(BUDGET_TEST(there_is_no_limit_of_mappings)),
        BACKEND_TYPE1_ONLY(BUDGET_TEST(limit_and_what_is_available_are_the_kernels)),
        BACKEND_TYPE1_ONLY(BUDGET_TEST(question_for_what_is_available_can_fail)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(budget_has_room_up_to_the_limit_and_no_further)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(advice_is_the_smallest_block_size_that_fits)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(there_is_no_advice_on_blocks_of_different_sizes)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(full_container_advises_larger_blocks_for_all)),
        cmocka_unit_test(locked_memory_has_room_up_to_the_limit_and_no_further),
        BUDGET_TEST(limit_lowered_below_what_is_used_leaves_no_room),
        BUDGET_TEST(cap_ipc_lock_waives_the_locked_memory_limit),
        cmocka_unit_test(locked_memory_is_the_kernels),
        BUDGET_TEST(page_sizes_and_ranges_are_the_kernels),
        BUDGET_TEST(range_up_to_both_ends_of_a_valid_one_is_right),
        BUDGET_TEST(range_outside_names_the_nearest_that_fits),
        BUDGET_TEST(range_larger_than_all_says_so),
        BUDGET_TEST(range_that_is_empty_or_unaligned_is_refused),
        BUDGET_TEST(a_range_is_kept_once),
        BUDGET_TEST(kept_ranges_are_found_whatever_came_first),
        BACKEND_IOMMUFD_ONLY(BUDGET_TEST(kernel_is_told_what_is_kept_and_what_no_more)),
        BACKEND_IOMMUFD_ONLY(BUDGET_TEST(a_range_that_the_kernel_does_not_keep_is_not_kept)),
        cmocka_unit_test(many_ranges_are_not_all_told),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(last_page_below_two_to_the_64_is_left_out)),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
