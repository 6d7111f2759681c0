/* SPDX-License-Identifier: MIT */
/*
 * What registered buffers fail to do in QEMU (block/blkio.c, block/block-ram-registrar.c,
 * util/vfio-helpers.c), and not here. What the bounce pool does there: test_bounce_pool.c.
 */
#include "registry_world.h"

#include "util/backend_util.h"
#include "util/source_util.h"

/* There, the first failure removes the notifier of RAM, and no RAM is registered ever again. */
static void a_failure_disables_nothing_for_ever(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD};
    World *world = world_new(&config);

    (void)state;
    world->model.fail_map_in = 1;
    assert_true(plug(world, 0, 1, NULL));
    assert_int_equal(stats_of(world).refused_bytes, BLOCK);
    assert_true(plug(world, 4, 2, NULL));
    assert_regions(world, "4+1 5+1");
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_regions(world, "0+1 4+1 5+1");
    world_free(world);
}

/* There, RAM without a file (a ROM) is skipped silently. */
static void memory_without_a_file_is_reported(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_ANONYMOUS, .flags = PM_BUFFER_NEEDS_FD};
    World *world = world_new(&config);
    GError *error = NULL;
    PmBufferLease lease;

    (void)state;
    assert_true(plug(world, 1, 3, NULL));
    assert_int_equal(stats_of(world).no_file_bytes, 3 * BLOCK);
    assert_int_equal(stats_of(world).refused_bytes, 0);
    assert_int_equal(world->model.n_maps, 0);
    assert_run(world, 1, PM_BUFFER_NO_FILE, 3, "the back end needs a file");
    assert_false(lease_block(world, 1, &lease, &error));
    assert_code(&error, PM_ERROR_LIMIT, "use a bounce buffer");
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    world_free(world);
}

static void memory_with_a_file_has_it_in_its_region(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .flags = PM_BUFFER_NEEDS_FD};
    World *world = world_new(&config);
    uint64_t offset = 0;

    (void)state;
    assert_true(plug(world, 3, 1, NULL));
    assert_int_equal(world->model.regions[0].fd, pm_ram_get_fd(world->ram, &offset));
    assert_int_equal(world->model.regions[0].fd_offset, offset + 3 * BLOCK);
    world_free(world);
}

static void a_buffer_without_the_file_it_needs_is_an_error(void **state)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .flags = PM_BUFFER_NEEDS_FD, .is_empty = true};
    World *world = world_new(&config);
    GError *error = NULL;

    (void)state;
    assert_false(
        pm_buffer_registry_register(world->registry, host_of(world, 0), BLOCK, -1, 0, &error));
    assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "the back end needs a file");
    assert_true(pm_buffer_registry_register(world->registry, host_of(world, 0), BLOCK,
                                            pm_ram_get_fd(world->ram, NULL), 0, NULL));
    assert_int_equal(world->model.regions[0].fd, pm_ram_get_fd(world->ram, NULL));
    assert_true(pm_buffer_registry_unregister(world->registry, host_of(world, 0), BLOCK, NULL));
    world_free(world);
}

/* There, a driver that may pin disables all discards, so that virtio-mem is excluded. */
static void memory_that_may_be_pinned_is_plugged_and_unplugged(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .flags = PM_BUFFER_MAY_PIN};
    World *world = world_new(&config);

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(plug(world, 0, N_BLOCKS, NULL));
        assert_true(use_block(world, N_BLOCKS - 1, 1));
        assert_true(unplug(world, 0, N_BLOCKS, NULL));
        assert_int_equal(world->model.n_regions, 0);
    }
    world_free(world);
}

/* There, the number of regions is not known before it is exceeded. */
static void the_number_of_regions_is_known_before_any_is_used(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .max_regions = 5, .is_empty = true};
    World *world = world_new(&config);

    (void)state;
    assert_int_equal(pm_buffer_registry_get_region_limit(world->registry), 5);
    assert_int_equal(world->model.n_maps, 0);
    world_free(world);
}

/* There, a buffer must not cross RAM blocks. */
static void a_buffer_may_cross_ranges(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .is_empty = true};
    World *world = world_new(&config);
    PmBufferLease lease;
    PmDmaSegment segment;

    (void)state;
    assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, 2 * BLOCK, NULL));
    assert_true(
        pm_buffer_registry_add_ram(world->registry, world->ram, 2 * BLOCK, 2 * BLOCK, NULL));
    assert_true(plug(world, 0, 4, NULL));
    assert_true(pm_buffer_lease_acquire(world->registry, host_of(world, 2) - 8, 16, &lease, NULL));
    assert_true(pm_buffer_lease_next(&lease, 0, &segment));
    assert_int_equal(segment.length, 8);
    assert_true(pm_buffer_lease_next(&lease, 8, &segment));
    assert_int_equal(segment.length, 8);
    assert_false(pm_buffer_lease_next(&lease, 16, &segment));
    pm_buffer_lease_release(&lease);
    world_free(world);
}

