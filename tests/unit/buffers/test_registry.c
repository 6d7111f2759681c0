/* SPDX-License-Identifier: MIT */
/* Adding, registering and finding memory, on both kinds of back ends. */
#include "registry_world.h"

#include <sys/mman.h>

static void plugged_blocks_are_registered_at_once(void **state)
{
    World *world = *state;

    assert_true(plug(world, 2, 3, NULL));
    assert_int_equal(stats_of(world).registered_bytes, 3 * BLOCK);
    assert_consistent(world);
    assert_true(plug(world, 9, 1, NULL));
    assert_consistent(world);
    assert_int_equal(stats_of(world).registered_bytes, 4 * BLOCK);
}

static void unplugged_blocks_are_unregistered(void **state)
{
    World *world = *state;

    assert_true(plug(world, 0, 4, NULL));
    assert_true(unplug(world, 1, 2, NULL));
    assert_int_equal(stats_of(world).registered_bytes, 2 * BLOCK);
    assert_consistent(world);
}

static void blocks_that_are_plugged_already_are_registered_when_ram_is_added(void **state)
{
    World *world = *state;

    assert_true(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL));
    assert_int_equal(stats_of(world).n_regions, 0);
    assert_true(plug(world, 3, 5, NULL));
    assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, NULL));
    assert_int_equal(stats_of(world).registered_bytes, 5 * BLOCK);
    assert_consistent(world);
}

static void a_part_of_ram_is_added(void **state)
{
    World *world = *state;

    assert_true(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL));
    assert_true(
        pm_buffer_registry_add_ram(world->registry, world->ram, 4 * BLOCK, 4 * BLOCK, NULL));
    assert_true(plug(world, 0, N_BLOCKS, NULL));
    assert_int_equal(stats_of(world).registered_bytes, 4 * BLOCK);
    assert_int_equal(stats_of(world).added_bytes, 4 * BLOCK);
    assert_false(use_block(world, 3, 1));
    assert_true(use_block(world, 4, 1));
    assert_true(use_block(world, 7, 1));
    assert_false(use_block(world, 8, 1));
}

static void a_buffer_spans_ranges_that_are_adjacent(void **state)
{
    World *world = *state;
    PmBufferLease lease;

    assert_true(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL));
    assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, 4 * BLOCK, NULL));
    assert_true(
        pm_buffer_registry_add_ram(world->registry, world->ram, 4 * BLOCK, 4 * BLOCK, NULL));
    assert_true(plug(world, 0, 8, NULL));
    assert_true(pm_buffer_lease_acquire(world->registry, host_of(world, 3) + 1, 2 * BLOCK - 2,
                                        &lease, NULL));
    pm_buffer_lease_release(&lease);
    assert_consistent(world);
}

static void a_removed_range_leaves_nothing(void **state)
{
    World *world = *state;
    GError *error = NULL;
    PmBufferLease lease;

    assert_true(plug(world, 0, 4, NULL));
    assert_true(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL));
    assert_int_equal(stats_of(world).n_regions, 0);
    assert_int_equal(stats_of(world).n_ranges, 0);
    assert_false(lease_block(world, 0, &lease, &error));
    assert_code(&error, PM_ERROR_NOT_FOUND, "not in memory that was added");
    assert_true(unplug(world, 0, 4, NULL));
}

static void only_the_identical_range_is_removed(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_false(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, BLOCK, &error));
    assert_code(&error, PM_ERROR_NOT_FOUND, "were not added");
    assert_false(
        pm_buffer_registry_remove_ram(world->registry, world->ram, BLOCK, SIZE - BLOCK, &error));
    assert_code(&error, PM_ERROR_NOT_FOUND, "use the same address");
    assert_false(pm_buffer_registry_unregister(world->registry, host_of(world, 0), SIZE, &error));
    assert_code(&error, PM_ERROR_NOT_FOUND, "were not registered");
    assert_int_equal(stats_of(world).n_ranges, 1);
}

static void memory_is_added_once(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_false(pm_buffer_registry_add_ram(world->registry, world->ram, BLOCK, BLOCK, &error));
    assert_code(&error, PM_ERROR_OVERLAP, "");
    assert_int_equal(stats_of(world).n_ranges, 1);
}

