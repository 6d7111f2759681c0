/* SPDX-License-Identifier: MIT */
/* What a dirty log reports. */
#include "dirty_world.h"

#include <string.h>

static void first_read_returns_all_that_is_plugged(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_plug(world, 1, 2);
    dirty_world_plug(world, 11, 1);
    dirty_world_assert(world, world->ram, "16-47 176-191", "16-47 176-191");
    assert_int_equal(world->counts.n_first, 48);
    assert_int_equal(world->counts.n_dirty, 48);
    dirty_world_assert(world, world->plain, "0-99", "0-99");
    assert_int_equal(world->counts.n_first, 100);
}

static void later_reads_return_what_devices_wrote(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_plug(world, 4, 2);
    dirty_world_assert(world, world->ram, "64-95", "64-95");
    dirty_world_write(world, 79);
    dirty_world_write(world, 80);
    dirty_world_assert(world, world->ram, "79-80", "64-95");
    assert_int_equal(world->counts.n_device, world->tracks ? 2 : 32);
    assert_int_equal(world->counts.n_first, 0);
    dirty_world_assert(world, world->ram, "", "64-95");
}

/* The IOMMU that reports nothing. */
static void everything_mapped_is_dirty_without_tracking(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_plug(world, 4, 2);
    dirty_world_assert(world, world->ram, "", "64-95");
    dirty_world_assert(world, world->ram, "", "64-95");
    assert_int_equal(world->counts.n_device, 32);
    dirty_world_unplug(world, 4, 1);
    dirty_world_assert(world, world->ram, "", "80-95");
}

static void kind_is_that_of_the_address_space(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_needs_tracking();
    assert_int_equal(pm_dirty_log_get_kind(world->log), pm_iommu_get_dirty_kind(world->iommu));
    assert_int_equal(pm_dirty_log_get_kind(world->log),
                     backend_is_iommufd() ? PM_IOMMU_DIRTY_TRACKED : PM_IOMMU_DIRTY_PINNED);
}

static void kind_is_none_if_the_iommu_reports_nothing(void **state)
{
    DirtyWorld *world = *state;

    assert_int_equal(pm_dirty_log_get_kind(world->log), PM_IOMMU_DIRTY_NONE);
}

static void pages_of_the_cpu_stay_dirty(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS] = {0};

    dirty_world_plug(world, 0, 1);
    dirty_world_read(world, world->ram, PAGE, bitmap);
    memset(bitmap, 0, sizeof(bitmap));
    bitmap[0] = 1 << 3;
    dirty_world_write(world, 5);
    dirty_world_read(world, world->ram, PAGE, bitmap);
    dirty_world_assert_pages(bitmap, world->tracks ? "3 5" : "0-15");
    assert_int_equal(world->counts.n_caller, world->tracks ? 1 : 0);
    assert_int_equal(world->counts.n_dirty, world->tracks ? 2 : 16);
}

static void discarded_pages_never_count(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS];

    dirty_world_plug(world, 1, 3);
    dirty_world_write(world, 40);
    dirty_world_unplug(world, 2, 1);
    memset(bitmap, 0xff, sizeof(bitmap));
    dirty_world_read(world, world->ram, PAGE, bitmap);
    dirty_world_assert_pages(bitmap, "16-31 48-63 192-255");
    assert_int_equal(world->counts.n_dirty, 32);
}

static void block_plugged_again_within_a_round_is_dirty(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_plug(world, 0, 2);
    dirty_world_assert(world, world->ram, "0-31", "0-31");
    dirty_world_unplug(world, 1, 1);
    dirty_world_plug(world, 1, 1);
    dirty_world_assert(world, world->ram, "16-31", "0-31");
    assert_int_equal(world->counts.n_plugged, 16);
    assert_int_equal(world->counts.n_first, 0);
    dirty_world_assert(world, world->ram, "", "0-31");
}