static World *iommu_world(uint32_t entry_limit)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD,
                                .on_iommu = true,
                                .is_plain = true,
                                .is_empty = true,
                                .entry_limit = entry_limit};

    return world_new(&config);
}

/* There, the low mark of fixed addresses never shrinks. */
static void addresses_are_used_again(void **state)
{
    World *world = iommu_world(0);
    PmBufferRegistryConfig config = {
        .struct_size = sizeof(config),
        .name = "a small window",
        .iommu = world->iommu,
        .window = {SIZE, 3 * SIZE - 1},
        .temporary_size = BLOCK,
    };
    g_autoptr(PmBufferRegistry) registry = pm_buffer_registry_new(&config, NULL);
    PmBufferRun run = {.struct_size = sizeof(run)};

    (void)state;
    assert_non_null(registry);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(pm_buffer_registry_add_ram(registry, world->ram, 0, SIZE, NULL));
        assert_true(pm_buffer_registry_next(registry, NULL, &run, NULL));
        assert_true(run.address >= SIZE && run.address + run.size <= 3 * SIZE);
        assert_true(pm_buffer_registry_remove_ram(registry, world->ram, 0, SIZE, NULL));
    }
    world_free(world);
}

static void addresses_to_avoid_are_avoided(void **state)
{
    World *world = iommu_world(0);
    const PmIovaRange avoid[] = {{0, 2 * SIZE - 1}, {4 * SIZE, UINT64_MAX}};
    PmBufferRegistryConfig config = {
        .struct_size = sizeof(config),
        .name = "beside the guest's RAM",
        .iommu = world->iommu,
        .avoid = avoid,
        .n_avoid = 2,
        .temporary_size = BLOCK,
    };
    g_autoptr(PmBufferRegistry) registry = pm_buffer_registry_new(&config, NULL);
    PmBufferRun run = {.struct_size = sizeof(run)};
    GError *error = NULL;

    (void)state;
    assert_true(pm_buffer_registry_add_ram(registry, world->ram, 0, SIZE, NULL));
    assert_true(pm_buffer_registry_next(registry, NULL, &run, NULL));
    assert_true(run.address >= 2 * SIZE && run.address + run.size <= 4 * SIZE);
    assert_true(pm_buffer_registry_remove_ram(registry, world->ram, 0, SIZE, NULL));
    g_clear_pointer(&registry, pm_buffer_registry_free);
    config.window = (PmIovaRange){4 * SIZE, 5 * SIZE};
    registry = pm_buffer_registry_new(&config, NULL);
    assert_false(pm_buffer_registry_add_ram(registry, world->ram, 0, SIZE, &error));
    assert_code(&error, PM_ERROR_LIMIT, "no room for");
    world_free(world);
}

/* There, closing skips every second mapping. */
static void freeing_unmaps_every_range(void **state)
{
    World *world = iommu_world(0);

    (void)state;
    for (uint64_t i = 0; i < N_BLOCKS; i++)
        assert_true(
            pm_buffer_registry_add_ram(world->registry, world->ram, i * BLOCK, BLOCK, NULL));
    assert_int_equal(pm_iommu_get_n_mappings(world->iommu), N_BLOCKS);
    g_clear_pointer(&world->registry, pm_buffer_registry_free);
    assert_int_equal(pm_iommu_get_n_mappings(world->iommu), 0);
    world_free(world);
}

/* There, ENOSPC becomes ENOMEM. */
static void a_full_container_is_a_limit_and_not_a_lack_of_memory(void **state)
{
    World *world = iommu_world(2);
    uint64_t limit = pm_buffer_registry_get_region_limit(world->registry);
    GError *error = NULL;
    uint64_t page = pm_ram_get_page_size(world->ram);

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        if (!pm_buffer_registry_register(world->registry, host_of(world, 0) + i * page, page, -1, 0,
                                         &error))
            break;
    if (limit == UINT64_MAX)
        assert_null(error); /* iommufd has no limit */
    else
        assert_code(&error, PM_ERROR_LIMIT, "no room for more regions");
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_disables_nothing_for_ever),
        cmocka_unit_test(memory_without_a_file_is_reported),
        cmocka_unit_test(memory_with_a_file_has_it_in_its_region),
        cmocka_unit_test(a_buffer_without_the_file_it_needs_is_an_error),
        cmocka_unit_test(memory_that_may_be_pinned_is_plugged_and_unplugged),
        cmocka_unit_test(the_number_of_regions_is_known_before_any_is_used),
        cmocka_unit_test(a_buffer_may_cross_ranges),
        cmocka_unit_test(addresses_are_used_again),
        cmocka_unit_test(addresses_to_avoid_are_avoided),
        cmocka_unit_test(freeing_unmaps_every_range),
        cmocka_unit_test(a_full_container_is_a_limit_and_not_a_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
