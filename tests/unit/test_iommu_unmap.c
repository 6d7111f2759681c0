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

static uint64_t n_unmaps(IommuFixture *fixture)
{
    return pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_UNMAP);
}

static void run_is_unmapped_with_one_call(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 50, NULL));
    assert_true(fixture_unmap(fixture, 0, 50, NULL));
    assert_int_equal(n_unmaps(fixture), 1);
    assert_mapped(fixture, 0);
}

static void middle_of_a_run_is_unmapped_alone(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    assert_true(fixture_unmap(fixture, 3, 2, NULL));
    assert_mapped(fixture, 6);
    assert_run(fixture, 0, 0, 3);
    assert_run(fixture, 3, 5, 3);
}

static void runs_of_several_block_sizes_are_unmapped_together(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    assert_true(pm_iommu_map(fixture->iommu, BASE + 2 * BLOCK, fixture->memory, 4096, 512,
                             PM_IOMMU_READ, NULL));
    assert_true(fixture_unmap(fixture, 1, 2, NULL));
    assert_mapped(fixture, 1);
}

/* --- refused before the kernel is asked --- */

static void assert_refused(IommuFixture *fixture, uint64_t iova, uint64_t size, PmError code,
                           const char *words)
{
    uint64_t n_mappings = pm_iommu_get_n_mappings(fixture->iommu);
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_unmap(fixture->iommu, iova, size, &error));
    assert_error(&error, code, words);
    assert_int_equal(n_unmaps(fixture), 0);
    assert_mapped(fixture, n_mappings);
}

static void unmap_that_is_no_range_is_refused(void **state)
{
    assert_refused(*state, BASE, 0, PM_ERROR_INVALID_ARGUMENT, "empty");
    assert_refused(*state, BASE + 1, BLOCK, PM_ERROR_UNALIGNED, "I/O address");
    assert_refused(*state, BASE, BLOCK + 1, PM_ERROR_UNALIGNED, "size");
    assert_refused(*state, UINT64_MAX - 4095, 8192, PM_ERROR_INVALID_ARGUMENT, "beyond the end");
}

static void unmap_with_a_hole_names_the_first(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    assert_true(fixture_map(fixture, 3, 2, NULL));
    assert_refused(fixture, BASE, 5 * BLOCK, PM_ERROR_NO_MAPPING, "hole at 0x100400000");
    assert_refused(fixture, BASE + 2 * BLOCK, BLOCK, PM_ERROR_NO_MAPPING, "hole at 0x100400000");
    assert_refused(fixture, BASE + 4 * BLOCK, 4 * BLOCK, PM_ERROR_NO_MAPPING,
                   "hole at 0x100a00000");
}

static void unmap_that_cuts_a_mapping_changes_nothing(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_refused(fixture, BASE, BLOCK + 4096, PM_ERROR_CUTS_MAPPING,
                   "mapping of 2M at 0x100200000 at 0x100201000");
    assert_refused(fixture, BASE + 4096, BLOCK, PM_ERROR_CUTS_MAPPING,
                   "mapping of 2M at 0x100000000 at 0x100001000");
    assert_refused(fixture, BASE + 4096, 4096, PM_ERROR_CUTS_MAPPING, "0x100001000");
}

/* --- refused by the kernel --- */

typedef struct {
    int error_number; /* 0: the end */
    PmError code;
    const char *words;
} Row;

static void every_errno_has_its_code_and_sentence(void **state)
{
    static const Row type1[] = {
        {EINVAL, PM_ERROR_KERNEL, "other mappings there"},
        {EFAULT, PM_ERROR_KERNEL, "could not read the request"},
        {ENOMEM, PM_ERROR_MEMORY, "out of memory"},
        {EPERM, PM_ERROR_PERMISSION, "may not unmap here"},
        {EBUSY, PM_ERROR_BUSY, "holds on"},
        {ENODEV, PM_ERROR_NOT_FOUND, "is gone"},
        {EINTR, PM_ERROR_KERNEL, "EINTR"},
        {EIO, PM_ERROR_KERNEL, "EIO"},
        {0},
    };
    static const Row iommufd[] = {
        {ENOENT, PM_ERROR_UNMAP_MISMATCH, "no area there, or one that is only partly in the range"},
        {EFAULT, PM_ERROR_KERNEL, "could not read the request"},
        {ENOMEM, PM_ERROR_MEMORY, "out of memory"},
        {EBUSY, PM_ERROR_UNMAP_MISMATCH,
         "try again, with a purge: some of the mappings may be gone"},
        {EDEADLK, PM_ERROR_UNMAP_MISMATCH, "stop it and try again, with a purge"},
        {ENODEV, PM_ERROR_NOT_FOUND, "is gone"},
        {EINTR, PM_ERROR_KERNEL, "EINTR"},
        {EIO, PM_ERROR_KERNEL, "EIO"},
        {0},
    };
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    for (const Row *row = backend_is_iommufd() ? iommufd : type1; row->error_number != 0; row++) {
        g_autoptr(GError) error = NULL;

        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, row->error_number);
        assert_false(fixture_unmap(fixture, 3, 2, &error));
        assert_error(&error, row->code, row->words);
        assert_mapped(fixture, 8);
        assert_run(fixture, 0, 0, 8);
    }
    assert_true(fixture_unmap(fixture, 3, 2, NULL));
}

