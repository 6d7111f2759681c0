/* SPDX-License-Identifier: MIT */
/* What a mapper keeps from being discarded, and for how long. */
#include <errno.h>
#include <string.h>

#include "region_world.h"

#include "util/source_util.h"

static bool discard(RegionWorld *world, uint64_t first, uint64_t n_blocks, GError **error)
{
    return pm_ram_discard(world->ram, first * BLOCK, n_blocks * BLOCK, error);
}

static void assert_refused(RegionWorld *world, uint64_t first, uint64_t n_blocks, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(discard(world, first, n_blocks, &error));
    region_assert_code(&error, PM_ERROR_BUSY, words);
}

/* --- plain RAM --- */

static void mapped_ram_is_not_discarded(void **state)
{
    RegionWorld *world = *state;

    memset(region_host(world, 0), 'x', BLOCK);
    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    assert_refused(world, 0, 1, "the region at 0x100000000 disables all discards of 1M");
    assert_refused(world, 0, 1, "pm_mapper_remove()");
    assert_int_equal(*region_host(world, 0), 'x');
    assert_true(pm_mapper_remove(world->mappers[0], HIGH, NULL));
    assert_true(discard(world, 0, N_BLOCKS, NULL));
    assert_int_equal(*region_host(world, 0), 0);
}

static void ram_beside_a_region_can_be_discarded(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 4, 4, HIGH));
    assert_true(discard(world, 0, 4, NULL));
    assert_true(discard(world, 8, 8, NULL));
    assert_refused(world, 3, 2, "the region at 0x100000000");
    assert_refused(world, 7, 2, "the region at 0x100000000");
}

static void every_region_of_the_ram_counts(void **state)
{
    RegionWorld *world = *state;
    const PmMapperRegion region = region_of(world, 0, 4, LOW);

    assert_true(region_add(world, 2, 4, HIGH));
    assert_true(pm_mapper_add(world->mappers[1], &region, NULL));
    assert_refused(world, 2, 1, "the region at 0x100000000");
    assert_true(pm_mapper_remove(world->mappers[0], HIGH, NULL));
    assert_refused(world, 2, 1, "the region at 0x40000000");
    assert_true(discard(world, 4, 2, NULL));
    assert_true(pm_mapper_remove(world->mappers[1], LOW, NULL));
    assert_true(discard(world, 2, 1, NULL));
}

static void a_region_that_was_refused_disables_nothing(void **state)
{
    RegionWorld *world = *state;

    either_fail(world->kernel, PM_FAKE_CALL_MAP, 1, ENOMEM);
    assert_false(region_add(world, 0, N_BLOCKS, HIGH));
    assert_true(discard(world, 0, N_BLOCKS, NULL));
    region_assert_nothing_left(world);
}

static void ram_of_a_balloon_is_not_mapped(void **state)
{
    RegionWorld *world = *state;
    const PmMapperRegion region = region_of(world, 0, N_BLOCKS, HIGH);
    g_autoptr(GError) error = NULL;
    uint64_t id = pm_ram_claim_discards(world->ram, PM_DISCARD_REQUIRE_UNCOORDINATED, "the balloon",
                                        8 * BLOCK, BLOCK, NULL);

    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_BUSY,
                       "the balloon requires uncoordinated discards of 64K at offset 0x80000");
    assert_int_equal(region_n_mappings(world, 0), 0);
    assert_true(region_add(world, 0, 8, HIGH));
    assert_true(pm_mapper_remove(world->mappers[0], HIGH, NULL));
    assert_true(pm_ram_release_discards(world->ram, id, NULL));
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
}

static void claim_of_a_mapper_is_released_by_unmapping_only(void **state)
{
    RegionWorld *world = *state;
    PmDiscardClaim claim = {.struct_size = sizeof(claim)};
    g_autofree char *owner = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(region_add(world, 4, 4, HIGH));
    assert_true(pm_ram_next_discard_claim(world->ram, 0, &claim, &owner));
    assert_string_equal(owner, "the region at 0x100000000");
    assert_int_equal(claim.kind, PM_DISCARD_DISABLE);
    assert_int_equal(claim.offset, 4 * BLOCK);
    assert_int_equal(claim.size, 4 * BLOCK);
    assert_false(pm_ram_release_discards(world->ram, claim.id, &error));
    region_assert_code(&error, PM_ERROR_PERMISSION, "pm_mapper_remove()");
    assert_refused(world, 4, 1, "the region");
}

