/* SPDX-License-Identifier: MIT */
/* Dirty pages of type1: every mapped page, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "kernel-uapi/vfio.h"
#include "util/iommu_fixture.h"

#define PAGE    UINT64_C(4096)
#define N_PAGES 256

/* Blocks of @block_size bytes, the first one at page @first. */
static PmIommuClaim *map(IommuFixture *fixture, uint64_t first, uint64_t block_size,
                         uint64_t n_blocks)
{
    g_autoptr(GError) error = NULL;
    PmIommuClaim *claim =
        fixture_claim(fixture, BASE + first * PAGE, n_blocks * block_size, block_size, &error);

    assert_non_null(claim);
    assert_true(pm_iommu_claim_map(claim, 0, n_blocks * block_size, first * PAGE,
                                   PM_IOMMU_READ_WRITE, &error));
    return claim;
}

static int make(void **state)
{
    IommuFixture *fixture = iommu_fixture_new(NULL);

    fixture_drop_claim(fixture);
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    iommu_fixture_free(*state);
    return 0;
}

static void track(IommuFixture *fixture)
{
    assert_true(pm_iommu_set_dirty_tracking(fixture->iommu, true, NULL));
}

/* Expects exactly the pages of @right, in order: 'x' dirty, '.' not; the rest is not. */
static void assert_dirty(IommuFixture *fixture, const char *right)
{
    uint64_t bitmap[N_PAGES / 64] = {0};
    size_t n_right = strlen(right);

    assert_true(pm_iommu_read_dirty(fixture->iommu, BASE, N_PAGES * PAGE, PAGE, bitmap, NULL));
    for (size_t i = 0; i < N_PAGES; i++)
        assert_int_equal(bitmap[i / 64] >> (i % 64) & 1, i < n_right && right[i] == 'x');
}

static void every_mapped_page_is_dirty_on_every_read(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = map(fixture, 0, PAGE, 5);

    assert_non_null(claim);
    track(fixture);
    assert_dirty(fixture, "xxxxx");
    assert_dirty(fixture, "xxxxx");
}

static void container_reports_that_it_knows_only_pinned_pages(void **state)
{
    IommuFixture *fixture = *state;

    assert_int_equal(pm_iommu_get_dirty_kind(fixture->iommu), PM_IOMMU_DIRTY_PINNED);
}

/* The kernel shifts the bits of a mapping that does not begin at a multiple of 64 pages of the
 * request, and reports them again in the next read, past its end. */
static void hole_after_blocks_of_any_size_is_never_dirty(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) small = map(fixture, 1, PAGE, 3);
    g_autoptr(PmIommuClaim) large = map(fixture, 8, 4 * PAGE, 2);

    assert_non_null(large);
    track(fixture);
    for (unsigned i = 0; i < 4; i++)
        assert_dirty(fixture, ".xxx....xxxxxxxx");
    assert_true(pm_iommu_claim_unmap(small, PAGE, PAGE, NULL));
    for (unsigned i = 0; i < 4; i++)
        assert_dirty(fixture, ".x.x....xxxxxxxx");
}

static void bits_that_another_reader_left_past_a_mapping_are_dropped(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = map(fixture, 4, 4 * PAGE, 1);
    uint64_t bitmap = 0;
    const struct vfio_iommu_type1_dirty_bitmap_get get = {
        .iova = BASE,
        .size = 16 * PAGE,
        .bitmap = {.pgsize = PAGE, .size = sizeof bitmap, .data = &bitmap},
    };
    union {
        struct vfio_iommu_type1_dirty_bitmap header;
        char bytes[sizeof(struct vfio_iommu_type1_dirty_bitmap) + sizeof(get)];
    } request = {
        .header = {.argsz = sizeof request, .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP},
    };

    assert_non_null(claim);
    memcpy(request.bytes + sizeof request.header, &get, sizeof get);
    track(fixture);
    assert_int_equal(
        pm_kernel_ioctl(fixture->kernel, fixture->hooked.opened, VFIO_IOMMU_DIRTY_PAGES, &request),
        0);
    assert_int_equal(bitmap, 0xf0);
    assert_dirty(fixture, "....xxxx");
}

static void caller_keeps_the_bits_it_has(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = map(fixture, 2, PAGE, 1);
    uint64_t bitmap[2] = {1, 1};

    assert_non_null(claim);
    track(fixture);
    assert_true(pm_iommu_read_dirty(fixture->iommu, BASE, 128 * PAGE, PAGE, bitmap, NULL));
    assert_int_equal(bitmap[0], 5);
    assert_int_equal(bitmap[1], 1);
}

static void bit_can_stand_for_more_than_a_block(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) small = map(fixture, 7, PAGE, 2);
    g_autoptr(PmIommuClaim) large = map(fixture, 128, 64 * PAGE, 2);
    uint64_t bitmap = 0;

    assert_non_null(large);
    assert_non_null(small);
    track(fixture);
    assert_true(pm_iommu_read_dirty(fixture->iommu, BASE, N_PAGES * PAGE, 8 * PAGE, &bitmap, NULL));
    assert_int_equal(bitmap, 0xffff0003);
    bitmap = 0;
    assert_true(
        pm_iommu_read_dirty(fixture->iommu, BASE, N_PAGES * PAGE, 128 * PAGE, &bitmap, NULL));
    assert_int_equal(bitmap, 3);
}