/* The kernel stops at the one that is in use, and does not say how many it has removed by then. */
static void one_mapping_that_is_in_use_is_still_there(void **state)
{
    static const int error_numbers[] = {EBUSY, EDEADLK};
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(error_numbers); i++) {
        g_autoptr(GError) error = NULL;

        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, error_numbers[i]);
        assert_false(fixture_unmap(fixture, 3, 1, &error));
        assert_null(strstr(error->message, "purge"));
        assert_error(&error, PM_ERROR_BUSY, "try again");
    }
    assert_mapped(fixture, 8);
}

static void short_unmap_is_told_and_counted_as_mapped(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 2, 4, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH,
                 "unmapping 0x800000 bytes at I/O address 0x100400000 removed 0x400000 bytes");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 8);
    assert_run(fixture, 0, 0, 8);
}

static void long_unmap_is_told(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->hooked.unmap_size_added = BLOCK;
    assert_false(fixture_unmap(fixture, 0, 1, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH, "removed 0x400000 bytes");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 2);
}

/* --- purge --- */

static bool purge(IommuFixture *fixture, uint64_t first, uint64_t count, GError **error)
{
    return pm_iommu_purge(fixture->iommu, BASE + first * BLOCK, count * BLOCK, error);
}

static void purge_after_a_short_unmap_leaves_nothing(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 2, 4, NULL));
    assert_true(purge(fixture, 2, 4, NULL));
    assert_mapped(fixture, 4);
    assert_run(fixture, 0, 0, 2);
    assert_run(fixture, 2, 6, 2);
    assert_true(fixture_map(fixture, 2, 4, NULL));
}

static void purge_goes_on_until_nothing_is_left(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    pm_fake_kernel_shorten_unmap(fixture->kernel, 2);
    assert_true(purge(fixture, 0, 8, NULL));
    assert_int_equal(n_unmaps(fixture), 4);
    assert_mapped(fixture, 0);
}

static void purge_of_holes_and_of_nothing_is_fine(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(purge(fixture, 0, 8, NULL));
    assert_true(fixture_map(fixture, 1, 2, NULL));
    assert_true(fixture_map(fixture, 5, 1, NULL));
    assert_true(purge(fixture, 0, 8, NULL));
    assert_mapped(fixture, 0);
}

static void purge_that_cuts_a_mapping_changes_nothing(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_false(pm_iommu_purge(fixture->iommu, BASE + 4096, BLOCK, &error));
    assert_error(&error, PM_ERROR_CUTS_MAPPING, "0x100001000");
    assert_int_equal(n_unmaps(fixture), 0);
    assert_mapped(fixture, 4);
}

static void purge_that_is_no_range_is_refused(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_purge(fixture->iommu, BASE, 0, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "empty");
    assert_false(pm_iommu_purge(fixture->iommu, BASE + 1, BLOCK, &error));
    assert_error(&error, PM_ERROR_UNALIGNED, "I/O address");
}

static void purge_that_the_kernel_refuses_keeps_the_ledger(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(purge(fixture, 2, 4, &error));
    assert_error(&error, PM_ERROR_KERNEL, "EIO");
    assert_mapped(fixture, 8);
    assert_run(fixture, 0, 0, 8);
}

static void purge_gives_up_on_a_kernel_that_never_ends(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->hooked.unmap_size_added = 4096;
    assert_false(purge(fixture, 0, 2, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH, "16th time");
    assert_int_equal(n_unmaps(fixture), 16);
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 2);
}

/* iommufd has a word of its own for it: ENOENT. */
static void purge_believes_a_kernel_that_finds_nothing(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->hooked.unmap_size_added = 4096;
    assert_true(purge(fixture, 0, 2, NULL));
    assert_int_equal(n_unmaps(fixture), 2);
    assert_mapped(fixture, 0);
}

