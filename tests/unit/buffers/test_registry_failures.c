/* SPDX-License-Identifier: MIT */
/* A back end that fails: nothing is lost, and what is unknown is in quarantine until it is not. */
#include "registry_world.h"

#include <errno.h>
#include <sys/mman.h>

#include "memory/ram_private.h"
#include "util/allocation_util.h"
#include "util/backend_util.h"
#include "util/source_util.h"

static void fail_unmap(World *world, PmError code)
{
    world->model.fail_unmap_in = 1;
    g_clear_error(&world->model.failure);
    world->model.failure = g_error_new(PM_ERROR, (gint)code, "the device is gone");
}

static void fail_map(World *world, PmError code)
{
    world->model.fail_map_in = 1;
    g_clear_error(&world->model.failure);
    world->model.failure = g_error_new(PM_ERROR, (gint)code, "the device is gone");
}

static void assert_quarantined(const World *world, uint64_t first, uint64_t n_blocks)
{
    g_autofree char *listener = NULL;
    g_autofree char *reason = NULL;
    uint64_t offset;
    uint64_t size;

    assert_true(
        pm_discard_manager_next_quarantined(world->manager, 0, &offset, &size, &listener, &reason));
    assert_int_equal(offset, first * BLOCK);
    assert_int_equal(size, n_blocks * BLOCK);
    assert_string_equal(listener, "the buffers of the test");
    assert_non_null(reason);
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), n_blocks * BLOCK);
}

/* --- unmap --- */

static void a_failed_unmap_changes_nothing(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_true(plug(world, 0, 4, NULL));
    fail_unmap(world, PM_ERROR_BUSY);
    world->model.fail_unmap_in = 3;
    assert_false(unplug(world, 0, 4, &error));
    assert_code(&error, PM_ERROR_BUSY, "the device is gone");
    assert_regions(world, "0+1 1+1 2+1 3+1");
    assert_true(unplug(world, 0, 4, NULL));
    assert_regions(world, "");
}

static void an_error_of_another_domain_is_wrapped(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_true(plug(world, 0, 1, NULL));
    world->model.fail_unmap_in = 1;
    world->model.failure = g_error_new(G_FILE_ERROR, G_FILE_ERROR_IO, "the device is gone");
    assert_false(unplug(world, 0, 1, &error));
    assert_code(&error, PM_ERROR_LISTENER, "failed to unmap");
    assert_consistent(world);
}

