/* SPDX-License-Identifier: MIT */
/* Dirty page tracking by the IOMMU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "dma/engine.h"
#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "util/iommu_fixture.h"

#define FIRST       "0000:00:04.0"
#define SECOND      "0000:00:05.0"
#define PAGE        UINT64_C(4096)
#define N_PAGES     64
#define MEMORY_SIZE (5 * PM_GIB)

typedef struct {
    PmKernel *kernel;
    HookedKernel hooked;
    PmIommu *iommu; /* of FIRST */
    PmRam *ram;     /* at a multiple of 1 GiB */
    GPtrArray *claims;
} Fixture;

static void add_device(Fixture *fixture, const char *device, int group)
{
    assert_true(
        pm_fake_kernel_add_device(fixture->kernel, (unsigned)group, device, "vfio-pci", NULL));
}

static int make_with(void **state, bool can_track)
{
    Fixture *fixture = g_new0(Fixture, 1);
    PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .device = FIRST, .device_file = "/dev/vfio/devices/vfio0"};
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.iommufd = true;
    config.dirty_tracking = can_track;
    fixture->kernel = pm_fake_kernel_new(&config, NULL);
    add_device(fixture, SECOND, 2);
    hooked_kernel_init(&fixture->hooked, fixture->kernel);
    iommufd.kernel = &fixture->hooked.parent;
    fixture->iommu = pm_iommu_iommufd_new(&iommufd, NULL);
    assert_non_null(fixture->iommu);
    fixture->ram = pm_ram_new(PM_RAM_ANONYMOUS, MEMORY_SIZE, PM_GIB, NULL);
    assert_non_null(fixture->ram);
    fixture->claims = g_ptr_array_new_with_free_func((GDestroyNotify)pm_iommu_claim_unref);
    *state = fixture;
    return 0;
}

static int make(void **state)
{
    return make_with(state, true);
}

static int make_unable(void **state)
{
    return make_with(state, false);
}

static int drop(void **state)
{
    Fixture *fixture = *state;

    g_ptr_array_unref(fixture->claims);
    pm_iommu_unref(fixture->iommu);
    assert_int_equal(fixture->hooked.n_objects, 0);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    pm_kernel_unref(&fixture->hooked.parent);
    pm_kernel_unref(fixture->kernel);
    pm_ram_unref(fixture->ram);
    g_free(fixture);
    return 0;
}

/* In a claim of its own. */
static PmIommuClaim *map(Fixture *fixture, uint64_t offset, uint64_t block_size, uint64_t n_blocks)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = fixture->ram,
        .iova = BASE + offset,
        .size = n_blocks * block_size,
        .block_size = block_size,
    };
    PmIommuClaim *claim = pm_iommu_claim_new(fixture->iommu, &config, NULL);

    assert_non_null(claim);
    g_ptr_array_add(fixture->claims, claim);
    assert_true(pm_iommu_claim_map(claim, 0, config.size, offset, PM_IOMMU_READ_WRITE, NULL));
    return claim;
}

static void unmap(PmIommuClaim *claim, uint64_t offset, uint64_t size)
{
    assert_true(pm_iommu_claim_unmap(claim, offset, size, NULL));
}

static void track(Fixture *fixture)
{
    assert_true(pm_iommu_set_dirty_tracking(fixture->iommu, true, NULL));
}

/* A whole page is written. */
static void write_by(Fixture *fixture, const char *device, uint64_t offset)
{
    g_autoptr(PmDmaEngine) engine =
        pm_dma_engine_attach(fixture->iommu, fixture->kernel, device, BASE, MEMORY_SIZE, NULL);
    char data[PM_DMA_PAGE] = "written";

    assert_non_null(engine);
    assert_true(pm_dma_engine_write(engine, BASE + offset, data, NULL));
}

static void write_page(Fixture *fixture, uint64_t page)
{
    write_by(fixture, FIRST, page * PAGE);
}

/* N_PAGES pages from page @from on; sets at most 64 bits. */
static uint64_t read_from(Fixture *fixture, uint64_t from, uint64_t page_size)
{
    uint64_t bitmap[2] = {0, 0x5a};

    assert_true(pm_iommu_read_dirty(fixture->iommu, BASE + from * PAGE, N_PAGES * PAGE, page_size,
                                    bitmap, NULL));
    assert_int_equal(bitmap[1], 0x5a);
    return bitmap[0];
}

static uint64_t read_dirty(Fixture *fixture)
{
    return read_from(fixture, 0, PAGE);
}

