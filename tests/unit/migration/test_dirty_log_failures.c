/* SPDX-License-Identifier: MIT */
/* Whatever fails, no dirty page is lost; and what a dirty log refuses. */
#include "dirty_world.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "util/fork_util.h"

/* Allocations of bitmaps, of which the next ones succeed; -1: all. */
static int n_allowed = -1;

gpointer __real_g_try_malloc0_n(gsize n_blocks, gsize block_size);
gpointer __wrap_g_try_malloc0_n(gsize n_blocks, gsize block_size);

gpointer __wrap_g_try_malloc0_n(gsize n_blocks, gsize block_size)
{
    if (n_allowed == 0)
        return NULL;
    if (n_allowed > 0)
        n_allowed--;
    return __real_g_try_malloc0_n(n_blocks, block_size);
}

static bool try_read(DirtyWorld *world, uint64_t *bitmap, GError **error)
{
    return pm_dirty_log_read(world->log, world->ram, PAGE, bitmap, NULL, error);
}

static bool is_set(const uint64_t *bitmap, uint64_t page)
{
    return bitmap[page / 64] >> page % 64 & 1;
}

/* Two blocks in each region; everything is read, then the device writes, and a block is plugged
 * again. */
static void make_dirty(DirtyWorld *world)
{
    dirty_world_plug(world, 3, 4);
    dirty_world_assert(world, world->ram, "48-111", "48-111");
    dirty_world_write(world, 50);
    dirty_world_write(world, 84);
    dirty_world_unplug(world, 6, 1);
    dirty_world_plug(world, 6, 1);
}

/* What was found before and after a failure is everything. */
static void assert_nothing_lost(DirtyWorld *world, uint64_t *bitmap)
{
    assert_true(try_read(world, bitmap, NULL));
    dirty_world_assert_pages(bitmap, world->tracks ? "50 84 96-111" : "48-111");
}

static void failed_kernel_call_loses_no_dirty_page(void **state)
{
    DirtyWorld *world = *state;
    uint64_t nth = 1;
    bool failed;

    dirty_world_needs_tracking();
    do {
        uint64_t bitmap[N_WORDS] = {0};
        g_autoptr(GError) error = NULL;

        make_dirty(world);
        either_fail(world->kernel, PM_FAKE_CALL_IOCTL, nth++, ENOMEM);
        failed = !try_read(world, bitmap, &error);
        if (failed)
            dirty_world_assert_error(&error, PM_ERROR_KERNEL, "are dirty");
        either_clear_faults(world->kernel);
        assert_nothing_lost(world, bitmap);
        dirty_world_unplug(world, 3, 4);
    } while (failed);
    assert_true(nth > 2);
}

static void failed_allocation_loses_no_dirty_page(void **state)
{
    DirtyWorld *world = *state;
    int n_left = 0;
    bool failed;

    dirty_world_needs_tracking();
    do {
        uint64_t bitmap[N_WORDS] = {0};
        g_autoptr(GError) error = NULL;

        make_dirty(world);
        n_allowed = n_left++;
        failed = !try_read(world, bitmap, &error);
        n_allowed = -1;
        if (failed)
            dirty_world_assert_error(&error, PM_ERROR_MEMORY, "out of memory for the");
        assert_nothing_lost(world, bitmap);
        dirty_world_unplug(world, 3, 4);
    } while (failed);
    assert_true(n_left > 3);
}

/* What was plugged, and not yet read, is read later; and discarded pages do not count. */
static void failed_read_reports_no_discarded_page(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS];

    dirty_world_needs_tracking();
    make_dirty(world);
    memset(bitmap, 0xff, sizeof(bitmap));
    either_fail(world->kernel, PM_FAKE_CALL_IOCTL, 1, ENOMEM);
    assert_false(try_read(world, bitmap, NULL));
    dirty_world_assert_pages(bitmap, "48-111 192-255");
}

