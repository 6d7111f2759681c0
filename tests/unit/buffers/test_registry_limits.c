/* SPDX-License-Identifier: MIT */
/* Fewer regions than plugged blocks: what is refused, shared, evicted, and tried again. */
#include "registry_world.h"

#include <sys/mman.h>

#include "util/source_util.h"

static World *limited_world(uint64_t max_regions, uint64_t flags)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .max_regions = max_regions, .flags = flags};

    return world_new(&config);
}

static World *iommu_world(uint32_t entry_limit)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .on_iommu = true, .entry_limit = entry_limit};

    return world_new(&config);
}

/* --- refused --- */

static void the_limit_is_known_in_advance(void **state)
{
    World *world = limited_world(509, 0);

    (void)state;
    assert_int_equal(pm_buffer_registry_get_region_limit(world->registry), 509);
    world_free(world);
    world = limited_world(0, 0);
    assert_true(pm_buffer_registry_get_region_limit(world->registry) == UINT64_MAX);
    world_free(world);
    world = iommu_world(3);
    assert_true(pm_buffer_registry_get_region_limit(world->registry) ==
                pm_iommu_get_mapping_limit(world->iommu));
    world_free(world);
}

static void plugging_succeeds_beyond_the_limit(void **state)
{
    World *world = limited_world(3, 0);
    GError *error = NULL;
    PmBufferLease lease;

    (void)state;
    assert_true(plug(world, 0, 5, NULL));
    assert_regions(world, "0+1 1+1 2+1");
    assert_int_equal(stats_of(world).refused_bytes, 2 * BLOCK);
    assert_int_equal(stats_of(world).n_failed_maps, 0);
    assert_run(world, 3, PM_BUFFER_REFUSED, 2, "no room for more regions, beside the 3 regions");
    assert_false(lease_block(world, 3, &lease, &error));
    assert_code(&error, PM_ERROR_LIMIT, "use a bounce buffer");
    world_free(world);
}

static void blocks_beyond_the_mapping_limit_are_refused(void **state)
{
    World *world = iommu_world(3);

    (void)state;
    if (pm_buffer_registry_get_region_limit(world->registry) == UINT64_MAX) {
        world_free(world);
        return; /* iommufd has no limit */
    }
    assert_true(plug(world, 0, 5, NULL));
    assert_int_equal(stats_of(world).n_regions, 3);
    assert_int_equal(stats_of(world).refused_bytes, 2 * BLOCK);
    assert_int_equal(stats_of(world).n_failed_maps, 0);
    assert_consistent(world);
    assert_true(unplug(world, 0, 1, NULL));
    assert_int_equal(stats_of(world).refused_bytes, BLOCK);
    assert_consistent(world);
    world_free(world);
}

static void locked_memory_of_a_mapper_is_left_to_it(void **state)
{
    World *world = iommu_world(0);
    g_autoptr(PmRam) other = pm_ram_new(PM_RAM_MEMFD, 2 * BLOCK, BLOCK, NULL);
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "a mapper",
        .ram = other,
        .iova = PM_GIB,
        .size = 2 * BLOCK,
        .block_size = BLOCK,
        .reserved_size = 2 * BLOCK,
    };
    g_autoptr(PmIommuClaim) claim = NULL;

    (void)state;
    pm_fake_kernel_set_memlock(world->fake, 6 * BLOCK, false);
    claim = pm_iommu_claim_new(world->iommu, &config, NULL);
    assert_non_null(claim);
    assert_true(plug(world, 0, 8, NULL));
    assert_int_equal(stats_of(world).registered_bytes, 4 * BLOCK);
    assert_int_equal(stats_of(world).refused_bytes, 4 * BLOCK);
    assert_true(pm_iommu_claim_map(claim, 0, 2 * BLOCK, 0, PM_IOMMU_READ_WRITE, NULL));
    assert_true(pm_iommu_claim_release(claim, NULL));
    assert_false(pm_buffer_registry_retry(world->registry, NULL));
    assert_int_equal(stats_of(world).registered_bytes, 6 * BLOCK);
    world_free(world);
}

/* --- tried again --- */

static void an_unplug_makes_room_for_refused_blocks(void **state)
{
    World *world = limited_world(2, 0);

    (void)state;
    assert_true(plug(world, 0, 4, NULL));
    assert_true(unplug(world, 0, 1, NULL));
    assert_regions(world, "1+1 2+1");
    assert_true(source_discard_all(world->manager, NULL));
    assert_regions(world, "");
    world_free(world);
}