static void lose_a_block(World *world)
{
    GError *error = NULL;

    assert_true(plug(world, 0, 4, NULL));
    fail_unmap(world, PM_ERROR_QUARANTINED);
    assert_false(unplug(world, 2, 1, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "the device is gone");
}

static void an_unmap_with_unknown_result_is_quarantined(void **state)
{
    World *world = *state;
    GError *error = NULL;
    PmBufferLease lease;

    lose_a_block(world);
    assert_quarantined(world, 2, 1);
    assert_false(lease_block(world, 2, &lease, &error));
    assert_code(&error, PM_ERROR_LIMIT, "not registered now");
    assert_run(world, 2, PM_BUFFER_UNKNOWN, 1, "the device is gone");
    assert_int_equal(stats_of(world).unknown_bytes, BLOCK);
    assert_int_equal(stats_of(world).n_regions, 4);
    assert_false(unplug(world, 2, 1, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "quarantine");
    assert_true(unplug(world, 0, 2, NULL));
}

static void a_retry_ends_the_quarantine(void **state)
{
    World *world = *state;

    lose_a_block(world);
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
    assert_regions(world, "0+1 1+1 2+1 3+1");
}

static void a_retry_that_fails_keeps_the_quarantine(void **state)
{
    World *world = *state;
    GError *error = NULL;

    lose_a_block(world);
    world->model.fail_unmap_in = 1;
    assert_false(pm_buffer_registry_retry(world->registry, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "the device is gone");
    assert_quarantined(world, 2, 1);
}

static void unplugging_all_ends_the_quarantine(void **state)
{
    World *world = *state;

    lose_a_block(world);
    assert_true(source_discard_all(world->manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
    assert_regions(world, "");
    assert_true(plug(world, 0, 4, NULL));
    assert_regions(world, "0+1 1+1 2+1 3+1");
}

static void removing_the_ram_ends_the_quarantine(void **state)
{
    World *world = *state;

    lose_a_block(world);
    assert_true(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL));
    assert_int_equal(world->model.n_regions, 0);
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
}

static void removing_that_fails_keeps_the_range(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_true(plug(world, 0, 4, NULL));
    fail_unmap(world, PM_ERROR_BUSY);
    world->model.fail_unmap_in = 2;
    assert_false(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, &error));
    assert_code(&error, PM_ERROR_BUSY, "the device is gone");
    assert_regions(world, "0+1 1+1 2+1 3+1");
    fail_unmap(world, PM_ERROR_QUARANTINED);
    assert_false(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "the device is gone");
    assert_quarantined(world, 0, 1);
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_regions(world, "0+1 1+1 2+1 3+1");
}

static void a_buffer_that_fails_to_unregister_stays(void **state)
{
    World *world = *state;
    char *buffer = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    PmBufferLease lease;
    GError *error = NULL;

    assert_true(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
    fail_unmap(world, PM_ERROR_BUSY);
    assert_false(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, &error));
    assert_code(&error, PM_ERROR_BUSY, "the device is gone");
    assert_true(pm_buffer_lease_acquire(world->registry, buffer, 1, &lease, NULL));
    pm_buffer_lease_release(&lease);
    assert_true(pm_buffer_registry_unregister(world->registry, buffer, BLOCK, NULL));
    munmap(buffer, BLOCK);
}

/* --- map --- */

static void a_map_with_unknown_result_fails_the_plug(void **state)
{
    World *world = *state;
    GError *error = NULL;

    fail_map(world, PM_ERROR_QUARANTINED);
    world->model.fail_map_in = 2;
    world->model.failed_map_leaves_it = true;
    world->model.fail_unmap_in = 1;
    assert_false(plug(world, 0, 3, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "the device is gone");
    assert_true(pm_discard_manager_is_discarded(world->manager, 0, SIZE));
    assert_true(pm_discard_manager_get_quarantined(world->manager) > 0);
    assert_true(source_discard_all(world->manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
    assert_regions(world, "");
}

static void adding_ram_with_an_unknown_result_fails(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_true(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL));
    assert_true(plug(world, 0, 3, NULL));
    fail_map(world, PM_ERROR_QUARANTINED);
    world->model.fail_map_in = 2;
    world->model.failed_map_leaves_it = true;
    world->model.fail_unmap_in = 1;
    assert_false(pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "the device is gone");
    assert_int_equal(stats_of(world).n_ranges, 0);
    assert_true(world->model.n_regions > 0);
    assert_true(pm_discard_manager_get_quarantined(world->manager) > 0);
    assert_true(source_discard_all(world->manager, NULL));
    assert_int_equal(world->model.n_regions, 0);
    assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, NULL));
}

/* --- freeing --- */

static void freeing_with_failing_unmaps_leaves_the_rest_to_the_manager(void **state)
{
    World *world = *state;

    assert_true(plug(world, 0, 4, NULL));
    fail_unmap(world, PM_ERROR_KERNEL);
    world->model.fails_for_ever = true;
    pm_buffer_registry_free(world->registry);
    world->registry = NULL;
    assert_int_equal(world->model.n_regions, 4);
    assert_quarantined(world, 0, 4);
    assert_false(world->model.is_freed);
    assert_false(source_discard_all(world->manager, NULL));
    world->model.fail_unmap_in = 0;
    assert_true(source_discard_all(world->manager, NULL));
    assert_int_equal(world->model.n_regions, 0);
    assert_true(world->model.is_freed);
}

/* The RAM is never freed; so the rest of this test's world stays, too. */
static void freeing_with_failing_unmaps_keeps_plain_ram(void **state)
{
    static World *world;
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .is_plain = true};

    (void)state;
    world = world_new(&config);
    fail_unmap(world, PM_ERROR_KERNEL);
    pm_buffer_registry_free(world->registry);
    assert_int_equal(world->model.n_regions, 1);
    assert_false(world->model.is_freed);
    assert_true(g_atomic_ref_count_compare(&world->ram->references, 2));
}

/* --- a PmIommu --- */

static void a_short_unmap_is_quarantined(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_true(plug(world, 0, 4, NULL));
    pm_fake_kernel_shorten_unmap(world->fake, 1);
    assert_false(unplug(world, 0, 4, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "");
    assert_quarantined(world, 0, 4);
    assert_int_equal(stats_of(world).unknown_bytes, 4 * BLOCK);
    assert_false(use_block(world, 3, 1));
    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(pm_buffer_registry_retry(world->registry, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "may still be mapped");
    assert_quarantined(world, 0, 4);
    assert_true(source_discard_all(world->manager, NULL));
    assert_int_equal(pm_iommu_get_n_mappings(world->iommu), 0);
    assert_true(plug(world, 0, 4, NULL));
    assert_consistent(world);
}

static void freeing_with_failing_unmaps_leaves_the_rest_to_the_iommu(void **state)
{
    World *world = *state;

    assert_true(plug(world, 0, 4, NULL));
    for (unsigned i = 1; i < 10; i++)
        pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_UNMAP, i, EIO);
    pm_buffer_registry_free(world->registry);
    world->registry = NULL;
    assert_quarantined(world, 0, 4);
    pm_fake_kernel_clear_faults(world->fake);
    assert_true(pm_iommu_settle(world->iommu, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(world->manager), 0);
    assert_true(unplug(world, 0, 4, NULL));
}

static void a_failed_map_of_the_kernel_is_refused_and_retried(void **state)
{
    World *world = *state;

    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 1, EIO);
    assert_true(plug(world, 0, 1, NULL));
    assert_run(world, 0, PM_BUFFER_REFUSED, 1, "EIO");
    assert_true(pm_buffer_registry_retry(world->registry, NULL));
    assert_consistent(world);
    assert_int_equal(stats_of(world).registered_bytes, BLOCK);
}

/* --- every call --- */

/* Whatever succeeds of it, the world is consistent after each step. */
static void run_scenario(World *world)
{
    (void)plug(world, 0, 3, NULL);
    (void)plug(world, 4, 2, NULL);
    (void)plug(world, 3, 1, NULL);
    (void)unplug(world, 1, 1, NULL);
    (void)plug(world, 8, 4, NULL);
    (void)unplug(world, 4, 2, NULL);
    (void)pm_buffer_registry_retry(world->registry, NULL);
    (void)source_discard_all(world->manager, NULL);
    (void)plug(world, 0, 2, NULL);
    if (pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL))
        (void)pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, NULL);
}

/* The @nth call fails. Returns whether there are so many. */
static bool run_with_failure(unsigned nth, bool map, PmError code, bool leaves, uint64_t flags)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .max_regions = 3, .flags = flags};
    World *world = world_new(&config);
    unsigned *fail_in = map ? &world->model.fail_map_in : &world->model.fail_unmap_in;
    bool failed;

    world->model.failure = g_error_new(PM_ERROR, (gint)code, "the device is gone");
    world->model.failed_map_leaves_it = leaves;
    world->model.failed_unmap_ends_it = leaves;
    *fail_in = nth;
    run_scenario(world);
    failed = *fail_in == 0;
    *fail_in = 0;
    (void)pm_buffer_registry_retry(world->registry, NULL);
    assert_true(source_discard_all(world->manager, NULL));
    if (stats_of(world).n_ranges > 0)
        assert_regions(world, "");
    else
        assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, NULL));
    assert_true(plug(world, 0, 2, NULL));
    assert_int_equal(stats_of(world).registered_bytes, 2 * BLOCK);
    assert_consistent(world);
    world_free(world);
    return failed;
}