static void what_a_freed_mapper_left_mapped_is_not_discarded(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    g_clear_pointer(&world->mappers[0], pm_mapper_free);
    assert_refused(world, 0, 1, "pm_iommu_settle()");
    assert_true(pm_iommu_settle(world->iommus[0], NULL));
    assert_true(discard(world, 0, N_BLOCKS, NULL));
}

static void unknown_blocks_are_not_discarded(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(pm_mapper_remove(world->mappers[0], HIGH, NULL));
    assert_refused(world, 0, 1, "the region at 0x100000000");
    assert_true(pm_mapper_remove(world->mappers[0], HIGH, NULL));
    assert_true(discard(world, 0, 1, NULL));
}

/* --- RAM with a manager --- */

static void a_mapper_that_follows_forbids_uncoordinated_discards_only(void **state)
{
    RegionWorld *world = *state;
    PmDiscardClaim claim = {.struct_size = sizeof(claim)};

    assert_true(region_plug(world, 0, 4));
    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    assert_true(pm_ram_next_discard_claim(world->ram, 0, &claim, NULL));
    assert_int_equal(claim.kind, PM_DISCARD_DISABLE_UNCOORDINATED);
    assert_refused(world, 0, 1, "disables uncoordinated discards");
    assert_refused(world, 8, 1, "disables uncoordinated discards");
    assert_true(region_unplug(world, 0, 4));
    assert_true(region_plug(world, 0, 2));
    assert_true(source_discard_all(world->manager, NULL));
    assert_int_equal(region_n_mappings(world, 0), 0);
}

/* A plug that fails discards the memory it has touched. */
static void the_rollback_of_a_plug_discards(void **state)
{
    RegionWorld *world = *state;
    uint64_t bytes;

    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    either_fail(world->kernel, PM_FAKE_CALL_MAP, 3, ENOMEM);
    assert_false(source_populate(world->manager, 0, 4 * BLOCK, 1, NULL));
    assert_true(pm_ram_resident(world->ram, 0, SIZE, &bytes, NULL));
    assert_int_equal(bytes, 0);
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
}

static void blocks_left_mapped_for_an_earlier_manager_are_not_discarded(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(GError) error = NULL;

    assert_true(region_plug(world, 0, 4));
    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    either_fail(world->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    g_clear_pointer(&world->mappers[0], pm_mapper_free);
    g_clear_pointer(&world->manager, pm_discard_manager_unref);
    assert_refused(world, 0, 1, "the region at 0x100000000");
    world->manager = manager_with_source(world->ram, BLOCK, &error);
    assert_null(world->manager);
    region_assert_code(&error, PM_ERROR_BUSY, "pm_iommu_settle()");
    assert_true(pm_iommu_settle(world->iommus[0], NULL));
    assert_true(discard(world, 0, N_BLOCKS, NULL));
    world->manager = manager_with_source(world->ram, BLOCK, NULL);
    assert_non_null(world->manager);
}

#define PLAIN_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, region_world_plain, region_world_free)
#define MANAGED_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, region_world_managed, region_world_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN_TEST(mapped_ram_is_not_discarded),
        PLAIN_TEST(ram_beside_a_region_can_be_discarded),
        PLAIN_TEST(every_region_of_the_ram_counts),
        PLAIN_TEST(a_region_that_was_refused_disables_nothing),
        PLAIN_TEST(ram_of_a_balloon_is_not_mapped),
        PLAIN_TEST(claim_of_a_mapper_is_released_by_unmapping_only),
        PLAIN_TEST(what_a_freed_mapper_left_mapped_is_not_discarded),
        PLAIN_TEST(unknown_blocks_are_not_discarded),
        MANAGED_TEST(a_mapper_that_follows_forbids_uncoordinated_discards_only),
        MANAGED_TEST(the_rollback_of_a_plug_discards),
        MANAGED_TEST(blocks_left_mapped_for_an_earlier_manager_are_not_discarded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