static char *make_buffer(void)
{
    char *buffer = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(buffer, MAP_FAILED);
    return buffer;
}

static void unregistering_makes_room_for_refused_blocks(void **state)
{
    World *world = limited_world(2, 0);
    char *buffer = make_buffer();

    (void)state;
    assert_true(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
    assert_true(plug(world, 0, 2, NULL));
    assert_int_equal(stats_of(world).refused_bytes, BLOCK);
    assert_true(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, NULL));
    assert_regions(world, "0+1 1+1");
    munmap(buffer, BLOCK);
    world_free(world);
}

static void removing_ram_makes_room_for_refused_blocks(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .max_regions = 2, .is_empty = true};
    World *world = world_new(&config);
    uint64_t half = SIZE / 2;

    (void)state;
    assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, half, NULL));
    assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, half, half, NULL));
    assert_true(plug(world, 0, 2, NULL));
    assert_true(plug(world, 8, 2, NULL));
    assert_true(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, half, NULL));
    assert_int_equal(stats_of(world).n_regions, 2);
    assert_true(use_block(world, 9, 1));
    world_free(world);
}

static void a_failed_block_is_tried_again_on_request(void **state)
{
    World *world = limited_world(0, 0);
    GError *error = NULL;

    (void)state;
    world->model.fail_map_in = 1;
    world->model.fails_for_ever = true;
    assert_true(plug(world, 0, 2, NULL));
    assert_int_equal(stats_of(world).refused_bytes, 2 * BLOCK);
    assert_run(world, 0, PM_BUFFER_REFUSED, 2, "the model fails");
    assert_false(pm_buffer_registry_retry(world->registry, &error));
    assert_code(&error, PM_ERROR_KERNEL, "the model fails");
    world->model.fail_map_in = 0;
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_regions(world, "0+1 1+1");
    assert_run(world, 0, PM_BUFFER_REGISTERED, 1, NULL);
    world_free(world);
}

static void one_bad_block_does_not_keep_others_from_being_registered(void **state)
{
    World *world = limited_world(0, 0);

    (void)state;
    world->model.fail_map_in = 3;
    assert_true(plug(world, 0, 6, NULL));
    assert_regions(world, "0+1 1+1 3+1 4+1 5+1");
    world_free(world);
}

/* --- shared regions --- */

static void blocks_plugged_at_once_share_a_region(void **state)
{
    World *world = limited_world(8, PM_BUFFER_CAN_REPLACE);

    (void)state;
    assert_true(plug(world, 1, 6, NULL));
    assert_regions(world, "1+6");
    assert_int_equal(stats_of(world).n_replaced, 0);
    world_free(world);
}

static void without_room_a_block_joins_its_neighbors(void **state)
{
    World *world = limited_world(2, PM_BUFFER_CAN_REPLACE);

    (void)state;
    assert_true(plug(world, 0, 2, NULL));
    assert_true(plug(world, 5, 1, NULL));
    assert_true(plug(world, 2, 1, NULL));
    assert_regions(world, "0+3 5+1");
    assert_true(plug(world, 4, 1, NULL));
    assert_regions(world, "0+3 4+2");
    assert_true(plug(world, 3, 1, NULL));
    assert_regions(world, "0+6");
    assert_int_equal(stats_of(world).n_replaced, 3);
    world_free(world);
}

static void without_room_the_smallest_neighbors_are_merged(void **state)
{
    World *world = limited_world(4, PM_BUFFER_CAN_REPLACE);

    (void)state;
    assert_true(plug(world, 0, 3, NULL));
    assert_true(plug(world, 3, 2, NULL));
    assert_true(plug(world, 8, 1, NULL));
    assert_true(plug(world, 9, 1, NULL));
    assert_true(plug(world, 14, 1, NULL));
    assert_regions(world, "0+3 3+2 8+2 14+1");
    world_free(world);
}

static void leased_regions_are_not_merged(void **state)
{
    World *world = limited_world(2, PM_BUFFER_CAN_REPLACE);
    PmBufferLease lease;

    (void)state;
    assert_true(plug(world, 0, 1, NULL));
    assert_true(plug(world, 1, 1, NULL));
    assert_true(lease_block(world, 1, &lease, NULL));
    assert_true(plug(world, 2, 1, NULL));
    assert_int_equal(stats_of(world).refused_bytes, BLOCK);
    pm_buffer_lease_release(&lease);
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_regions(world, "0+1 1+2");
    world_free(world);
}