static void page_larger_than_a_block_is_dirty_if_any_of_its_blocks_is(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS] = {0};

    dirty_world_plug(world, 1, 1);
    dirty_world_plug(world, 8, 2);
    dirty_world_read(world, world->ram, 4 * BLOCK, bitmap);
    dirty_world_assert_pages(bitmap, "0 2");
    memset(bitmap, 0, sizeof(bitmap));
    dirty_world_write(world, 20);
    dirty_world_read(world, world->ram, 4 * BLOCK, bitmap);
    dirty_world_assert_pages(bitmap, world->tracks ? "0" : "0 2");
    assert_int_equal(world->counts.n_dirty, world->tracks ? 1 : 2);
}

static void page_larger_than_a_block_is_clean_only_if_nothing_in_it_is_plugged(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS] = {7};

    dirty_world_plug(world, 7, 1);
    dirty_world_read(world, world->ram, 4 * BLOCK, bitmap);
    dirty_world_assert_pages(bitmap, "1");
}

static void unplugged_block_makes_no_larger_page_dirty(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS] = {0};

    dirty_world_plug(world, 4, 2);
    dirty_world_assert(world, world->ram, "64-95", "64-95");
    dirty_world_unplug(world, 4, 1);
    dirty_world_read(world, world->ram, 2 * BLOCK, bitmap);
    dirty_world_assert_pages(bitmap, world->tracks ? "" : "2");
    assert_int_equal(world->counts.n_plugged, 0);
}

static void page_can_be_larger_than_the_ram(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS] = {2};

    dirty_world_plug(world, 11, 1);
    dirty_world_read(world, world->ram, PM_GIB, bitmap);
    dirty_world_assert_pages(bitmap, "0-1");
    assert_int_equal(world->counts.n_dirty, 1);
}

static void page_size_may_change_between_reads(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS] = {0};

    dirty_world_plug(world, 0, 2);
    dirty_world_assert(world, world->ram, "0-31", "0-31");
    dirty_world_write(world, 17);
    dirty_world_read(world, world->ram, 2 * PAGE, bitmap);
    dirty_world_assert_pages(bitmap, world->tracks ? "8" : "0-15");
    dirty_world_write(world, 17);
    dirty_world_assert(world, world->ram, "17", "0-31");
}

/* The region begins at page 32 of the RAM, and elsewhere in the I/O addresses. */
static void bits_stand_for_pages_of_the_ram_not_for_io_addresses(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS] = {0};

    dirty_world_assert(world, world->plain, "0-99", "0-99");
    dirty_world_write_at(world, PLAIN_ADDRESS);
    dirty_world_write_at(world, PLAIN_ADDRESS + 47 * PAGE);
    dirty_world_assert(world, world->plain, "32 79", "32-79");
    dirty_world_write_at(world, PLAIN_ADDRESS + PAGE);
    dirty_world_read(world, world->plain, 64 * PAGE, bitmap);
    dirty_world_assert_pages(bitmap, world->tracks ? "0" : "0-1");
}

/* The pages of the bitmap are not those of the I/O addresses. */
static void mapping_may_begin_anywhere_in_a_page(void **state)
{
    DirtyWorld *world = *state;
    const PmMapperRegion region = dirty_world_region(world->plain, PAGE, 4 * PAGE, PM_GIB / 2);
    uint64_t bitmap[N_WORDS] = {0};

    dirty_world_read(world, world->plain, 4 * PAGE, bitmap);
    memset(bitmap, 0, sizeof(bitmap));
    dirty_world_add_region(world, &region);
    dirty_world_write_at(world, PM_GIB / 2 + 3 * PAGE);
    dirty_world_read(world, world->plain, 4 * PAGE, bitmap);
    dirty_world_assert_pages(bitmap, world->tracks ? "1" : "0-1 8-19");
}

static void ram_at_two_addresses_is_dirty_through_either(void **state)
{
    DirtyWorld *world = *state;
    const PmMapperRegion alias = dirty_world_region(world->plain, 0, 64 * PAGE, PM_GIB / 2);

    dirty_world_add_region(world, &alias);
    dirty_world_assert(world, world->plain, "0-99", "0-99");
    dirty_world_write_at(world, PM_GIB / 2 + 40 * PAGE);
    dirty_world_write_at(world, PLAIN_ADDRESS + 9 * PAGE);
    dirty_world_assert(world, world->plain, "40-41", "0-79");
}