static void failed_start_changes_nothing(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(GError) error = NULL;
    uint64_t bitmap = 0;

    dirty_world_needs_tracking();
    either_fail(world->kernel, PM_FAKE_CALL_IOCTL, 1, ENOMEM);
    assert_false(pm_dirty_log_add_iommu(world->log, world->iommu, &error));
    dirty_world_assert_error(&error, PM_ERROR_KERNEL, "starting dirty tracking");
    assert_false(pm_dirty_log_remove_iommu(world->log, world->iommu, &error));
    dirty_world_assert_error(&error, PM_ERROR_NOT_FOUND, "does not have this address space");
    assert_false(pm_iommu_read_dirty(world->iommu, ADDRESS, PAGE, PAGE, &bitmap, &error));
    dirty_world_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "not tracked");
    assert_true(pm_dirty_log_add_iommu(world->log, world->iommu, NULL));
}

static void failed_stop_removes_the_address_space_nevertheless(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(GError) error = NULL;

    dirty_world_needs_tracking();
    either_fail(world->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_false(pm_dirty_log_remove_iommu(world->log, world->iommu, &error));
    dirty_world_assert_error(&error, PM_ERROR_KERNEL, "stopping dirty tracking");
    assert_false(pm_dirty_log_remove_iommu(world->log, world->iommu, &error));
    dirty_world_assert_error(&error, PM_ERROR_NOT_FOUND, "does not have this address space");
}

static void failed_add_of_ram_leaves_it_free(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(GError) error = NULL;
    int n_left = 0;

    for (bool added = false; !added; n_left++) {
        n_allowed = n_left;
        added = pm_dirty_log_add_ram(world->log, world->ram, &error);
        n_allowed = -1;
        if (!added)
            dirty_world_assert_error(&error, PM_ERROR_MEMORY, "out of memory for a dirty log");
        assert_true(n_left < 10);
    }
    assert_true(n_left > 1);
    dirty_world_plug(world, 0, 1);
    dirty_world_assert(world, world->ram, "0-15", "0-15");
}

static void mapping_that_is_rolled_back_is_dirty(void **state)
{
    DirtyWorld *world = *state;
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = world->plain,
        .iova = PM_GIB / 2,
        .size = 64 * PAGE,
        .block_size = 16 * PAGE,
    };
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(world->iommu, &config, NULL);

    dirty_world_assert(world, world->plain, "0-99", "0-99");
    either_fail(world->kernel, PM_FAKE_CALL_MAP, 3, ENOMEM);
    assert_false(pm_iommu_claim_map(claim, 0, 64 * PAGE, 0, PM_IOMMU_READ_WRITE, NULL));
    dirty_world_assert(world, world->plain, "0-31", "0-79");
}

static void blocks_that_may_still_be_mapped_are_read(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_assert(world, world->plain, "0-99", "0-99");
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 1, ENOMEM);
    pm_mapper_free(g_steal_pointer(&world->mapper));
    dirty_world_assert(world, world->plain, "32-79", "32-79");
    world->mapper = pm_mapper_new(world->iommu);
    dirty_world_write_at(world, PLAIN_ADDRESS + PAGE);
    dirty_world_assert(world, world->plain, "33", "32-79");
    assert_true(pm_iommu_settle(world->iommu, NULL));
    dirty_world_assert(world, world->plain, "32-79", "32-79");
    dirty_world_assert(world, world->plain, "", "");
}

/* --- refusals --- */

static void ram_and_address_space_are_added_once(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(GError) error = NULL;

    assert_false(pm_dirty_log_add_iommu(world->log, world->iommu, &error));
    dirty_world_assert_error(&error, PM_ERROR_BUSY, "already has this address space");
    assert_false(pm_dirty_log_add_ram(world->log, world->ram, &error));
    dirty_world_assert_error(&error, PM_ERROR_BUSY, "already has the RAM");
}

static void unknown_ram_is_not_read(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(GError) error = NULL;
    uint64_t bitmap[N_WORDS];

    assert_false(try_read(world, bitmap, &error));
    dirty_world_assert_error(&error, PM_ERROR_NOT_FOUND, "add it first");
}

static void page_size_is_a_power_of_two_of_at_least_a_page(void **state)
{
    DirtyWorld *world = *state;
    const uint64_t wrong[] = {0, 2048, 3 * PAGE};

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t bitmap[N_WORDS];

        assert_false(pm_dirty_log_read(world->log, world->ram, wrong[i], bitmap, NULL, &error));
        dirty_world_assert_error(&error, PM_ERROR_INVALID_ARGUMENT,
                                 "must be a power of two, at least 4K");
    }
}

