/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>

#include "util/allocation_util.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"

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

static void blocks_of_several_runs_are_unmapped_with_one_call(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    assert_true(pm_iommu_claim_map(fixture->claim, 2 * BLOCK, 2 * BLOCK, 0, PM_IOMMU_READ, NULL));
    assert_true(fixture_unmap(fixture, 1, 2, NULL));
    assert_int_equal(n_unmaps(fixture), 1);
    assert_mapped(fixture, 2);
}

static void other_claims_keep_their_mappings(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) other =
        fixture_claim(fixture, BASE + FIXTURE_MEMORY_SIZE, 4 * BLOCK, BLOCK, NULL);

    assert_true(pm_iommu_claim_map(other, 0, 4 * BLOCK, 0, PM_IOMMU_READ, NULL));
    assert_true(fixture_map(fixture, 60, 4, NULL));
    assert_true(fixture_unmap(fixture, 62, 2, NULL));
    assert_mapped(fixture, 6);
    assert_true(pm_iommu_claim_purge(fixture->claim, NULL));
    assert_mapped(fixture, 4);
    assert_run(fixture, 0, FIXTURE_MEMORY_SIZE / BLOCK, 4);
}

/* --- refused before the kernel is asked --- */

static void assert_refused(IommuFixture *fixture, uint64_t offset, uint64_t size, PmError code,
                           const char *words)
{
    uint64_t n_mappings = pm_iommu_get_n_mappings(fixture->iommu);
    uint64_t n_before = n_unmaps(fixture);
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_claim_unmap(fixture->claim, offset, size, &error));
    assert_error(&error, code, words);
    assert_int_equal(n_unmaps(fixture), n_before);
    assert_mapped(fixture, n_mappings);
}

static void unmap_outside_the_claim_is_refused(void **state)
{
    const uint64_t end = FIXTURE_MEMORY_SIZE;

    assert_refused(*state, 0, 0, PM_ERROR_INVALID_ARGUMENT,
                   "invalid range of 0x0 bytes at offset 0x0: must be");
    assert_refused(*state, end, BLOCK, PM_ERROR_INVALID_ARGUMENT, "invalid range");
    assert_refused(*state, end - BLOCK, 2 * BLOCK, PM_ERROR_INVALID_ARGUMENT, "invalid range");
    assert_refused(*state, BLOCK, UINT64_MAX - BLOCK + 1, PM_ERROR_INVALID_ARGUMENT,
                   "invalid range");
}

static void unmap_of_parts_of_blocks_changes_nothing(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_refused(fixture, 0, BLOCK + 4096, PM_ERROR_UNALIGNED, "not whole blocks of 0x200000");
    assert_refused(fixture, 4096, BLOCK, PM_ERROR_UNALIGNED, "not whole blocks");
    assert_refused(fixture, 1, BLOCK, PM_ERROR_UNALIGNED, "not whole blocks");
}

static void unmap_with_a_hole_names_the_first(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    assert_true(fixture_map(fixture, 3, 2, NULL));
    assert_refused(
        fixture, 0, 5 * BLOCK, PM_ERROR_NO_MAPPING,
        "10M at I/O address 0x100000000 are not entirely mapped: there is a hole at 0x100400000");
    assert_refused(fixture, 2 * BLOCK, BLOCK, PM_ERROR_NO_MAPPING, "hole at 0x100400000");
    assert_refused(fixture, 4 * BLOCK, 4 * BLOCK, PM_ERROR_NO_MAPPING, "hole at 0x100a00000");
}

static void unmap_of_unknown_blocks_is_refused(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 2, EFAULT);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(fixture_map(fixture, 4, 2, NULL));
    assert_refused(fixture, 3 * BLOCK, 2 * BLOCK, PM_ERROR_QUARANTINED, "0x100800000 is in quara");
    assert_refused(fixture, 4 * BLOCK, BLOCK, PM_ERROR_QUARANTINED, "mapped there (unmapping 2M");
    assert_true(fixture_unmap(fixture, 0, 4, NULL));
}

/* One spare is left from the mapping before; a full ledger may need two. */
static void unmap_without_memory_for_the_ledger_does_not_ask_the_kernel(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;
    bool unmapped;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    allocations_end_after(0);
    unmapped = fixture_unmap(fixture, 2, 1, &error);
    allocations_go_on();
    assert_false(unmapped);
    assert_error(&error, PM_ERROR_MEMORY, "out of memory for the list of mappings");
    assert_int_equal(n_unmaps(fixture), 0);
    assert_mapped(fixture, 8);
    assert_true(fixture_unmap(fixture, 2, 1, NULL));
}

/* --- refused by the kernel --- */

typedef struct {
    int error_number; /* 0: the end */
    PmError code;
    const char *words;
} Row;