static void rom_is_never_written_by_devices(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(PmRam) rom = pm_ram_new(PM_RAM_MEMFD, 4 * PAGE, 0, NULL);
    PmMapperRegion region = dirty_world_region(rom, 0, 4 * PAGE, PM_GIB / 2);

    region.access = PM_IOMMU_READ;
    dirty_world_add_region(world, &region);
    assert_true(pm_dirty_log_add_ram(world->log, rom, NULL));
    dirty_world_assert(world, rom, "0-3", "0-3");
    dirty_world_assert(world, rom, "", "");
}

/* Its dirty bits are gone with the mapping. */
static void removed_region_is_dirty(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_plug(world, 4, 2);
    dirty_world_assert(world, world->ram, "64-95", "64-95");
    dirty_world_assert(world, world->plain, "0-99", "0-99");
    dirty_world_write(world, 64);
    assert_true(pm_mapper_remove(world->mapper, ADDRESS, NULL));
    assert_true(pm_mapper_remove(world->mapper, PLAIN_ADDRESS, NULL));
    dirty_world_assert(world, world->ram, "64-79", "64-95");
    assert_int_equal(world->counts.n_plugged, 16);
    dirty_world_assert(world, world->plain, "32-79", "32-79");
    dirty_world_assert(world, world->ram, "", "80-95");
    dirty_world_assert(world, world->plain, "", "");
}

static void region_that_stays_after_a_failed_removal_loses_nothing(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_plug(world, 0, 1);
    dirty_world_assert(world, world->ram, "0-15", "0-15");
    dirty_world_write(world, 9);
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 1, ENOMEM);
    assert_false(pm_mapper_remove(world->mapper, ADDRESS, NULL));
    dirty_world_assert(world, world->ram, "0-15", "0-15");
}

static bool accept(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data;
    (void)offset;
    (void)size;
    (void)error;
    return true;
}

static bool refuse(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data;
    (void)offset;
    (void)size;
    g_set_error_literal(error, PM_ERROR, PM_ERROR_BUSY, "refused");
    return false;
}

/* The mapper has unmapped before another listener fails, and maps again. */
static void unplug_that_is_undone_loses_nothing(void **state)
{
    DirtyWorld *world = *state;
    const PmDiscardListenerOps ops = {
        .struct_size = sizeof(ops), .populate = accept, .discard = refuse};
    PmDiscardManager *manager = pm_virtio_mem_get_manager(world->device);
    PmVirtioMemRequest request;
    PmVirtioMemResponse response;

    assert_non_null(
        pm_discard_manager_register(manager, &ops, NULL, "the test", 0, N_BLOCKS * BLOCK, NULL));
    dirty_world_start(world);
    dirty_world_plug(world, 2, 2);
    dirty_world_assert(world, world->ram, "32-63", "32-63");
    dirty_world_write(world, 33);
    pm_virtio_mem_request_init(&request, PM_VIRTIO_MEM_UNPLUG, ADDRESS + 2 * BLOCK, 1);
    assert_true(pm_virtio_mem_handle(world->device, &request, sizeof(request), &response,
                                     sizeof(response), NULL));
    assert_int_equal(pm_virtio_mem_last_refusal(world->device, NULL), PM_REFUSAL_LISTENER);
    dirty_world_assert(world, world->ram, "32-47", "32-63");
}

static void plug_that_fails_makes_nothing_dirty(void **state)
{
    DirtyWorld *world = *state;
    const PmDiscardListenerOps ops = {
        .struct_size = sizeof(ops), .populate = refuse, .discard = accept};
    PmDiscardManager *manager = pm_virtio_mem_get_manager(world->device);
    PmDiscardListener *listener;
    PmVirtioMemRequest request;
    PmVirtioMemResponse response;

    dirty_world_plug(world, 0, 1);
    dirty_world_assert(world, world->ram, "0-15", "0-15");
    listener = pm_discard_manager_register(manager, &ops, NULL, "the test", BLOCK,
                                           (N_BLOCKS - 1) * BLOCK, NULL);
    pm_virtio_mem_request_init(&request, PM_VIRTIO_MEM_PLUG, ADDRESS + BLOCK, 2);
    assert_true(pm_virtio_mem_handle(world->device, &request, sizeof(request), &response,
                                     sizeof(response), NULL));
    assert_int_equal(pm_virtio_mem_last_refusal(world->device, NULL), PM_REFUSAL_LISTENER);
    dirty_world_assert(world, world->ram, "", "0-15");
    pm_discard_manager_drop(manager, listener);
}

