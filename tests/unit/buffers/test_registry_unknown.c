/* SPDX-License-Identifier: MIT */
/* What may or may not be registered: nobody uses it until that is known. */
#include "registry_world.h"

#include <errno.h>
#include <sys/mman.h>

#include "util/source_util.h"

static void fail_with_unknown_result(World *world, unsigned map_in, unsigned unmap_in)
{
    g_clear_error(&world->model.failure);
    world->model.failure = g_error_new(PM_ERROR, PM_ERROR_QUARANTINED, "the device is gone");
    world->model.fail_map_in = map_in;
    world->model.fail_unmap_in = unmap_in;
    world->model.failed_map_leaves_it = true;
}

/* --- RAM --- */

static void memory_unplugged_while_it_was_unknown_is_discarded_afterwards(void **state)
{
    World *world = *state;
    PmBufferLease lease;
    GError *error = NULL;

    fail_with_unknown_result(world, 1, 1);
    assert_false(plug(world, 0, 1, NULL));
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_int_equal(world->model.n_regions, 0);
    assert_false(lease_block(world, 0, &lease, &error));
    assert_code(&error, PM_ERROR_NOT_POPULATED, "is discarded");
    assert_true(plug(world, 0, 1, NULL));
    assert_consistent(world);
}

static void a_retry_unmaps_what_is_unknown_beside_leased_blocks(void **state)
{
    World *world = *state;
    PmBufferLease lease;
    PmDmaSegment before;
    PmDmaSegment after;

    assert_true(plug(world, 0, 4, NULL));
    assert_true(lease_block(world, 1, &lease, NULL));
    assert_true(pm_buffer_lease_next(&lease, 0, &before));
    pm_fake_kernel_shorten_unmap(world->fake, 1);
    assert_false(unplug(world, 2, 2, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 2 * BLOCK);
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
    assert_true(pm_buffer_lease_next(&lease, 0, &after));
    assert_int_equal(before.address, after.address);
    assert_consistent(world);
    pm_buffer_lease_release(&lease);
    assert_true(unplug(world, 0, 4, NULL));
}

/* Block 2 fails to map, and then blocks 0 and 1 to unmap. */
static void only_blocks_that_may_be_mapped_are_unknown(void **state)
{
    World *world = *state;
    uint64_t n_unknown;

    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 3, EIO);
    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(plug(world, 0, 4, NULL));
    n_unknown = pm_discard_manager_get_quarantined(world->manager) / BLOCK;
    assert_int_equal(n_unknown, 2);
    assert_int_equal(stats_of(world).unknown_bytes, 2 * BLOCK);
    assert_true(plug(world, 2, 2, NULL));
    assert_true(use_block(world, 2, 1));
    assert_int_equal(stats_of(world).refused_bytes, 0);
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_true(plug(world, 0, 2, NULL));
    assert_consistent(world);
}

/* Blocks 2 and 3, which are mapped after blocks 0 and 1 were lost, also fail to unmap. */
static void mapped_blocks_of_a_failed_plug_are_in_quarantine(void **state)
{
    World *world = *state;

    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 3, EIO);
    for (unsigned i = 1; i < 20; i++)
        pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_UNMAP, i, EIO);
    assert_false(plug(world, 0, 4, NULL));
    pm_fake_kernel_clear_faults(world->fake);
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager),
                     pm_iommu_get_n_mappings(world->iommu) * BLOCK);
    assert_int_equal(stats_of(world).unknown_bytes,
                     pm_discard_manager_get_quarantined(world->manager));
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_int_equal(pm_iommu_get_n_mappings(world->iommu), 0);
    assert_true(plug(world, 0, 4, NULL));
    assert_consistent(world);
}

/* --- buffers --- */

static void a_buffer_with_an_unknown_result_is_unmapped_later(void **state)
{
    World *world = *state;
    char *buffer = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    GError *error = NULL;

    fail_with_unknown_result(world, 1, 1);
    assert_false(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "the device is gone");
    assert_int_equal(world->model.n_regions, 1);
    assert_int_equal(stats_of(world).unknown_bytes, BLOCK);
    assert_false(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, &error));
    assert_code(&error, PM_ERROR_NOT_FOUND, "not registered");
    world->model.fail_unmap_in = 1;
    assert_false(pm_buffer_registry_retry(world->registry, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "the device is gone");
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_int_equal(world->model.n_regions, 0);
    assert_int_equal(stats_of(world).n_regions, 0);
    assert_int_equal(stats_of(world).n_ranges, 1);
    munmap(buffer, BLOCK);
}

static void a_buffer_with_an_unknown_result_can_be_registered_again(void **state)
{
    World *world = *state;
    char *buffer = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    fail_with_unknown_result(world, 1, 1);
    assert_false(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
    assert_true(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
    assert_int_equal(world->model.n_regions, 1);
    assert_true(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, NULL));
    munmap(buffer, BLOCK);
}

#define ON_MODEL(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
#define ON_IOMMU(test) cmocka_unit_test_setup_teardown(test, world_setup_iommu, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MODEL(memory_unplugged_while_it_was_unknown_is_discarded_afterwards),
        ON_IOMMU(a_retry_unmaps_what_is_unknown_beside_leased_blocks),
        ON_IOMMU(only_blocks_that_may_be_mapped_are_unknown),
        ON_IOMMU(mapped_blocks_of_a_failed_plug_are_in_quarantine),
        ON_MODEL(a_buffer_with_an_unknown_result_is_unmapped_later),
        ON_MODEL(a_buffer_with_an_unknown_result_can_be_registered_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