static void every_errno_has_its_code_and_message(void **state)
{
    static const Row type1[] = {
        {EINVAL, PM_ERROR_KERNEL, "mappings there that this object did not make"},
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
        {ENOENT, PM_ERROR_UNMAP_MISMATCH, "no area there, or one that the range cuts"},
        {EFAULT, PM_ERROR_KERNEL, "could not read the request"},
        {ENOMEM, PM_ERROR_MEMORY, "out of memory"},
        {EBUSY, PM_ERROR_UNMAP_MISMATCH,
         "try again, with a purge: some mappings may already be removed"},
        {EDEADLK, PM_ERROR_UNMAP_MISMATCH, "stop it and try again, with a purge"},
        {ENODEV, PM_ERROR_NOT_FOUND, "is gone"},
        {EINTR, PM_ERROR_KERNEL, "EINTR"},
        {EIO, PM_ERROR_KERNEL, "EIO"},
        {0},
    };
    IommuFixture *fixture = *state;

    for (const Row *row = backend_is_iommufd() ? iommufd : type1; row->error_number != 0; row++) {
        g_autoptr(GError) error = NULL;

        assert_true(fixture_map(fixture, 0, 8, NULL));
        pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, row->error_number);
        assert_false(fixture_unmap(fixture, 3, 2, &error));
        assert_error(&error, row->code, row->words);
        assert_mapped(fixture, 8);
        if (row->code == PM_ERROR_UNMAP_MISMATCH)
            assert_unknown(fixture, 3, 2, row->words);
        else
            assert_run(fixture, 0, 0, 8);
        assert_true(pm_iommu_claim_purge(fixture->claim, NULL));
    }
}

/* The kernel stops at the one in use, and does not report how many it removed before. */
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
    assert_all_known(fixture);
}

static void short_unmap_is_reported_and_leaves_the_blocks_unknown(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 2, 4, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH,
                 "unmapping 0x800000 bytes at I/O address 0x100400000 removed 0x400000 bytes");
    assert_unknown(fixture, 2, 4, "removed 0x400000 bytes");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 8);
    assert_run(fixture, 0, 0, 2);
    assert_run(fixture, 6, 6, 2);
}

static void long_unmap_is_reported_and_leaves_the_blocks_unknown(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->hooked.unmap_size_added = BLOCK;
    assert_false(fixture_unmap(fixture, 0, 1, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH, "removed 0x400000 bytes");
    assert_unknown(fixture, 0, 1, "removed 0x400000 bytes");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 2);
}

static bool unmap_nothing(unsigned long request, void *argument, int *result)
{
    *result = 0;
    if (request == backend_unmap_request())
        backend_set_unmapped(argument, 0);
    return request == backend_unmap_request();
}

static void unmap_of_nothing_is_reported_and_leaves_the_blocks_unknown(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->hooked.answer = unmap_nothing;
    assert_false(fixture_unmap(fixture, 0, 1, &error));
    fixture->hooked.answer = NULL;
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH, "removed 0x0 bytes");
    assert_unknown(fixture, 0, 1, "removed 0x0 bytes");
    assert_mapped(fixture, 2);
}

static void blocks_that_are_known_can_be_used_beside_unknown_ones(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 2, 4, NULL));
    assert_true(fixture_unmap(fixture, 0, 2, NULL));
    assert_true(fixture_unmap(fixture, 6, 2, NULL));
    assert_true(fixture_map(fixture, 1, 1, NULL));
    assert_true(fixture_map(fixture, 6, 3, NULL));
    assert_unknown(fixture, 2, 4, "removed 0x400000 bytes");
}

/* The reason of the latest call is the useful one. */
static void latest_reason_is_reported(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 4, 4, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 0, 2, NULL));
    assert_unknown(fixture, 0, 2, "unmapping 0x400000 bytes");
    assert_true(pm_iommu_claim_purge(fixture->claim, NULL));
    assert_all_known(fixture);
    assert_true(fixture_map(fixture, 0, 2, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 0, 2, NULL));
    assert_unknown(fixture, 0, 2, "unmapping 0x400000 bytes");
}

#define UNMAP_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNMAP_TEST(run_is_unmapped_with_one_call),
        UNMAP_TEST(middle_of_a_run_is_unmapped_alone),
        UNMAP_TEST(blocks_of_several_runs_are_unmapped_with_one_call),
        UNMAP_TEST(other_claims_keep_their_mappings),
        UNMAP_TEST(unmap_outside_the_claim_is_refused),
        UNMAP_TEST(unmap_of_parts_of_blocks_changes_nothing),
        UNMAP_TEST(unmap_with_a_hole_names_the_first),
        UNMAP_TEST(unmap_of_unknown_blocks_is_refused),
        UNMAP_TEST(unmap_without_memory_for_the_ledger_does_not_ask_the_kernel),
        UNMAP_TEST(every_errno_has_its_code_and_message),
        BACKEND_IOMMUFD_ONLY(UNMAP_TEST(one_mapping_that_is_in_use_is_still_there)),
        UNMAP_TEST(short_unmap_is_reported_and_leaves_the_blocks_unknown),
        UNMAP_TEST(long_unmap_is_reported_and_leaves_the_blocks_unknown),
        UNMAP_TEST(unmap_of_nothing_is_reported_and_leaves_the_blocks_unknown),
        UNMAP_TEST(blocks_that_are_known_can_be_used_beside_unknown_ones),
        UNMAP_TEST(latest_reason_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