static void counts_without_a_size_are_refused_before_anything_is_read(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(GError) error = NULL;
    PmDirtyLogCounts counts = {0};
    uint64_t bitmap[N_WORDS] = {0};

    dirty_world_plug(world, 0, 1);
    assert_false(pm_dirty_log_read(world->log, world->ram, PAGE, bitmap, &counts, &error));
    dirty_world_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "PmDirtyLogCounts");
    dirty_world_assert(world, world->ram, "0-15", "0-15");
}

static void device_memory_is_refused(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(GError) error = NULL;
    g_autoptr(PmRam) bar = NULL;
    PmRamAdoption adoption = {.struct_size = sizeof(adoption), .size = PAGE, .device_memory = true};

    adoption.host = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bar = pm_ram_adopt(&adoption, NULL);
    assert_false(pm_dirty_log_add_ram(world->log, bar, &error));
    dirty_world_assert_error(&error, PM_ERROR_UNSUPPORTED, "not guest RAM");
    munmap(adoption.host, PAGE);
}

/* --- tracking --- */

static void tracking_does_not_stop_while_a_log_needs_it(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(GError) error = NULL;

    dirty_world_needs_tracking();
    assert_false(pm_iommu_set_dirty_tracking(world->iommu, false, &error));
    dirty_world_assert_error(&error, PM_ERROR_BUSY, "a dirty log needs dirty tracking");
    assert_true(pm_dirty_log_remove_iommu(world->log, world->iommu, NULL));
    assert_true(pm_iommu_set_dirty_tracking(world->iommu, false, NULL));
}

static bool is_tracking(const DirtyWorld *world)
{
    uint64_t bitmap = 0;

    return pm_iommu_read_dirty(world->iommu, 3 * PM_GIB, PAGE, PAGE, &bitmap, NULL);
}

static void tracking_ends_with_the_last_log(void **state)
{
    DirtyWorld *world = *state;
    PmDirtyLog *other = pm_dirty_log_new();

    assert_true(pm_dirty_log_add_iommu(other, world->iommu, NULL));
    pm_dirty_log_free(other);
    dirty_world_plug(world, 0, 1);
    dirty_world_assert(world, world->ram, "0-15", "0-15");
    dirty_world_write(world, 3);
    dirty_world_assert(world, world->ram, "3", "0-15");
    pm_dirty_log_free(g_steal_pointer(&world->log));
    assert_false(is_tracking(world));
}

static void tracking_that_was_on_before_the_log_stays_on(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_needs_tracking();
    assert_true(pm_iommu_set_dirty_tracking(world->iommu, true, NULL));
    dirty_world_start(world);
    pm_dirty_log_free(g_steal_pointer(&world->log));
    assert_true(is_tracking(world));
}

static void address_space_added_or_removed_later_makes_its_mappings_dirty(void **state)
{
    DirtyWorld *world = *state;

    assert_true(pm_dirty_log_add_ram(world->log, world->ram, NULL));
    dirty_world_plug(world, 0, 1);
    dirty_world_assert(world, world->ram, "0-15", "0-15");
    dirty_world_write(world, 3);
    dirty_world_assert(world, world->ram, "", "");
    assert_true(pm_dirty_log_add_iommu(world->log, world->iommu, NULL));
    dirty_world_assert(world, world->ram, "0-15", "0-15");
    dirty_world_write(world, 4);
    assert_true(pm_dirty_log_remove_iommu(world->log, world->iommu, NULL));
    dirty_world_assert(world, world->ram, "0-15", "0-15");
    dirty_world_assert(world, world->ram, "", "");
}

static void close_iommu(DirtyWorld *world)
{
    g_clear_pointer(&world->engine, pm_dma_engine_free);
    g_clear_pointer(&world->mapper, pm_mapper_free);
    g_clear_pointer(&world->iommu, pm_iommu_unref);
}

static void address_space_that_is_closed_leaves_its_dirty_pages(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_plug(world, 0, 1);
    dirty_world_assert(world, world->ram, "0-15", "0-15");
    dirty_world_write(world, 3);
    close_iommu(world);
    assert_int_equal(either_n_open(world->kernel), 0);
    assert_int_equal(pm_dirty_log_get_kind(world->log), PM_IOMMU_DIRTY_TRACKED);
    dirty_world_assert(world, world->ram, "0-15", "0-15");
    dirty_world_assert(world, world->ram, "", "");
}

