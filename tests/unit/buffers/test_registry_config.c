/* SPDX-License-Identifier: MIT */
/* Configurations that are refused, and copies in forked children. */
#include "registry_world.h"

#include "util/backend_util.h"
#include "util/fork_util.h"
#include "util/source_util.h"

static void assert_refused(const PmBufferRegistryConfig *config, const char *words)
{
    GError *error = NULL;

    assert_null(pm_buffer_registry_new(config, &error));
    assert_code(&error, PM_ERROR_INVALID_ARGUMENT, words);
}

static void invalid_configurations_are_refused(void **state)
{
    const World *world = *state;
    const WorldConfig plain = {0};
    const PmBufferBackend backend = model_backend(&plain);
    const PmBufferRegistryConfig valid = {
        .struct_size = sizeof(valid), .name = "it", .backend = &backend};
    PmBufferRegistryConfig config = valid;

    config.name = NULL;
    assert_refused(&config, "needs a name");
    config.name = "";
    assert_refused(&config, "needs a name");
    config = valid;
    config.backend = NULL;
    assert_refused(&config, "exactly one of");
    config.backend = &backend;
    config.iommu = world->iommu;
    assert_refused(&config, "exactly one of");
    config = valid;
    config.wait_ms = UINT64_C(1) << 32;
    assert_refused(&config, "wait_ms");
    config = valid;
    config.bounce_size = 2 * PM_MIB;
    config.bounce_limit = PM_MIB;
    assert_refused(&config, "bounce_limit");
    config = valid;
    config.bounce_size = UINT64_MAX;
    assert_refused(&config, "at most 0x10000000000");
    config = valid;
    config.struct_size = 0;
    assert_refused(&config, "PmBufferRegistryConfig");
}

static void invalid_back_ends_are_refused(void **state)
{
    const WorldConfig plain = {0};
    PmBufferBackend backend = model_backend(&plain);
    const PmBufferRegistryConfig config = {
        .struct_size = sizeof(config), .name = "it", .backend = &backend};

    (void)state;
    backend.alignment = 3;
    assert_refused(&config, "power of two");
    backend = model_backend(&plain);
    backend.flags = UINT64_C(1) << 40;
    assert_refused(&config, "invalid flags");
    backend = model_backend(&plain);
    backend.map = NULL;
    assert_refused(&config, "must have map and unmap");
    backend = model_backend(&plain);
    backend.unmap = NULL;
    assert_refused(&config, "must have map and unmap");
    backend.struct_size = 0;
    assert_refused(&config, "PmBufferBackend");
}

static void invalid_addresses_are_refused(void **state)
{
    const World *world = *state;
    const PmIovaRange avoid = {2, 1};
    PmBufferRegistryConfig config = {
        .struct_size = sizeof(config), .name = "it", .iommu = world->iommu, .window = {2, 1}};

    assert_refused(&config, "invalid window");
    config.window = (PmIovaRange){0, 0};
    config.n_avoid = 1;
    assert_refused(&config, "they are NULL");
    config.avoid = &avoid;
    assert_refused(&config, "invalid range to avoid");
}

static void blocks_must_suit_the_back_end(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .alignment = 2 * BLOCK, .is_empty = true};
    World *world = world_new(&config);
    GError *error = NULL;

    (void)state;
    assert_false(pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, &error));
    assert_code(&error, PM_ERROR_UNALIGNED, "must be a multiple of 0x20000");
    world_free(world);
}

static void buffers_must_suit_the_back_end(void **state)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .alignment = 16 * PM_MIB, .is_empty = true};
    World *world = world_new(&config);
    GError *error = NULL;

    (void)state;
    assert_false(
        pm_buffer_registry_register(world->registry, host_of(world, 0), BLOCK, -1, 0, &error));
    assert_code(&error, PM_ERROR_UNALIGNED, "not aligned");
    world_free(world);
}

/* --- forked children --- */

typedef bool (*Call)(World *world, GError **error);

static bool add_ram(World *world, GError **error)
{
    return pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, error);
}

static bool remove_ram(World *world, GError **error)
{
    return pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, error);
}

static bool register_buffer(World *world, GError **error)
{
    return pm_buffer_registry_register(world->registry, world, BLOCK, -1, 0, error);
}

static bool unregister_buffer(World *world, GError **error)
{
    return pm_buffer_registry_unregister(world->registry, world, BLOCK, error);
}

static bool retry(World *world, GError **error)
{
    return pm_buffer_registry_retry(world->registry, error);
}

static bool lease(World *world, GError **error)
{
    PmBufferLease held;

    return lease_block(world, 0, &held, error);
}

static bool is_useless(void *user_data)
{
    static const Call calls[] = {add_ram,           remove_ram, register_buffer,
                                 unregister_buffer, retry,      lease};
    World *world = user_data;
    unsigned n_unmaps = world->model.n_unmaps;

    for (unsigned i = 0; i < G_N_ELEMENTS(calls); i++) {
        GError *error = NULL;
        bool done = calls[i](world, &error);

        if (!is_refused(done, error))
            return false;
    }
    pm_buffer_registry_free(world->registry);
    return world->model.n_unmaps == n_unmaps && !world->model.is_freed;
}

static void a_child_changes_nothing_of_its_parents(void **state)
{
    World *world = *state;

    assert_true(plug(world, 0, 4, NULL));
    for (unsigned i = 0; i < n_ways_to_fork; i++)
        assert_child(ways_to_fork[i], is_useless, world);
    assert_consistent(world);
    assert_int_equal(stats_of(world).registered_bytes, 4 * BLOCK);
    assert_true(unplug(world, 0, 4, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(invalid_configurations_are_refused, world_setup_iommu,
                                        world_teardown),
        cmocka_unit_test(invalid_back_ends_are_refused),
        cmocka_unit_test_setup_teardown(invalid_addresses_are_refused, world_setup_iommu,
                                        world_teardown),
        cmocka_unit_test(blocks_must_suit_the_back_end),
        cmocka_unit_test(buffers_must_suit_the_back_end),
        cmocka_unit_test_setup_teardown(a_child_changes_nothing_of_its_parents, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_child_changes_nothing_of_its_parents, world_setup_iommu,
                                        world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