static void a_refused_block_does_not_keep_others_from_joining_their_neighbors(void **state)
{
    World *world = limited_world(2, PM_BUFFER_CAN_REPLACE);
    PmBufferLease lease;

    (void)state;
    assert_true(plug(world, 0, 1, NULL));
    assert_true(plug(world, 8, 1, NULL));
    assert_true(plug(world, 4, 1, NULL));
    assert_true(lease_block(world, 8, &lease, NULL));
    assert_true(plug(world, 9, 1, NULL));
    pm_buffer_lease_release(&lease);
    assert_false(pm_buffer_registry_retry(world->registry, NULL));
    assert_regions(world, "0+1 8+2");
    assert_run(world, 4, PM_BUFFER_REFUSED, 1, "no room for more regions");
    world_free(world);
}

static void many_blocks_fit_into_few_regions(void **state)
{
    World *world = limited_world(1, PM_BUFFER_CAN_REPLACE);

    (void)state;
    for (uint64_t i = 0; i < N_BLOCKS; i++)
        assert_true(plug(world, (i * 5) % N_BLOCKS, 1, NULL));
    assert_regions(world, "0+16");
    world_free(world);
}

static void a_split_without_room_refuses_the_rest(void **state)
{
    World *world = limited_world(1, PM_BUFFER_CAN_REPLACE);

    (void)state;
    assert_true(plug(world, 0, 8, NULL));
    assert_true(unplug(world, 4, 1, NULL));
    assert_regions(world, "0+4");
    assert_int_equal(stats_of(world).refused_bytes, 3 * BLOCK);
    assert_true(unplug(world, 0, 4, NULL));
    assert_regions(world, "5+3");
    world_free(world);
}

/* --- what is used stays registered --- */

static void a_block_that_is_used_gets_the_region_of_one_that_is_not(void **state)
{
    World *world = limited_world(2, 0);

    (void)state;
    assert_true(plug(world, 0, 3, NULL));
    assert_true(use_block(world, 0, 1));
    assert_false(use_block(world, 2, 3));
    assert_int_equal(stats_of(world).n_evicted, 0);
    assert_true(use_block(world, 0, 1));
    assert_false(use_block(world, 2, 1));
    assert_true(use_block(world, 2, 1));
    assert_regions(world, "0+1 2+1");
    assert_int_equal(stats_of(world).n_evicted, 1);
    assert_run(world, 1, PM_BUFFER_REFUSED, 1, "another buffer has got its region");
    world_free(world);
}

static void the_region_unused_for_longest_gives_way(void **state)
{
    World *world = limited_world(3, 0);

    (void)state;
    assert_true(plug(world, 0, 6, NULL));
    assert_true(use_block(world, 1, 1));
    assert_false(use_block(world, 3, 3)); /* begins an epoch */
    assert_true(use_block(world, 0, 1));
    assert_false(use_block(world, 4, 3));
    assert_true(use_block(world, 2, 1));
    assert_false(use_block(world, 5, 4));
    assert_regions(world, "0+1 2+1 5+1");
    world_free(world);
}

static void more_blocks_than_regions_in_turn_do_not_thrash(void **state)
{
    World *world = limited_world(4, 0);
    unsigned n_maps;

    (void)state;
    assert_true(plug(world, 0, 6, NULL));
    n_maps = world->model.n_maps;
    for (unsigned round = 0; round < 100; round++)
        for (uint64_t i = 0; i < 6; i++)
            assert_true(use_block(world, i, 1) == (i < 4));
    assert_int_equal(world->model.n_maps, n_maps);
    assert_int_equal(stats_of(world).n_evicted, 0);
    world_free(world);
}

static void another_working_set_gets_the_regions(void **state)
{
    World *world = limited_world(4, 0);

    (void)state;
    assert_true(plug(world, 0, 8, NULL));
    for (unsigned round = 0; round < 10; round++)
        for (uint64_t i = 0; i < 4; i++)
            (void)use_block(world, i, 1);
    for (unsigned round = 0; round < 10; round++)
        for (uint64_t i = 4; i < 8; i++)
            (void)use_block(world, i, 1);
    assert_regions(world, "4+1 5+1 6+1 7+1");
    assert_int_equal(stats_of(world).n_evicted, 4);
    world_free(world);
}

static void a_leased_region_is_not_evicted(void **state)
{
    World *world = limited_world(1, 0);
    PmBufferLease lease;

    (void)state;
    assert_true(plug(world, 0, 2, NULL));
    assert_true(lease_block(world, 0, &lease, NULL));
    assert_false(use_block(world, 1, 20));
    pm_buffer_lease_release(&lease);
    assert_regions(world, "0+1");
    assert_true(use_block(world, 1, 20));
    assert_regions(world, "1+1");
    world_free(world);
}