/* Its blocks could not be unmapped before, and were read since. */
static void address_space_that_is_closed_leaves_pages_of_abandoned_claims(void **state)
{
    DirtyWorld *world = *state;

    dirty_world_assert(world, world->plain, "0-99", "0-99");
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 1, ENOMEM);
    g_clear_pointer(&world->mapper, pm_mapper_free);
    dirty_world_assert(world, world->plain, "32-79", "32-79");
    dirty_world_write_at(world, PLAIN_ADDRESS);
    close_iommu(world);
    dirty_world_assert(world, world->plain, "32-79", "32-79");
}

/* An address space with a device that cannot track, and one that can. */
static PmIommu *open_mixed(DirtyWorld *world, const char *can)
{
    PmIommu *iommu = NULL;

    dirty_world_needs_tracking();
    assert_true(pm_fake_kernel_add_device(world->kernel, 3, can, "vfio-pci", NULL));
    for (uint64_t nth = 1; iommu == NULL; nth++) {
        either_fail(world->kernel, PM_FAKE_CALL_IOCTL, nth, EOPNOTSUPP);
        iommu = backend_open(world->kernel, 1, NULL);
        either_clear_faults(world->kernel);
    }
    assert_true(pm_iommu_attach(iommu, can, NULL));
    assert_int_equal(pm_iommu_get_dirty_kind(iommu), PM_IOMMU_DIRTY_NONE);
    return iommu;
}

static void assert_plain_is_mapped_dirty(DirtyWorld *world)
{
    dirty_world_assert(world, world->plain, "32-79", "32-79");
}

/* Its start clears the dirty bits. */
static void tracking_that_starts_during_a_log_loses_nothing(void **state)
{
    DirtyWorld *world = *state;
    PmIommu *iommu = open_mixed(world, "0000:00:06.0");
    PmMapper *mapper = pm_mapper_new(iommu);
    PmMapperRegion region =
        dirty_world_region(world->plain, PLAIN_FIRST * PAGE, PLAIN_COUNT * PAGE, PLAIN_ADDRESS);

    assert_true(pm_mapper_add(mapper, &region, NULL));
    assert_true(pm_dirty_log_add_iommu(world->log, iommu, NULL));
    assert_true(pm_dirty_log_add_ram(world->log, world->plain, NULL));
    dirty_world_assert(world, world->plain, "0-99", "0-99");
    assert_plain_is_mapped_dirty(world);
    assert_true(pm_iommu_detach(iommu, "0000:00:05.0", NULL));
    assert_true(pm_iommu_set_dirty_tracking(iommu, true, NULL));
    assert_plain_is_mapped_dirty(world);
    dirty_world_assert(world, world->plain, "", "");
    pm_dirty_log_free(g_steal_pointer(&world->log));
    pm_mapper_free(mapper);
    pm_iommu_unref(iommu);
}

/* It knows more than the first one did when it was made. */
static void second_log_starts_tracking_that_the_first_could_not(void **state)
{
    DirtyWorld *world = *state;
    PmIommu *iommu = open_mixed(world, "0000:00:06.0");
    PmMapper *mapper = pm_mapper_new(iommu);
    PmMapperRegion region =
        dirty_world_region(world->plain, PLAIN_FIRST * PAGE, PLAIN_COUNT * PAGE, PLAIN_ADDRESS);
    PmDirtyLog *second = pm_dirty_log_new();

    assert_true(pm_mapper_add(mapper, &region, NULL));
    assert_true(pm_dirty_log_add_iommu(world->log, iommu, NULL));
    assert_true(pm_dirty_log_add_ram(world->log, world->plain, NULL));
    dirty_world_assert(world, world->plain, "0-99", "0-99");
    assert_true(pm_iommu_detach(iommu, "0000:00:05.0", NULL));
    assert_true(pm_dirty_log_add_iommu(second, iommu, NULL));
    assert_int_equal(pm_dirty_log_get_kind(second), PM_IOMMU_DIRTY_TRACKED);
    assert_plain_is_mapped_dirty(world);
    dirty_world_assert(world, world->plain, "", "");
    pm_dirty_log_free(second);
    pm_dirty_log_free(g_steal_pointer(&world->log));
    pm_mapper_free(mapper);
    pm_iommu_unref(iommu);
}