static void after_a_failure_of_any_call_all_works(void **state)
{
    static const uint64_t flags[] = {0, PM_BUFFER_CAN_REPLACE};

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned map = 0; map < 2; map++) {
            for (unsigned n = 1; run_with_failure(n, map, PM_ERROR_KERNEL, false, flags[i]); n++)
                assert_true(n < 100);
            for (unsigned n = 1; run_with_failure(n, map, PM_ERROR_QUARANTINED, false, flags[i]);
                 n++)
                assert_true(n < 100);
            for (unsigned n = 1; run_with_failure(n, map, PM_ERROR_QUARANTINED, true, flags[i]);
                 n++)
                assert_true(n < 100);
        }
}

static void without_memory_nothing_is_lost(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 60; n++) {
        const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .is_empty = true};
        World *world = world_new(&config);
        bool added;

        allocations_end_after(n);
        added = pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, NULL);
        if (added) {
            (void)plug(world, 0, 4, NULL);
            (void)plug(world, 8, 4, NULL);
        }
        allocations_go_on();
        if (added) {
            (void)pm_buffer_registry_retry(world->registry, NULL);
            assert_consistent(world);
        }
        world_free(world);
    }
}

#define ON_MODEL(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
#define ON_IOMMU(test) cmocka_unit_test_setup_teardown(test, world_setup_iommu, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MODEL(a_failed_unmap_changes_nothing),
        ON_MODEL(an_error_of_another_domain_is_wrapped),
        ON_MODEL(an_unmap_with_unknown_result_is_quarantined),
        ON_MODEL(a_retry_ends_the_quarantine),
        ON_MODEL(a_retry_that_fails_keeps_the_quarantine),
        ON_MODEL(unplugging_all_ends_the_quarantine),
        ON_MODEL(removing_the_ram_ends_the_quarantine),
        ON_MODEL(removing_that_fails_keeps_the_range),
        ON_MODEL(a_buffer_that_fails_to_unregister_stays),
        ON_MODEL(a_map_with_unknown_result_fails_the_plug),
        ON_MODEL(adding_ram_with_an_unknown_result_fails),
        ON_MODEL(freeing_with_failing_unmaps_leaves_the_rest_to_the_manager),
        cmocka_unit_test(freeing_with_failing_unmaps_keeps_plain_ram),
        ON_IOMMU(a_short_unmap_is_quarantined),
        ON_IOMMU(freeing_with_failing_unmaps_leaves_the_rest_to_the_iommu),
        ON_IOMMU(a_failed_map_of_the_kernel_is_refused_and_retried),
        cmocka_unit_test(after_a_failure_of_any_call_all_works),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
