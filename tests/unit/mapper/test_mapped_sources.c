/* SPDX-License-Identifier: MIT */
/* A mapper whose RAM has two sources: of 64 KiB, which is plugged, and of 4 KiB, which is shared.
 */
#include "region_world.h"

#include "util/source_util.h"

#define GRANULE (4 * PM_KIB)

static PmDiscardSource *try_share(RegionWorld *world, GError **error)
{
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = "shared",
        .granularity = GRANULE,
        .flags = PM_DISCARD_SOURCE_POPULATED,
    };

    return pm_discard_manager_add_source(world->manager, &config, error);
}

static PmDiscardSource *share(RegionWorld *world)
{
    PmDiscardSource *source = try_share(world, NULL);

    assert_non_null(source);
    return source;
}

static PmMapperAudit audit(RegionWorld *world)
{
    PmMapperAudit counts = {.struct_size = sizeof(counts)};

    assert_true(pm_mapper_audit(world->mappers[0], NULL, &counts, NULL));
    return counts;
}

static void it_maps_at_the_finest_granularity(void **state)
{
    RegionWorld *world = *state;

    (void)share(world);
    assert_true(region_plug(world, 2, 1));
    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    assert_int_equal(region_n_mappings(world, 0), BLOCK / GRANULE);
    assert_true(region_plug(world, 3, 2));
    assert_int_equal(region_n_mappings(world, 0), 3 * BLOCK / GRANULE);
}

static void it_maps_what_is_plugged_and_shared(void **state)
{
    RegionWorld *world = *state;
    PmDiscardSource *shared = share(world);

    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    assert_true(region_plug(world, 2, 1));
    assert_true(pm_discard_source_discard(shared, 2 * BLOCK + GRANULE, GRANULE, 0, NULL));
    assert_non_null(region_mapped_at(world, HIGH + 2 * BLOCK));
    assert_null(region_mapped_at(world, HIGH + 2 * BLOCK + GRANULE));
    assert_non_null(region_mapped_at(world, HIGH + 2 * BLOCK + 2 * GRANULE));
    assert_true(pm_discard_source_populate(shared, 2 * BLOCK + GRANULE, GRANULE, 0, 0, NULL));
    assert_ptr_equal(region_mapped_at(world, HIGH + 2 * BLOCK + GRANULE),
                     region_host(world, 2) + GRANULE);
}

static void the_audit_compares_with_what_both_have_populated(void **state)
{
    RegionWorld *world = *state;
    PmDiscardSource *shared = share(world);

    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    assert_true(pm_discard_source_discard(shared, 2 * BLOCK, 3 * GRANULE, 0, NULL));
    assert_true(region_plug(world, 2, 1));
    assert_int_equal(audit(world).n_populated, BLOCK / GRANULE - 3);
    assert_int_equal(audit(world).n_mapped, BLOCK / GRANULE - 3);
    assert_true(pm_discard_manager_remove_source(world->manager, shared, NULL));
    assert_int_equal(audit(world).n_mapped, BLOCK / GRANULE);
}

static void a_fine_source_is_refused_once_a_region_is_added(void **state)
{
    RegionWorld *world = *state;
    GError *error = NULL;

    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
    assert_null(try_share(world, &error));
    region_assert_code(&error, PM_ERROR_BUSY, "follows blocks of 64K");
    assert_true(pm_mapper_remove(world->mappers[0], HIGH, NULL));
    (void)share(world);
    assert_true(region_add(world, 0, N_BLOCKS, HIGH));
}

/* Each run fits by itself, but not all of them. */
static void a_limit_that_a_later_run_exceeds_undoes_the_earlier_ones(void **state)
{
    PmFakeConfig config;
    RegionWorld *world;
    PmDiscardSource *shared;
    PmMapperRegion region;

    (void)state;
    either_needs_fake("65,535 mappings are too many to reach the real kernel's limit here");
    pm_fake_config_init(&config);
    config.entry_limit = 24;
    world = region_world_new(&config, PM_RAM_MEMFD);
    world->manager = manager_with_source(world->ram, BLOCK, NULL);
    shared = share(world);
    assert_true(pm_discard_source_discard(shared, BLOCK - GRANULE, 2 * GRANULE, 0, NULL));
    region = region_of(world, 0, N_BLOCKS, HIGH);
    region.flags = PM_MAPPER_OVERCOMMIT;
    assert_true(pm_mapper_add(world->mappers[0], &region, NULL));
    assert_false(region_plug(world, 0, 2));
    assert_int_equal(region_n_mappings(world, 0), 0);
    assert_int_equal(audit(world).n_populated, 0);
    assert_true(region_plug(world, 4, 1));
    assert_int_equal(region_n_mappings(world, 0), 16);
    region_world_free((void **)&world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, region_world_managed, region_world_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_maps_at_the_finest_granularity),
        TEST(it_maps_what_is_plugged_and_shared),
        TEST(the_audit_compares_with_what_both_have_populated),
        TEST(a_fine_source_is_refused_once_a_region_is_added),
        BACKEND_TYPE1_ONLY(
            cmocka_unit_test(a_limit_that_a_later_run_exceeds_undoes_the_earlier_ones)),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