static void mappings_are_evicted_as_well(void **state)
{
    World *world = iommu_world(2);

    (void)state;
    assert_true(plug(world, 0, 3, NULL));
    (void)use_block(world, 2, 5);
    assert_true(use_block(world, 2, 1));
    assert_consistent(world);
    world_free(world);
}

/* --- buffers have priority --- */

static void a_buffer_gets_the_region_of_ram_that_is_not_used(void **state)
{
    World *world = limited_world(2, 0);
    char *buffer = make_buffer();
    PmBufferLease lease;

    (void)state;
    assert_true(plug(world, 0, 2, NULL));
    assert_true(use_block(world, 0, 1));
    assert_true(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
    assert_int_equal(stats_of(world).refused_bytes, BLOCK);
    assert_true(use_block(world, 0, 1));
    (void)use_block(world, 1, 20);
    assert_true(pm_buffer_lease_acquire(world->registry, buffer, BLOCK, &lease, NULL));
    pm_buffer_lease_release(&lease);
    assert_true(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, NULL));
    munmap(buffer, BLOCK);
    world_free(world);
}

static void a_buffer_without_room_changes_nothing(void **state)
{
    World *world = limited_world(2, 0);
    char *buffers[3] = {make_buffer(), make_buffer(), make_buffer()};
    GError *error = NULL;

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        assert_true(pm_buffer_registry_register(world->registry, buffers[i], BLOCK, -1, 0, NULL));
    assert_false(pm_buffer_registry_register(world->registry, buffers[2], BLOCK, -1, 0, &error));
    assert_code(&error, PM_ERROR_LIMIT, "no room for more regions");
    assert_int_equal(stats_of(world).n_ranges, 3);
    assert_int_equal(world->model.n_regions, 2);
    for (unsigned i = 0; i < 3; i++) {
        (void)pm_buffer_registry_unregister(world->registry, buffers[i], BLOCK, NULL);
        munmap(buffers[i], BLOCK);
    }
    world_free(world);
}

static void a_buffer_that_fails_gives_the_region_back(void **state)
{
    World *world = limited_world(2, 0);
    char *buffer = make_buffer();
    GError *error = NULL;

    (void)state;
    assert_true(plug(world, 0, 2, NULL));
    world->model.fail_map_in = 1;
    assert_false(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, &error));
    assert_code(&error, PM_ERROR_KERNEL, "the model fails");
    assert_regions(world, "0+1 1+1");
    munmap(buffer, BLOCK);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_is_known_in_advance),
        cmocka_unit_test(plugging_succeeds_beyond_the_limit),
        cmocka_unit_test(blocks_beyond_the_mapping_limit_are_refused),
        cmocka_unit_test(locked_memory_of_a_mapper_is_left_to_it),
        cmocka_unit_test(an_unplug_makes_room_for_refused_blocks),
        cmocka_unit_test(unregistering_makes_room_for_refused_blocks),
        cmocka_unit_test(removing_ram_makes_room_for_refused_blocks),
        cmocka_unit_test(a_failed_block_is_tried_again_on_request),
        cmocka_unit_test(one_bad_block_does_not_keep_others_from_being_registered),
        cmocka_unit_test(blocks_plugged_at_once_share_a_region),
        cmocka_unit_test(without_room_a_block_joins_its_neighbors),
        cmocka_unit_test(without_room_the_smallest_neighbors_are_merged),
        cmocka_unit_test(leased_regions_are_not_merged),
        cmocka_unit_test(a_refused_block_does_not_keep_others_from_joining_their_neighbors),
        cmocka_unit_test(many_blocks_fit_into_few_regions),
        cmocka_unit_test(a_split_without_room_refuses_the_rest),
        cmocka_unit_test(a_block_that_is_used_gets_the_region_of_one_that_is_not),
        cmocka_unit_test(the_region_unused_for_longest_gives_way),
        cmocka_unit_test(more_blocks_than_regions_in_turn_do_not_thrash),
        cmocka_unit_test(another_working_set_gets_the_regions),
        cmocka_unit_test(a_leased_region_is_not_evicted),
        cmocka_unit_test(mappings_are_evicted_as_well),
        cmocka_unit_test(a_buffer_gets_the_region_of_ram_that_is_not_used),
        cmocka_unit_test(a_buffer_without_room_changes_nothing),
        cmocka_unit_test(a_buffer_that_fails_gives_the_region_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