static void written_pages_are_reported_once(void **state)
{
    Fixture *fixture = *state;
    PmIommuClaim *claim = map(fixture, 0, PAGE, 8);

    write_page(fixture, 0);
    track(fixture);
    assert_int_equal(read_dirty(fixture), 0);
    write_page(fixture, 2);
    write_page(fixture, 7);
    assert_int_equal(read_dirty(fixture), 0x84);
    assert_int_equal(read_dirty(fixture), 0);
    assert_true(pm_iommu_set_dirty_tracking(fixture->iommu, false, NULL));
    unmap(claim, 0, 8 * PAGE);
}

static void dirty_pages_are_read_only_while_they_are_tracked(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) before = NULL;
    g_autoptr(GError) after = NULL;
    uint64_t bitmap = 0;

    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, PAGE, PAGE, &bitmap, &before));
    assert_error(&before, PM_ERROR_INVALID_ARGUMENT, "not tracked");
    track(fixture);
    assert_int_equal(read_dirty(fixture), 0);
    assert_true(pm_iommu_set_dirty_tracking(fixture->iommu, false, NULL));
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, PAGE, PAGE, &bitmap, &after));
    assert_error(&after, PM_ERROR_INVALID_ARGUMENT, "not tracked");
}

static void dirty_range_has_to_be_whole_pages(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) power = NULL;
    g_autoptr(GError) size = NULL;
    uint64_t bitmap = 0;

    track(fixture);
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, PAGE, 3 * PAGE, &bitmap, &power));
    assert_error(&power, PM_ERROR_INVALID_ARGUMENT, "power of two");
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, PAGE, 2 * PAGE, &bitmap, &size));
    assert_error(&size, PM_ERROR_UNALIGNED, "whole pages");
}

static void iommu_without_dirty_tracking_is_an_error(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_set_dirty_tracking(fixture->iommu, true, &error));
    assert_error(&error, PM_ERROR_UNSUPPORTED, "the IOMMU of " FIRST);
}

/* --- holes --- */

static void hole_at_the_start_or_in_the_middle_hides_nothing(void **state)
{
    Fixture *fixture = *state;
    PmIommuClaim *claim = map(fixture, 0, PAGE, 8);

    track(fixture);
    unmap(claim, 1 * PAGE, PAGE);
    write_page(fixture, 0);
    write_page(fixture, 2);
    write_page(fixture, 7);
    assert_int_equal(read_dirty(fixture), 0x85);
    unmap(claim, 0, PAGE);
    write_page(fixture, 3);
    write_page(fixture, 7);
    assert_int_equal(read_dirty(fixture), 0x88);
}

/* Those still mapped have dirty pages; the kernel stops at the first hole. */
static void unexpected_holes_hide_nothing(void **state)
{
    Fixture *fixture = *state;
    PmIommuClaim *claim = map(fixture, 0, PAGE, 8);

    track(fixture);
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(pm_iommu_claim_unmap(claim, PAGE, 4 * PAGE, NULL));
    write_page(fixture, 0);
    write_page(fixture, 3);
    write_page(fixture, 4);
    assert_int_equal(read_dirty(fixture), 0x19);
}

static void runs_of_other_block_sizes_are_read_as_well(void **state)
{
    Fixture *fixture = *state;

    map(fixture, 0, PAGE, 4);
    map(fixture, 4 * PAGE, 2 * PAGE, 2);
    map(fixture, 9 * PAGE, PAGE, 1);
    track(fixture);
    write_page(fixture, 3);
    write_page(fixture, 7);
    write_page(fixture, 9);
    assert_int_equal(read_dirty(fixture), 0x288);
}

/* Bits span two words, and the caller's bits stay. */
static void range_can_begin_and_end_anywhere(void **state)
{
    Fixture *fixture = *state;
    uint64_t bitmap[3] = {1, 2, 4};

    map(fixture, 5 * PAGE, PAGE, 60);
    map(fixture, 70 * PAGE, PAGE, 70);
    track(fixture);
    write_page(fixture, 5);
    write_page(fixture, 64);
    write_page(fixture, 70);
    write_page(fixture, 131);
    write_page(fixture, 139);
    assert_true(
        pm_iommu_read_dirty(fixture->iommu, BASE + 3 * PAGE, 129 * PAGE, PAGE, bitmap, NULL));
    assert_int_equal(bitmap[0], 1 | 1 << 2 | UINT64_C(1) << 61);
    assert_int_equal(bitmap[1], 2 | 1 << 3);
    assert_int_equal(bitmap[2], 4 | 1);
    assert_int_equal(read_from(fixture, 76, PAGE), UINT64_C(1) << 63);
}

