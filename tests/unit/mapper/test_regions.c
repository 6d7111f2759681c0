/* SPDX-License-Identifier: MIT */
/* One PmRam that backs several regions, in one mapper and in several. */
#include "region_world.h"

#include <errno.h>
#include <string.h>

#include "util/source_util.h"

/* --- plain RAM --- */

static void ram_is_split_around_a_hole(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 0, 12, LOW));
    assert_true(region_add(world, 12, 4, HIGH));
    assert_int_equal(region_n_mappings(world, 0), 2);
    assert_ptr_equal(region_mapped_at(world, LOW), region_host(world, 0));
    assert_ptr_equal(region_mapped_at(world, LOW + 12 * BLOCK - 1), region_host(world, 12) - 1);
    assert_null(region_mapped_at(world, LOW + 12 * BLOCK));
    assert_ptr_equal(region_mapped_at(world, HIGH), region_host(world, 12));
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
}

static void one_piece_of_ram_is_mapped_at_two_addresses(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 4, 8, LOW));
    assert_true(region_add(world, 4, 8, HIGH));
    assert_true(region_add(world, 6, 2, 2 * HIGH));
    assert_ptr_equal(region_mapped_at(world, LOW), region_host(world, 4));
    assert_ptr_equal(region_mapped_at(world, HIGH), region_host(world, 4));
    assert_ptr_equal(region_mapped_at(world, 2 * HIGH), region_host(world, 6));
    assert_int_equal(either_pinned(world->kernel), 18 * BLOCK);
}

static void a_region_is_removed_by_its_guest_address(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(GError) error = NULL;

    assert_true(region_add(world, 4, 8, LOW));
    assert_true(region_add(world, 4, 8, HIGH));
    assert_false(pm_mapper_remove(world->mappers[0], LOW + BLOCK, &error));
    region_assert_code(&error, PM_ERROR_NOT_FOUND, "no region begins at 0x40010000");
    assert_true(pm_mapper_remove(world->mappers[0], LOW, NULL));
    assert_null(region_mapped_at(world, LOW));
    assert_ptr_equal(region_mapped_at(world, HIGH), region_host(world, 4));
    assert_true(pm_mapper_remove(world->mappers[0], HIGH, NULL));
    region_assert_nothing_left(world);
}

/* Plain RAM has no blocks: alignment to the IOMMU's pages suffices. */
static void plain_ram_is_mapped_from_any_page_on(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, 0, 1, LOW + 0x3000);

    region.ram_offset = 0x1000;
    region.size = 0x5000;
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    assert_ptr_equal(region_mapped_at(world, LOW + 0x3000), region_host(world, 0) + 0x1000);
    assert_int_equal(either_pinned(world->kernel), 0x5000);
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
}

/* --- RAM with a manager --- */

static void two_views_of_managed_ram_follow_their_part_of_it(void **state)
{
    RegionWorld *world = *state;
    PmMapperAudit audit = {.struct_size = sizeof(audit)};

    assert_true(region_add(world, 0, 6, LOW));
    assert_true(region_add(world, 6, 10, HIGH));
    assert_true(region_plug(world, 4, 5));
    assert_int_equal(region_n_mappings(world, 0), 5);
    assert_ptr_equal(region_mapped_at(world, LOW + 4 * BLOCK), region_host(world, 4));
    assert_ptr_equal(region_mapped_at(world, HIGH), region_host(world, 6));
    assert_ptr_equal(region_mapped_at(world, HIGH + 2 * BLOCK), region_host(world, 8));
    assert_null(region_mapped_at(world, HIGH + 3 * BLOCK));
    assert_true(pm_mapper_audit(world->mappers[0], NULL, &audit, NULL));
    assert_int_equal(audit.n_populated, 5);
    assert_int_equal(audit.n_mapped, 5);
    assert_true(region_unplug(world, 5, 2));
    assert_null(region_mapped_at(world, LOW + 5 * BLOCK));
    assert_null(region_mapped_at(world, HIGH));
    assert_int_equal(region_n_mappings(world, 0), 3);
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
}