/* --- fork --- */

static bool only_frees(void *user_data)
{
    DirtyWorld *world = user_data;
    uint64_t bitmap[N_WORDS] = {0};
    GError *errors[5] = {NULL};
    bool done[] = {
        try_read(world, bitmap, &errors[0]),
        pm_dirty_log_add_ram(world->log, world->plain, &errors[1]),
        pm_dirty_log_add_iommu(world->log, world->iommu, &errors[2]),
        pm_dirty_log_remove_iommu(world->log, world->iommu, &errors[3]),
        pm_dirty_log_remove_ram(world->log, world->ram, &errors[4]),
    };
    bool refused = true;

    for (unsigned i = 0; i < G_N_ELEMENTS(done); i++)
        refused &= is_refused(done[i], errors[i]);
    pm_dirty_log_free(world->log);
    return refused;
}

static void child_can_only_free_its_parents_log(void **state)
{
    DirtyWorld *world = *state;

    assert_true(pm_dirty_log_add_ram(world->log, world->ram, NULL));
    for (unsigned i = 0; i < n_ways_to_fork; i++)
        assert_child(ways_to_fork[i], only_frees, world);
    assert_true(pm_dirty_log_add_iommu(world->log, world->iommu, NULL));
    for (unsigned i = 0; i < n_ways_to_fork; i++)
        assert_child(ways_to_fork[i], only_frees, world);
    dirty_world_plug(world, 0, 1);
    dirty_world_assert(world, world->ram, "0-15", "0-15");
}

static void pages_past_the_end_stay_as_the_caller_has_them(void **state)
{
    DirtyWorld *world = *state;
    uint64_t bitmap[N_WORDS] = {0};

    bitmap[1] = UINT64_C(1) << 40;
    assert_true(pm_dirty_log_read(world->log, world->plain, PAGE, bitmap, NULL, NULL));
    assert_true(is_set(bitmap, 99));
    assert_false(is_set(bitmap, 100));
    assert_true(is_set(bitmap, 104));
}

#define LOG_TEST(name)                                                                             \
    cmocka_unit_test_setup_teardown(name, dirty_world_setup, dirty_world_teardown)
#define BARE_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, dirty_world_bare, dirty_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(failed_kernel_call_loses_no_dirty_page),
        LOG_TEST(failed_allocation_loses_no_dirty_page),
        LOG_TEST(failed_read_reports_no_discarded_page),
        BARE_TEST(failed_start_changes_nothing),
        LOG_TEST(failed_stop_removes_the_address_space_nevertheless),
        BARE_TEST(failed_add_of_ram_leaves_it_free),
        LOG_TEST(mapping_that_is_rolled_back_is_dirty),
        LOG_TEST(blocks_that_may_still_be_mapped_are_read),
        LOG_TEST(ram_and_address_space_are_added_once),
        BARE_TEST(unknown_ram_is_not_read),
        LOG_TEST(page_size_is_a_power_of_two_of_at_least_a_page),
        LOG_TEST(counts_without_a_size_are_refused_before_anything_is_read),
        BARE_TEST(device_memory_is_refused),
        LOG_TEST(tracking_does_not_stop_while_a_log_needs_it),
        LOG_TEST(tracking_ends_with_the_last_log),
        BARE_TEST(tracking_that_was_on_before_the_log_stays_on),
        BARE_TEST(address_space_added_or_removed_later_makes_its_mappings_dirty),
        LOG_TEST(address_space_that_is_closed_leaves_its_dirty_pages),
        LOG_TEST(address_space_that_is_closed_leaves_pages_of_abandoned_claims),
        BACKEND_IOMMUFD_ONLY(BARE_TEST(tracking_that_starts_during_a_log_loses_nothing)),
        BACKEND_IOMMUFD_ONLY(BARE_TEST(second_log_starts_tracking_that_the_first_could_not)),
        BARE_TEST(child_can_only_free_its_parents_log),
        LOG_TEST(pages_past_the_end_stay_as_the_caller_has_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