static void bit_can_stand_for_more_than_a_block(void **state)
{
    Fixture *fixture = *state;

    map(fixture, 1 * PAGE, PAGE, 4);
    map(fixture, 6 * PAGE, PAGE, 1);
    map(fixture, 15 * PAGE, PAGE, 1);
    map(fixture, 16 * PAGE, PAGE, 8);
    map(fixture, 25 * PAGE, 2 * PAGE, 1);
    track(fixture);
    write_page(fixture, 2);
    write_page(fixture, 15);
    write_page(fixture, 23);
    write_page(fixture, 26);
    assert_int_equal(read_from(fixture, 0, 4 * PAGE), 0x69);
    write_page(fixture, 6);
    assert_int_equal(read_from(fixture, 0, 64 * PAGE), 1);
}

/* Takes more than one kernel call. */
static void pages_of_a_large_region_are_all_reported(void **state)
{
    Fixture *fixture = *state;
    const uint64_t n_pages = 4 * PM_GIB / PAGE + 512;
    g_autofree uint64_t *bitmap = g_new0(uint64_t, n_pages / 64);

    map(fixture, 0, 2 * PM_MIB, n_pages / 512);
    track(fixture);
    write_by(fixture, FIRST, 4 * PM_GIB - 2 * PM_MIB);
    write_by(fixture, FIRST, 4 * PM_GIB);
    assert_true(pm_iommu_read_dirty(fixture->iommu, BASE, n_pages * PAGE, PAGE, bitmap, NULL));
    for (uint64_t i = 0; i < n_pages / 64; i++)
        assert_int_equal(bitmap[i], i < n_pages / 64 - 16 ? 0 : UINT64_MAX);
}

/* --- large pages --- */

static void mapping_of_any_size_is_read(void **state)
{
    Fixture *fixture = *state;
    g_autofree uint64_t *bitmap = g_new0(uint64_t, MEMORY_SIZE / PAGE / 64);

    map(fixture, 0, MEMORY_SIZE, 1);
    track(fixture);
    write_by(fixture, FIRST, MEMORY_SIZE - PAGE);
    assert_true(pm_iommu_read_dirty(fixture->iommu, BASE, MEMORY_SIZE, PAGE, bitmap, NULL));
    for (uint64_t i = 0; i < MEMORY_SIZE / PAGE / 64; i++)
        assert_int_equal(bitmap[i], i < (MEMORY_SIZE - PM_GIB) / PAGE / 64 ? 0 : UINT64_MAX);
}

static void assert_cut(Fixture *fixture, uint64_t offset, uint64_t size, const char *words)
{
    uint64_t bitmap[16] = {0};
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE + offset, size, PAGE, bitmap, &error));
    assert_error(&error, PM_ERROR_CUTS_MAPPING, words);
    for (size_t i = 0; i < G_N_ELEMENTS(bitmap); i++)
        assert_int_equal(bitmap[i], 0);
}

static void range_that_cuts_a_mapping_is_refused_and_nothing_is_forgotten(void **state)
{
    Fixture *fixture = *state;
    uint64_t bitmap[8] = {0};

    map(fixture, 0, 2 * PM_MIB, 2);
    track(fixture);
    write_page(fixture, 300);
    assert_cut(fixture, 0, PM_MIB, "cut the mapping of 2M at 0x100000000 at 0x100100000");
    assert_cut(fixture, PM_MIB, PM_MIB, "at 0x100000000 at 0x100100000");
    assert_cut(fixture, PM_MIB, 3 * PM_MIB, "read dirty pages of whole mappings only");
    assert_true(pm_iommu_read_dirty(fixture->iommu, BASE, 2 * PM_MIB, PAGE, bitmap, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(bitmap); i++)
        assert_int_equal(bitmap[i], UINT64_MAX);
}

/* --- several HWPTs --- */

/* In addition to the IOAS. */
static int count_page_tables(const Fixture *fixture)
{
    return fixture->hooked.n_objects - 1;
}

/* The second device's IOMMU cannot use the first's HWPT. */
static void attach_apart(Fixture *fixture)
{
    fixture->hooked.apart = true;
    assert_true(pm_iommu_attach(fixture->iommu, SECOND, NULL));
    assert_int_equal(count_page_tables(fixture), 2);
}

static void fail_request(Fixture *fixture, uint64_t nth)
{
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, nth, EIO);
}