static void aliases_of_managed_ram_are_mapped_and_unmapped_together(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 0, 16, LOW));
    assert_true(region_add(world, 4, 4, HIGH));
    assert_true(region_plug(world, 5, 1));
    assert_ptr_equal(region_mapped_at(world, LOW + 5 * BLOCK), region_host(world, 5));
    assert_ptr_equal(region_mapped_at(world, HIGH + BLOCK), region_host(world, 5));
    assert_true(region_unplug(world, 5, 1));
    assert_int_equal(region_n_mappings(world, 0), 0);
}

static void a_late_region_maps_what_is_plugged_in_its_part(void **state)
{
    RegionWorld *world = *state;
    PmMapperAudit audit = {.struct_size = sizeof(audit)};

    assert_true(region_plug(world, 2, 6));
    assert_true(region_plug(world, 10, 2));
    assert_true(region_add(world, 6, 5, HIGH));
    assert_int_equal(region_n_mappings(world, 0), 3);
    assert_ptr_equal(region_mapped_at(world, HIGH), region_host(world, 6));
    assert_ptr_equal(region_mapped_at(world, HIGH + 4 * BLOCK), region_host(world, 10));
    assert_true(pm_mapper_audit(world->mappers[0], NULL, &audit, NULL));
    assert_int_equal(audit.n_populated, 3);
}

static void only_the_plugged_part_of_a_region_needs_room(void **state)
{
    RegionWorld *world = *state;
    PmMapperRegion region = region_of(world, 4, 8, HIGH);
    g_autoptr(GError) error = NULL;

    region.flags = PM_MAPPER_OVERCOMMIT;
    assert_true(region_plug(world, 0, 5));
    assert_true(region_plug(world, 11, 5));
    either_set_memlock(world->kernel, 2 * BLOCK, false);
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    region.address = LOW;
    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_LOCKED_MEMORY, "128K");
    assert_int_equal(region_n_mappings(world, 0), 2);
}

static void managed_ram_can_be_read_only_in_one_view(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(PmDmaEngine) engine = region_engine(world);
    PmMapperRegion region = region_of(world, 8, 8, HIGH);
    char data[PM_DMA_PAGE];

    region.access = PM_IOMMU_READ;
    memset(data, 'w', sizeof(data));
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    assert_true(region_add(world, 0, 16, LOW));
    assert_true(region_plug(world, 9, 1));
    assert_true(pm_dma_engine_write(engine, HIGH + BLOCK, data, NULL));
    assert_int_equal(*region_host(world, 9), 0);
    assert_true(pm_dma_engine_write(engine, LOW + 9 * BLOCK, data, NULL));
    assert_int_equal(*region_host(world, 9), 'w');
}

static void discarding_all_is_one_unmap_whatever_is_plugged(void **state)
{
    RegionWorld *world = *state;
    uint64_t n_unmaps;

    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    assert_true(region_plug(world, 1, 2));
    assert_true(region_plug(world, 5, 1));
    assert_true(region_plug(world, 8, 4));
    n_unmaps = either_n_calls(world->kernel, PM_FAKE_CALL_UNMAP);
    assert_true(source_discard_all(world->manager, NULL));
    assert_int_equal(either_n_calls(world->kernel, PM_FAKE_CALL_UNMAP), n_unmaps + 1);
    assert_int_equal(region_n_mappings(world, 0), 0);
}

/* --- failures --- */

static void plug_that_fails_in_one_region_is_undone_in_the_other(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 0, 8, LOW));
    assert_true(region_add(world, 8, 8, HIGH));
    assert_true(region_plug(world, 0, 1));
    either_fail(world->kernel, PM_FAKE_CALL_MAP, 4, ENOMEM);
    assert_false(region_plug(world, 6, 4));
    assert_int_equal(region_n_mappings(world, 0), 1);
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
    assert_true(region_plug(world, 6, 4));
    assert_int_equal(region_n_mappings(world, 0), 5);
}

static void unplug_that_fails_in_one_region_is_redone_in_the_other(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 0, 8, LOW));
    assert_true(region_add(world, 8, 8, HIGH));
    assert_true(region_plug(world, 6, 4));
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 2, ENOMEM);
    assert_false(region_unplug(world, 6, 4));
    assert_int_equal(region_n_mappings(world, 0), 4);
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
}

static void assert_quarantined(const RegionWorld *world, uint64_t first, uint64_t n_blocks)
{
    uint64_t offset;
    uint64_t size;

    assert_true(pm_discard_manager_next_quarantined(world->manager, 0, &offset, &size, NULL, NULL));
    assert_int_equal(offset, first * BLOCK);
    assert_int_equal(size, n_blocks * BLOCK);
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), n_blocks * BLOCK);
}