static void a_range_outside_of_the_ram_is_refused(void **state)
{
    World *world = *state;
    GError *error = NULL;
    static const uint64_t ranges[][2] = {
        {0, 0}, {SIZE, BLOCK}, {BLOCK, SIZE}, {BLOCK, UINT64_MAX - BLOCK + 1}};

    for (unsigned i = 0; i < G_N_ELEMENTS(ranges); i++) {
        assert_false(pm_buffer_registry_add_ram(world->registry, world->ram, ranges[i][0],
                                                ranges[i][1], &error));
        assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "must be inside the RAM");
    }
}

static void half_a_block_is_refused(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_false(pm_buffer_registry_add_ram(world->registry, world->ram, 0, BLOCK / 2, &error));
    assert_code(&error, PM_ERROR_UNALIGNED, "multiples of 64K");
    assert_false(pm_buffer_registry_add_ram(world->registry, world->ram, BLOCK / 2, BLOCK, &error));
    assert_code(&error, PM_ERROR_UNALIGNED, "multiples of 64K");
}

/* --- buffers --- */

static char *make_buffer(void)
{
    char *buffer = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(buffer, MAP_FAILED);
    return buffer;
}

static void a_registered_buffer_is_one_region(void **state)
{
    World *world = *state;
    char *buffer = make_buffer();
    PmBufferLease lease;
    PmDmaSegment segment;

    assert_true(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
    assert_int_equal(stats_of(world).n_regions, 1);
    assert_true(pm_buffer_lease_acquire(world->registry, buffer, BLOCK, &lease, NULL));
    assert_true(pm_buffer_lease_next(&lease, 0, &segment));
    assert_int_equal(segment.length, BLOCK);
    pm_buffer_lease_release(&lease);
    assert_true(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, NULL));
    assert_int_equal(stats_of(world).n_regions, 0);
    assert_false(pm_buffer_lease_acquire(world->registry, buffer, BLOCK, &lease, NULL));
    munmap(buffer, BLOCK);
}

static void only_the_identical_buffer_is_unregistered(void **state)
{
    World *world = *state;
    char *buffer = make_buffer();
    GError *error = NULL;

    assert_true(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
    assert_false(pm_buffer_registry_unregister(world->registry, buffer, BLOCK / 2, &error));
    assert_code(&error, PM_ERROR_NOT_FOUND, "use the same address");
    assert_true(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, NULL));
    assert_false(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, &error));
    assert_code(&error, PM_ERROR_NOT_FOUND, "were not registered");
    munmap(buffer, BLOCK);
}

static void invalid_buffers_are_refused(void **state)
{
    World *world = *state;
    char *buffer = make_buffer();
    GError *error = NULL;

    assert_false(pm_buffer_registry_register(world->registry, buffer, 0, -1, 0, &error));
    assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "must not be empty");
    assert_false(
        pm_buffer_registry_register(world->registry, buffer, UINT64_MAX - 1, -1, 0, &error));
    assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "past the last address");
    assert_false(pm_buffer_registry_register(world->registry, buffer + 1, 4096, -1, 0, &error));
    assert_code(&error, PM_ERROR_UNALIGNED, "");
    assert_false(
        pm_buffer_registry_register(world->registry, host_of(world, 1), BLOCK, -1, 0, &error));
    assert_code(&error, PM_ERROR_OVERLAP, "");
    assert_int_equal(stats_of(world).n_ranges, 1);
    munmap(buffer, BLOCK);
}

static void a_lease_delays_unregistering(void **state)
{
    World *world = *state;
    char *buffer = make_buffer();
    GError *error = NULL;
    PmBufferLease lease;

    assert_true(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
    assert_true(pm_buffer_lease_acquire(world->registry, buffer + 5, 1, &lease, NULL));
    assert_false(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, &error));
    assert_code(&error, PM_ERROR_BUSY, "1 lease");
    pm_buffer_lease_release(&lease);
    assert_true(pm_buffer_lease_acquire(world->registry, buffer + 5, 1, &lease, NULL));
    pm_buffer_lease_release(&lease);
    assert_true(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, NULL));
    munmap(buffer, BLOCK);
}