static void pages_that_any_device_wrote_are_reported(void **state)
{
    Fixture *fixture = *state;

    map(fixture, 0, PAGE, 8);
    attach_apart(fixture);
    track(fixture);
    write_by(fixture, FIRST, 0);
    write_by(fixture, SECOND, 3 * PAGE);
    assert_int_equal(read_dirty(fixture), 0x9);
    assert_int_equal(read_dirty(fixture), 0);
}

static void device_attached_while_tracking_is_tracked(void **state)
{
    Fixture *fixture = *state;

    map(fixture, 0, PAGE, 8);
    track(fixture);
    attach_apart(fixture);
    write_by(fixture, SECOND, 5 * PAGE);
    assert_int_equal(read_dirty(fixture), 0x20);
}

static void pages_of_a_detached_device_are_reported(void **state)
{
    Fixture *fixture = *state;

    map(fixture, 0, PAGE, 8);
    attach_apart(fixture);
    track(fixture);
    write_by(fixture, SECOND, 2 * PAGE);
    assert_true(pm_iommu_detach(fixture->iommu, SECOND, NULL));
    assert_int_equal(read_dirty(fixture), 0x4);
    assert_true(pm_iommu_set_dirty_tracking(fixture->iommu, false, NULL));
    assert_int_equal(count_page_tables(fixture), 1);
}

static void page_table_is_destroyed_with_its_device_if_nothing_is_tracked(void **state)
{
    Fixture *fixture = *state;

    attach_apart(fixture);
    assert_true(pm_iommu_detach(fixture->iommu, SECOND, NULL));
    assert_int_equal(count_page_tables(fixture), 1);
}

static void devices_share_a_page_table_if_they_can(void **state)
{
    Fixture *fixture = *state;

    assert_true(pm_iommu_attach(fixture->iommu, SECOND, NULL));
    assert_int_equal(count_page_tables(fixture), 1);
}

static void starting_twice_forgets_nothing(void **state)
{
    Fixture *fixture = *state;

    map(fixture, 0, PAGE, 8);
    track(fixture);
    write_page(fixture, 5);
    track(fixture);
    assert_int_equal(read_dirty(fixture), 0x20);
}

static void failed_start_leaves_tracking_off(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;
    uint64_t bitmap = 0;

    map(fixture, 0, PAGE, 8);
    attach_apart(fixture);
    fail_request(fixture, 2);
    assert_false(pm_iommu_set_dirty_tracking(fixture->iommu, true, &error));
    assert_error(&error, PM_ERROR_KERNEL, "starting dirty tracking in HWPT ");
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, PAGE, PAGE, &bitmap, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "not tracked");
    assert_int_equal(fixture->hooked.n_tracking, 0);
}

/* Continued tracking would have lost earlier writes. */
static void failed_stop_turns_tracking_off(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;
    uint64_t bitmap = 0;

    map(fixture, 0, PAGE, 8);
    attach_apart(fixture);
    track(fixture);
    fail_request(fixture, 1);
    assert_false(pm_iommu_set_dirty_tracking(fixture->iommu, false, &error));
    assert_error(&error, PM_ERROR_KERNEL, "stopping dirty tracking in HWPT ");
    assert_int_equal(fixture->hooked.n_tracking, 1);
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, PAGE, PAGE, &bitmap, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "not tracked");
    write_by(fixture, FIRST, 0);
    track(fixture);
    assert_int_equal(read_dirty(fixture), 0);
    write_by(fixture, FIRST, PAGE);
    assert_int_equal(read_dirty(fixture), 2);
}

static void failed_read_returns_the_bits_it_has_read(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;
    uint64_t bitmap = 0;

    map(fixture, 0, PAGE, 8);
    attach_apart(fixture);
    track(fixture);
    write_by(fixture, FIRST, PAGE);
    write_by(fixture, SECOND, 2 * PAGE);
    fail_request(fixture, 2);
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, 8 * PAGE, PAGE, &bitmap, &error));
    assert_error(&error, PM_ERROR_KERNEL, "0x8000 bytes at I/O address 0x100000000");
    assert_int_equal(bitmap, 2);
    fail_request(fixture, 1);
    assert_false(pm_iommu_read_dirty(fixture->iommu, BASE, 8 * PAGE, PAGE, &bitmap, NULL));
    assert_int_equal(read_dirty(fixture), 4);
}