static void unplug_all_and_plugging_again_makes_dirty(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_plug(world, 0, 2);
    dirty_world_assert(world, world->ram, "0-31", "0-31");
    assert_true(pm_virtio_mem_system_reset(world->device, NULL));
    dirty_world_assert(world, world->ram, "", "");
    dirty_world_plug(world, 1, 1);
    dirty_world_assert(world, world->ram, "16-31", "16-31");
}

static void region_added_later_is_read_as_well(void **state)
{
    DirtyWorld *world = *state;
    const PmMapperRegion region = dirty_world_region(world->plain, 0, PAGE, PM_GIB / 2);

    dirty_world_assert(world, world->plain, "0-99", "0-99");
    dirty_world_add_region(world, &region);
    dirty_world_write_at(world, PM_GIB / 2);
    dirty_world_assert(world, world->plain, "0", "0 32-79");
}

static void counts_of_an_older_program_are_filled_as_far_as_it_knows_them(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS] = {0};
    PmDirtyLogCounts counts = {.struct_size = offsetof(PmDirtyLogCounts, n_first), .n_first = 77};

    dirty_world_plug(world, 0, 1);
    assert_true(pm_dirty_log_read(world->log, world->ram, PAGE, bitmap, &counts, NULL));
    assert_int_equal(counts.n_dirty, 16);
    assert_int_equal(counts.n_first, 77);
    assert_true(pm_dirty_log_read(world->log, world->ram, PAGE, bitmap, NULL, NULL));
}

#define LOG_TEST(name)                                                                             \
    cmocka_unit_test_setup_teardown(name, dirty_world_setup, dirty_world_teardown)
#define UNTRACKED_TEST(name)                                                                       \
    cmocka_unit_test_setup_teardown(name, dirty_world_setup_untracked, dirty_world_teardown)
#define BARE_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, dirty_world_bare, dirty_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(first_read_returns_all_that_is_plugged),
        LOG_TEST(later_reads_return_what_devices_wrote),
        UNTRACKED_TEST(everything_mapped_is_dirty_without_tracking),
        LOG_TEST(kind_is_that_of_the_address_space),
        LOG_TEST(pages_of_the_cpu_stay_dirty),
        LOG_TEST(discarded_pages_never_count),
        LOG_TEST(block_plugged_again_within_a_round_is_dirty),
        LOG_TEST(page_larger_than_a_block_is_dirty_if_any_of_its_blocks_is),
        LOG_TEST(page_larger_than_a_block_is_clean_only_if_nothing_in_it_is_plugged),
        LOG_TEST(unplugged_block_makes_no_larger_page_dirty),
        LOG_TEST(page_can_be_larger_than_the_ram),
        LOG_TEST(page_size_may_change_between_reads),
        LOG_TEST(bits_stand_for_pages_of_the_ram_not_for_io_addresses),
        LOG_TEST(mapping_may_begin_anywhere_in_a_page),
        LOG_TEST(ram_at_two_addresses_is_dirty_through_either),
        LOG_TEST(rom_is_never_written_by_devices),
        LOG_TEST(removed_region_is_dirty),
        LOG_TEST(region_that_stays_after_a_failed_removal_loses_nothing),
        BARE_TEST(unplug_that_is_undone_loses_nothing),
        LOG_TEST(plug_that_fails_makes_nothing_dirty),
        LOG_TEST(unplug_all_and_plugging_again_makes_dirty),
        LOG_TEST(region_added_later_is_read_as_well),
        LOG_TEST(counts_of_an_older_program_are_filled_as_far_as_it_knows_them),
        BACKEND_IOMMUFD_ONLY(UNTRACKED_TEST(kind_is_none_if_the_iommu_reports_nothing)),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