static uint64_t count_calls(IommuFixture *fixture)
{
    uint64_t before = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL);
    uint64_t bitmap[N_PAGES / 64] = {0};

    assert_true(pm_iommu_read_dirty(fixture->iommu, BASE, N_PAGES * PAGE, PAGE, bitmap, NULL));
    return pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL) - before;
}

static void blocks_of_64_pages_are_read_with_one_call(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = map(fixture, 0, 64 * PAGE, 4);

    assert_non_null(claim);
    track(fixture);
    assert_int_equal(count_calls(fixture), 1);
}

static void smaller_blocks_are_read_one_by_one(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = map(fixture, 0, 32 * PAGE, 4);

    assert_non_null(claim);
    track(fixture);
    assert_int_equal(count_calls(fixture), 4);
}

static void container_without_dirty_pages_is_unsupported(void **state)
{
    IommuFixture *fixture = *state;
    const PmType1Config config = {
        .struct_size = sizeof(config), .kernel = &fixture->hooked.parent, .device = "0000:00:05.0"};
    g_autoptr(PmIommu) iommu = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t bitmap = 0;

    fixture->hooked.hide_capabilities = true;
    assert_true(pm_fake_kernel_add_device(fixture->kernel, 2, "0000:00:05.0", "vfio-pci", NULL));
    iommu = pm_iommu_type1_new(&config, &error);
    assert_non_null(iommu);
    assert_int_equal(pm_iommu_get_dirty_kind(iommu), PM_IOMMU_DIRTY_NONE);
    assert_false(pm_iommu_set_dirty_tracking(iommu, true, &error));
    assert_error(&error, PM_ERROR_UNSUPPORTED, "before Linux 5.8");
    assert_false(pm_iommu_read_dirty(iommu, BASE, PAGE, PAGE, &bitmap, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "not tracked");
}

static void failed_start_leaves_tracking_off(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;
    uint64_t bitmap = 0;

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, 1, ENOMEM);
    assert_false(pm_iommu_set_dirty_tracking(fixture->iommu, true, &error));
    assert_error(&error, PM_ERROR_KERNEL, "starting dirty tracking in the container");
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, PAGE, PAGE, &bitmap, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "not tracked");
}

static void failed_stop_turns_tracking_off(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = map(fixture, 0, PAGE, 1);
    g_autoptr(GError) error = NULL;
    uint64_t bitmap = 0;

    assert_non_null(claim);
    track(fixture);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_false(pm_iommu_set_dirty_tracking(fixture->iommu, false, &error));
    assert_error(&error, PM_ERROR_KERNEL, "stopping dirty tracking in the container");
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, PAGE, PAGE, &bitmap, NULL));
    track(fixture);
    assert_dirty(fixture, "x");
}

static void failed_read_returns_the_bits_it_has_read(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = map(fixture, 0, PAGE, 4);
    g_autoptr(GError) error = NULL;
    uint64_t bitmap = 0;

    assert_non_null(claim);
    track(fixture);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, 3, EIO);
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, 4 * PAGE, PAGE, &bitmap, &error));
    assert_error(&error, PM_ERROR_KERNEL, "0x1000 bytes at I/O address 0x100002000");
    assert_int_equal(bitmap, 3);
}

static void blocks_mapped_and_unmapped_while_tracking_are_right(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = map(fixture, 0, PAGE, 2);
    g_autoptr(PmIommuClaim) later = NULL;

    track(fixture);
    later = map(fixture, 3, PAGE, 2);
    assert_non_null(later);
    assert_dirty(fixture, "xx.xx");
    assert_true(pm_iommu_claim_unmap(claim, 0, PAGE, NULL));
    assert_dirty(fixture, ".x.xx");
}

static void range_that_cuts_a_mapping_is_refused(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = map(fixture, 0, 64 * PAGE, 1);
    g_autoptr(GError) error = NULL;
    uint64_t bitmap = 0;

    assert_non_null(claim);
    track(fixture);
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, 32 * PAGE, PAGE, &bitmap, &error));
    assert_error(&error, PM_ERROR_CUTS_MAPPING, "whole mappings only");
}

#define DIRTY_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIRTY_TEST(every_mapped_page_is_dirty_on_every_read),
        DIRTY_TEST(container_reports_that_it_knows_only_pinned_pages),
        DIRTY_TEST(hole_after_blocks_of_any_size_is_never_dirty),
        DIRTY_TEST(bits_that_another_reader_left_past_a_mapping_are_dropped),
        DIRTY_TEST(caller_keeps_the_bits_it_has),
        DIRTY_TEST(bit_can_stand_for_more_than_a_block),
        DIRTY_TEST(blocks_of_64_pages_are_read_with_one_call),
        DIRTY_TEST(smaller_blocks_are_read_one_by_one),
        DIRTY_TEST(container_without_dirty_pages_is_unsupported),
        DIRTY_TEST(failed_start_leaves_tracking_off),
        DIRTY_TEST(failed_stop_turns_tracking_off),
        DIRTY_TEST(failed_read_returns_the_bits_it_has_read),
        DIRTY_TEST(blocks_mapped_and_unmapped_while_tracking_are_right),
        DIRTY_TEST(range_that_cuts_a_mapping_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