static void device_without_dirty_tracking_is_refused_while_tracking(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    fixture->hooked.apart = true;
    fixture->hooked.request = IOMMU_HWPT_ALLOC;
    fixture->hooked.result = -EOPNOTSUPP;
    track(fixture);
    assert_false(pm_iommu_attach(fixture->iommu, SECOND, &error));
    assert_error(&error, PM_ERROR_UNSUPPORTED, "its IOMMU does not support it");
    assert_true(pm_iommu_set_dirty_tracking(fixture->iommu, false, NULL));
    assert_true(pm_iommu_attach(fixture->iommu, SECOND, NULL));
    assert_false(pm_iommu_set_dirty_tracking(fixture->iommu, true, &error));
    assert_error(&error, PM_ERROR_UNSUPPORTED, "the IOMMU of " SECOND);
}

static void writes_are_tracked(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(pm_iommu_get_dirty_kind(fixture->iommu), PM_IOMMU_DIRTY_TRACKED);
}

static void iommu_without_dirty_tracking_has_no_kind(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(pm_iommu_get_dirty_kind(fixture->iommu), PM_IOMMU_DIRTY_NONE);
}

static void device_that_is_not_tracked_changes_the_kind(void **state)
{
    Fixture *fixture = *state;

    fixture->hooked.apart = true;
    fixture->hooked.request = IOMMU_HWPT_ALLOC;
    fixture->hooked.result = -EOPNOTSUPP;
    assert_true(pm_iommu_attach(fixture->iommu, SECOND, NULL));
    assert_int_equal(pm_iommu_get_dirty_kind(fixture->iommu), PM_IOMMU_DIRTY_NONE);
    assert_true(pm_iommu_detach(fixture->iommu, SECOND, NULL));
    assert_int_equal(pm_iommu_get_dirty_kind(fixture->iommu), PM_IOMMU_DIRTY_TRACKED);
}

/* Fails binding, allocating the HWPT, starting to track there, or attaching to it. */
static void page_table_is_destroyed_if_attaching_fails(void **state)
{
    Fixture *fixture = *state;

    fixture->hooked.apart = true;
    track(fixture);
    for (uint64_t nth = 1; nth <= 5; nth++) {
        fail_request(fixture, nth);
        assert_false(pm_iommu_attach(fixture->iommu, SECOND, NULL));
        assert_int_equal(count_page_tables(fixture), 1);
    }
    assert_true(pm_iommu_attach(fixture->iommu, SECOND, NULL));
}

#define DIRTY_TEST(name)  cmocka_unit_test_setup_teardown(name, make, drop)
#define UNABLE_TEST(name) cmocka_unit_test_setup_teardown(name, make_unable, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIRTY_TEST(written_pages_are_reported_once),
        DIRTY_TEST(dirty_pages_are_read_only_while_they_are_tracked),
        DIRTY_TEST(dirty_range_has_to_be_whole_pages),
        UNABLE_TEST(iommu_without_dirty_tracking_is_an_error),
        DIRTY_TEST(writes_are_tracked),
        UNABLE_TEST(iommu_without_dirty_tracking_has_no_kind),
        DIRTY_TEST(device_that_is_not_tracked_changes_the_kind),
        DIRTY_TEST(hole_at_the_start_or_in_the_middle_hides_nothing),
        DIRTY_TEST(unexpected_holes_hide_nothing),
        DIRTY_TEST(runs_of_other_block_sizes_are_read_as_well),
        DIRTY_TEST(range_can_begin_and_end_anywhere),
        DIRTY_TEST(bit_can_stand_for_more_than_a_block),
        DIRTY_TEST(pages_of_a_large_region_are_all_reported),
        DIRTY_TEST(mapping_of_any_size_is_read),
        DIRTY_TEST(range_that_cuts_a_mapping_is_refused_and_nothing_is_forgotten),
        DIRTY_TEST(pages_that_any_device_wrote_are_reported),
        DIRTY_TEST(device_attached_while_tracking_is_tracked),
        DIRTY_TEST(pages_of_a_detached_device_are_reported),
        DIRTY_TEST(page_table_is_destroyed_with_its_device_if_nothing_is_tracked),
        DIRTY_TEST(devices_share_a_page_table_if_they_can),
        DIRTY_TEST(starting_twice_forgets_nothing),
        DIRTY_TEST(failed_start_leaves_tracking_off),
        DIRTY_TEST(failed_stop_turns_tracking_off),
        DIRTY_TEST(failed_read_returns_the_bits_it_has_read),
        DIRTY_TEST(device_without_dirty_tracking_is_refused_while_tracking),
        DIRTY_TEST(page_table_is_destroyed_if_attaching_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