static void unknown_blocks_put_their_ram_into_quarantine(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(GError) error = NULL;

    assert_true(region_add(world, 8, 8, HIGH));
    assert_true(region_plug(world, 9, 4));
    either_shorten_unmap(world->kernel, 1);
    assert_false(region_unplug(world, 10, 2));
    assert_quarantined(world, 10, 2);
    assert_false(pm_mapper_audit(world->mappers[0], NULL, NULL, &error));
    region_assert_code(&error, PM_ERROR_QUARANTINED, "0x100020000");
    assert_true(source_discard_all(world->manager, NULL));
    assert_int_equal(region_n_mappings(world, 0), 0);
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
}

static void removing_the_region_with_unknown_blocks_ends_quarantine(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 0, 8, LOW));
    assert_true(region_add(world, 8, 8, HIGH));
    assert_true(region_plug(world, 6, 6));
    either_shorten_unmap(world->kernel, 1);
    assert_false(region_unplug(world, 10, 2));
    assert_true(pm_mapper_remove(world->mappers[0], HIGH, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
    assert_int_equal(region_n_mappings(world, 0), 2);
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
    assert_true(region_add(world, 8, 8, HIGH));
    assert_int_equal(region_n_mappings(world, 0), 6);
}

static void quarantine_of_other_parts_of_the_ram_does_not_concern_a_mapper(void **state)
{
    RegionWorld *world = *state;
    const PmMapperRegion low = region_of(world, 0, 8, LOW);

    assert_true(region_add(world, 8, 8, HIGH));
    assert_true(pm_mapper_add(world->mappers[1], &low, NULL));
    assert_true(region_plug(world, 6, 6));
    either_shorten_unmap(world->kernel, 1);
    assert_false(region_unplug(world, 10, 2));
    assert_false(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
    assert_true(pm_mapper_audit(world->mappers[1], NULL, NULL, NULL));
    assert_true(region_unplug(world, 6, 2));
}

static void blocks_of_a_freed_mapper_are_settled_at_their_offset(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 8, 8, HIGH));
    assert_true(region_plug(world, 9, 3));
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    g_clear_pointer(&world->mappers[0], pm_mapper_free);
    assert_quarantined(world, 9, 3);
    assert_true(pm_iommu_settle(world->iommus[0], NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
    assert_true(region_unplug(world, 9, 3));
    region_assert_nothing_left(world);
}

#define PLAIN(test)   cmocka_unit_test_setup_teardown(test, region_world_plain, region_world_free)
#define MANAGED(test) cmocka_unit_test_setup_teardown(test, region_world_managed, region_world_free)

int main(void)
{
    const struct CMUnitTest plain[] = {
        PLAIN(ram_is_split_around_a_hole),
        PLAIN(a_region_is_removed_by_its_guest_address),
        PLAIN(one_piece_of_ram_is_mapped_at_two_addresses),
        PLAIN(plain_ram_is_mapped_from_any_page_on),
    };
    const struct CMUnitTest managed[] = {
        MANAGED(two_views_of_managed_ram_follow_their_part_of_it),
        MANAGED(aliases_of_managed_ram_are_mapped_and_unmapped_together),
        MANAGED(a_late_region_maps_what_is_plugged_in_its_part),
        MANAGED(only_the_plugged_part_of_a_region_needs_room),
        MANAGED(managed_ram_can_be_read_only_in_one_view),
        MANAGED(discarding_all_is_one_unmap_whatever_is_plugged),
        MANAGED(plug_that_fails_in_one_region_is_undone_in_the_other),
        MANAGED(unplug_that_fails_in_one_region_is_redone_in_the_other),
        MANAGED(unknown_blocks_put_their_ram_into_quarantine),
        MANAGED(removing_the_region_with_unknown_blocks_ends_quarantine),
        MANAGED(quarantine_of_other_parts_of_the_ram_does_not_concern_a_mapper),
        MANAGED(blocks_of_a_freed_mapper_are_settled_at_their_offset),
    };
    int n_failed = cmocka_run_group_tests(plain, NULL, NULL);

    return n_failed + cmocka_run_group_tests(managed, NULL, NULL);
}