/* Made behind the object's back, by whoever has the iommufd's descriptor: two blocks from there. */
static void map_secretly(IommuFixture *fixture, uint64_t first)
{
    struct iommu_ioas_map map = {
        .size = sizeof map,
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        .ioas_id = fixture->hooked.ioas,
        .user_va = (uintptr_t)fixture->memory,
        .length = 2 * BLOCK,
        .iova = BASE + first * BLOCK,
    };

    assert_int_equal(
        fixture->kernel->ops->ioctl(fixture->kernel, fixture->hooked.iommufd, IOMMU_IOAS_MAP, &map),
        0);
}

static void assert_purge_fails(IommuFixture *fixture, uint64_t first, uint64_t count,
                               const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(purge(fixture, first, count, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH, words);
}

/* ENOENT is the kernel's word for these, too. */
static void purge_does_not_overlook_what_reaches_beyond_the_range(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    map_secretly(fixture, 2);
    assert_purge_fails(fixture, 0, 3, "a mapping at 0x1005ff000 reaches beyond");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 2);
    assert_purge_fails(fixture, 3, 4, "a mapping at 0x100600000 reaches beyond");
    assert_purge_fails(fixture, 3, 1, "find who else has the iommufd's descriptor");
    assert_true(purge(fixture, 4, 4, NULL));
    assert_true(purge(fixture, 0, 8, NULL));
    assert_mapped(fixture, 0);
}

#define UNMAP_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

static void unmap_all_removes_everything_with_one_call(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(pm_iommu_unmap_all(fixture->iommu, NULL));
    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_true(fixture_map(fixture, 8, 2, NULL));
    assert_true(pm_iommu_unmap_all(fixture->iommu, NULL));
    assert_int_equal(n_unmaps(fixture), 2);
    assert_mapped(fixture, 0);
    assert_int_equal(pm_iommu_get_pinned_bytes(fixture->iommu), 0);
    assert_true(fixture_map(fixture, 0, 10, NULL));
}

static void unmap_all_that_fails_leaves_everything(void **state)
{
    IommuFixture *fixture = *state;
    GError *error = NULL;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, ENODEV);
    assert_false(pm_iommu_unmap_all(fixture->iommu, &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "ENODEV");
    assert_mapped(fixture, 4);
}

static void unmap_all_that_removes_another_size_is_never_success(void **state)
{
    IommuFixture *fixture = *state;
    GError *error = NULL;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(pm_iommu_unmap_all(fixture->iommu, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH, "purge");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNMAP_TEST(run_is_unmapped_with_one_call),
        UNMAP_TEST(unmap_all_removes_everything_with_one_call),
        UNMAP_TEST(unmap_all_that_fails_leaves_everything),
        UNMAP_TEST(unmap_all_that_removes_another_size_is_never_success),
        UNMAP_TEST(middle_of_a_run_is_unmapped_alone),
        UNMAP_TEST(runs_of_several_block_sizes_are_unmapped_together),
        UNMAP_TEST(unmap_that_is_no_range_is_refused),
        UNMAP_TEST(unmap_with_a_hole_names_the_first),
        UNMAP_TEST(unmap_that_cuts_a_mapping_changes_nothing),
        UNMAP_TEST(every_errno_has_its_code_and_sentence),
        BACKEND_IOMMUFD_ONLY(UNMAP_TEST(one_mapping_that_is_in_use_is_still_there)),
        UNMAP_TEST(short_unmap_is_told_and_counted_as_mapped),
        UNMAP_TEST(long_unmap_is_told),
        UNMAP_TEST(purge_after_a_short_unmap_leaves_nothing),
        UNMAP_TEST(purge_goes_on_until_nothing_is_left),
        UNMAP_TEST(purge_of_holes_and_of_nothing_is_fine),
        UNMAP_TEST(purge_that_cuts_a_mapping_changes_nothing),
        UNMAP_TEST(purge_that_is_no_range_is_refused),
        UNMAP_TEST(purge_that_the_kernel_refuses_keeps_the_ledger),
        BACKEND_TYPE1_ONLY(UNMAP_TEST(purge_gives_up_on_a_kernel_that_never_ends)),
        BACKEND_IOMMUFD_ONLY(UNMAP_TEST(purge_does_not_overlook_what_reaches_beyond_the_range)),
        BACKEND_IOMMUFD_ONLY(UNMAP_TEST(purge_believes_a_kernel_that_finds_nothing)),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