/* --- leases --- */

static void a_lease_of_discarded_memory_fails(void **state)
{
    World *world = *state;
    GError *error = NULL;
    PmBufferLease lease;

    assert_true(plug(world, 0, 2, NULL));
    assert_false(
        pm_buffer_lease_acquire(world->registry, host_of(world, 1), BLOCK + 1, &lease, &error));
    assert_code(&error, PM_ERROR_NOT_POPULATED, "is discarded");
    assert_false(pm_buffer_lease_acquire(world->registry, host_of(world, 0), 0, &lease, &error));
    assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "no bytes");
    assert_true(unplug(world, 0, 2, NULL));
}

static void an_unregistered_buffer_can_be_registered_again(void **state)
{
    World *world = *state;
    char *buffer = make_buffer();

    for (unsigned i = 0; i < 3; i++) {
        assert_true(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
        assert_true(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, NULL));
    }
    munmap(buffer, BLOCK);
}

/* --- reports --- */

static void runs_are_found_in_the_order_of_addresses(void **state)
{
    World *world = *state;
    PmBufferRun run = {.struct_size = sizeof(run)};
    uint64_t n_bytes = 0;
    const char *at = NULL;

    assert_true(plug(world, 1, 2, NULL));
    assert_true(plug(world, 5, 1, NULL));
    for (; pm_buffer_registry_next(world->registry, at, &run, NULL);
         at = (char *)run.host + run.size) {
        assert_true((char *)run.host >= at);
        assert_int_equal(run.state, PM_BUFFER_REGISTERED);
        n_bytes += run.size;
    }
    assert_int_equal(n_bytes, 3 * BLOCK);
    run.struct_size = 0;
    assert_false(pm_buffer_registry_next(world->registry, NULL, &run, NULL));
}

static void ram_without_a_manager_is_one_region(void **state)
{
    const World *given = *state;
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .is_plain = true, .on_iommu = given->fake != NULL};
    World *world = world_new(&config);

    assert_int_equal(stats_of(world).n_regions, 1);
    assert_int_equal(stats_of(world).registered_bytes, SIZE);
    assert_consistent(world);
    assert_true(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL));
    assert_int_equal(stats_of(world).n_regions, 0);
    world_free(world);
}

static void freeing_unregisters_everything(void **state)
{
    World *world = *state;

    assert_true(plug(world, 0, 3, NULL));
    pm_buffer_registry_free(world->registry);
    world->registry = NULL;
    if (world->fake != NULL)
        assert_int_equal(pm_iommu_get_n_mappings(world->iommu), 0);
    else
        assert_int_equal(world->model.n_regions, 0);
    assert_true(unplug(world, 0, 3, NULL));
    pm_buffer_registry_free(NULL);
}

#define ON_BOTH(test)                                                                              \
    cmocka_unit_test_setup_teardown(test, world_setup, world_teardown),                            \
        cmocka_unit_test_setup_teardown(test, world_setup_iommu, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(plugged_blocks_are_registered_at_once),
        ON_BOTH(unplugged_blocks_are_unregistered),
        ON_BOTH(blocks_that_are_plugged_already_are_registered_when_ram_is_added),
        ON_BOTH(a_part_of_ram_is_added),
        ON_BOTH(a_buffer_spans_ranges_that_are_adjacent),
        ON_BOTH(a_removed_range_leaves_nothing),
        ON_BOTH(only_the_identical_range_is_removed),
        ON_BOTH(memory_is_added_once),
        ON_BOTH(a_range_outside_of_the_ram_is_refused),
        ON_BOTH(half_a_block_is_refused),
        ON_BOTH(a_registered_buffer_is_one_region),
        ON_BOTH(only_the_identical_buffer_is_unregistered),
        ON_BOTH(invalid_buffers_are_refused),
        ON_BOTH(a_lease_delays_unregistering),
        ON_BOTH(a_lease_of_discarded_memory_fails),
        ON_BOTH(an_unregistered_buffer_can_be_registered_again),
        ON_BOTH(runs_are_found_in_the_order_of_addresses),
        ON_BOTH(ram_without_a_manager_is_one_region),
        ON_BOTH(freeing_unregisters_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
