/* SPDX-License-Identifier: MIT */
/* Unmapping with the dirty bits of what is unmapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "dma/engine.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"

#define DEVICE "0000:00:04.0"
#define PAGE   UINT64_C(4096)
#define SMALL  (4 * PAGE)

typedef struct {
    IommuFixture *parent;
    PmIommuClaim *claim; /* 8 blocks of SMALL bytes, all mapped, from BASE on */
    uint64_t bitmap[2];
} Fixture;

static int make(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.dirty_tracking = true;
    fixture->parent = iommu_fixture_new(&config);
    fixture_drop_claim(fixture->parent);
    fixture->claim = fixture_claim(fixture->parent, BASE, 8 * SMALL, SMALL, NULL);
    assert_non_null(fixture->claim);
    assert_true(pm_iommu_claim_map(fixture->claim, 0, 8 * SMALL, 0, PM_IOMMU_READ_WRITE, NULL));
    *state = fixture;
    return 0;
}

static int make_tracked(void **state)
{
    int result = make(state);
    Fixture *fixture = *state;

    assert_true(pm_iommu_set_dirty_tracking(fixture->parent->iommu, true, NULL));
    return result;
}

static int drop(void **state)
{
    Fixture *fixture = *state;

    pm_iommu_claim_unref(fixture->claim);
    iommu_fixture_free(fixture->parent);
    g_free(fixture);
    return 0;
}

static void write_page(Fixture *fixture, uint64_t page)
{
    g_autoptr(PmDmaEngine) engine = pm_dma_engine_attach(
        fixture->parent->iommu, fixture->parent->kernel, DEVICE, BASE, FIXTURE_MEMORY_SIZE, NULL);
    char data[PM_DMA_PAGE] = "written";

    assert_non_null(engine);
    assert_true(pm_dma_engine_write(engine, BASE + page * PAGE, data, NULL));
}

/* Blocks, into fixture->bitmap. */
static bool unmap(Fixture *fixture, uint64_t first, uint64_t n_blocks, GError **error)
{
    return pm_iommu_claim_unmap_dirty(fixture->claim, first * SMALL, n_blocks * SMALL, PAGE,
                                      fixture->bitmap, error);
}

/* type1 reports all pages. */
static uint64_t expect(uint64_t iommufd, uint64_t type1)
{
    return backend_is_iommufd() ? iommufd : type1;
}

static void written_pages_of_unmapped_blocks_are_reported(void **state)
{
    Fixture *fixture = *state;

    write_page(fixture, 6);
    write_page(fixture, 12);
    fixture->bitmap[1] = 0x5a;
    assert_true(unmap(fixture, 1, 3, NULL));
    assert_int_equal(fixture->bitmap[0], expect(1 << 2 | 1 << 8, 0xfff));
    assert_int_equal(fixture->bitmap[1], 0x5a);
    assert_int_equal(pm_iommu_get_n_mappings(fixture->parent->iommu), 5);
}

static void blocks_are_unmapped_with_one_call(void **state)
{
    Fixture *fixture = *state;
    uint64_t before = pm_fake_kernel_get_n_calls(fixture->parent->kernel, PM_FAKE_CALL_UNMAP);

    assert_true(unmap(fixture, 0, 8, NULL));
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->parent->kernel, PM_FAKE_CALL_UNMAP),
                     before + 1);
}

static void other_blocks_keep_their_dirty_bits(void **state)
{
    Fixture *fixture = *state;
    uint64_t bitmap = 0;

    write_page(fixture, 0);
    write_page(fixture, 31);
    assert_true(unmap(fixture, 1, 6, NULL));
    assert_true(pm_iommu_read_dirty(fixture->parent->iommu, BASE, 8 * SMALL, PAGE, &bitmap, NULL));
    assert_int_equal(bitmap, expect(1 | UINT64_C(1) << 31, UINT64_C(0xf000000f)));
}

static void bit_can_stand_for_more_than_a_block(void **state)
{
    Fixture *fixture = *state;

    write_page(fixture, 9);
    assert_true(
        pm_iommu_claim_unmap_dirty(fixture->claim, 0, 4 * SMALL, 2 * SMALL, fixture->bitmap, NULL));
    assert_int_equal(fixture->bitmap[0], expect(2, 3));
}

static void unmap_without_tracking_changes_nothing(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_false(unmap(fixture, 0, 1, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "not tracked");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->parent->iommu), 8);
}

static void unmap_of_a_hole_changes_nothing(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(pm_iommu_claim_unmap(fixture->claim, SMALL, SMALL, NULL));
    assert_false(unmap(fixture, 0, 2, &error));
    assert_error(&error, PM_ERROR_NO_MAPPING, "there is a hole at 0x100004000");
    assert_int_equal(fixture->bitmap[0], 0);
}

static void range_has_to_be_whole_pages(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_claim_unmap_dirty(fixture->claim, SMALL, SMALL, 2 * SMALL,
                                            fixture->bitmap, &error));
    assert_error(&error, PM_ERROR_UNALIGNED, "whole pages");
    assert_false(
        pm_iommu_claim_unmap_dirty(fixture->claim, 0, PAGE, PAGE, fixture->bitmap, &error));
    assert_error(&error, PM_ERROR_UNALIGNED, "whole blocks");
}

/* Fails each kernel call: the bits are in the bitmap, or still there to be read. */
static void failed_unmap_loses_no_dirty_bit(void **state)
{
    Fixture *fixture = *state;
    uint64_t n_calls = backend_is_iommufd() ? 2 : 1;

    write_page(fixture, 5);
    for (uint64_t nth = 1; nth <= n_calls; nth++) {
        g_autoptr(GError) error = NULL;

        fixture->bitmap[0] = 0;
        pm_fake_kernel_fail(fixture->parent->kernel, PM_FAKE_CALL_IOCTL, nth, ENOMEM);
        assert_false(unmap(fixture, 0, 8, &error));
        assert_int_equal(pm_error_get_errno(error), ENOMEM);
        assert_int_equal(pm_iommu_get_n_mappings(fixture->parent->iommu), 8);
    }
    fixture->bitmap[0] = 0;
    assert_true(unmap(fixture, 0, 8, NULL));
    assert_int_equal(fixture->bitmap[0], expect(1 << 5, UINT32_MAX));
}

static void released_claim_is_refused(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(pm_iommu_claim_release(fixture->claim, NULL));
    assert_false(unmap(fixture, 0, 1, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "has been released");
}

#define TRACKED_TEST(name) cmocka_unit_test_setup_teardown(name, make_tracked, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRACKED_TEST(written_pages_of_unmapped_blocks_are_reported),
        TRACKED_TEST(blocks_are_unmapped_with_one_call),
        TRACKED_TEST(other_blocks_keep_their_dirty_bits),
        TRACKED_TEST(bit_can_stand_for_more_than_a_block),
        cmocka_unit_test_setup_teardown(unmap_without_tracking_changes_nothing, make, drop),
        TRACKED_TEST(unmap_of_a_hole_changes_nothing),
        TRACKED_TEST(range_has_to_be_whole_pages),
        TRACKED_TEST(failed_unmap_loses_no_dirty_bit),
        TRACKED_TEST(released_claim_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
