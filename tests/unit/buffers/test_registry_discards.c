/* SPDX-License-Identifier: MIT */
/* Unplugging memory that buffers are in: leases delay it, and nothing else does. */
#include "registry_world.h"

#include <pthread.h>

#include "util/source_util.h"

static World *replaceable_world(uint64_t wait_ms)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .flags = PM_BUFFER_CAN_REPLACE, .wait_ms = wait_ms};

    return world_new(&config);
}

static void a_leased_block_is_not_unplugged(void **state)
{
    World *world = *state;
    GError *error = NULL;
    PmBufferLease lease;

    assert_true(plug(world, 0, 4, NULL));
    assert_true(lease_block(world, 2, &lease, NULL));
    assert_false(unplug(world, 0, 4, &error));
    assert_string_equal(pm_error_get_listener(error), "the buffers of the test");
    assert_code(&error, PM_ERROR_BUSY, "1 lease");
    assert_int_equal(stats_of(world).registered_bytes, 4 * BLOCK);
    pm_buffer_lease_release(&lease);
    assert_consistent(world);
    assert_true(unplug(world, 0, 4, NULL));
    assert_consistent(world);
}

static void a_refused_unplug_unmaps_nothing(void **state)
{
    World *world = *state;
    PmBufferLease lease;
    unsigned n_unmaps;

    assert_true(plug(world, 0, 4, NULL));
    assert_true(lease_block(world, 3, &lease, NULL));
    n_unmaps = world->model.n_unmaps;
    assert_false(unplug(world, 0, 4, NULL));
    assert_false(source_discard_all(world->manager, NULL));
    assert_int_equal(world->model.n_unmaps, n_unmaps);
    pm_buffer_lease_release(&lease);
}

static void other_blocks_are_unplugged_during_a_lease(void **state)
{
    World *world = *state;
    PmBufferLease lease;

    assert_true(plug(world, 0, 4, NULL));
    assert_true(lease_block(world, 2, &lease, NULL));
    assert_true(unplug(world, 0, 2, NULL));
    assert_true(unplug(world, 3, 1, NULL));
    pm_buffer_lease_release(&lease);
    assert_consistent(world);
}

/* --- another listener objects --- */

typedef struct {
    World *world;
    bool objects;
    bool fails;
    bool retries;
    bool could_lease; /* in a discard, block 0 */
} Other;

static bool object(void *user_data, uint64_t offset G_GNUC_UNUSED, uint64_t size G_GNUC_UNUSED,
                   GError **error)
{
    Other *other = user_data;

    if (other->retries)
        (void)pm_buffer_registry_retry(other->world->registry, NULL);
    other->could_lease |= use_block(other->world, 0, 1);
    if (!other->objects)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_BUSY, "the other one objects");
    return false;
}

static bool accept(void *user_data G_GNUC_UNUSED, uint64_t offset G_GNUC_UNUSED,
                   uint64_t size G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
    return true;
}

static bool discard(void *user_data, uint64_t offset G_GNUC_UNUSED, uint64_t size G_GNUC_UNUSED,
                    GError **error)
{
    const Other *other = user_data;

    if (!other->fails)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_KERNEL, "the other one fails");
    return false;
}

static const PmDiscardListenerOps other_ops = {
    .struct_size = sizeof(other_ops),
    .can_discard = object,
    .populate = accept,
    .discard = discard,
};

static void assert_undone(World *world, bool objects, bool fails, bool all)
{
    Other other = {.world = world, .objects = objects, .fails = fails};
    PmDiscardListener *listener =
        pm_discard_manager_register(world->manager, &other_ops, &other, "other", 0, SIZE, NULL);

    assert_true(plug(world, 0, 4, NULL));
    assert_true(plug(world, 6, 2, NULL));
    assert_false(all ? source_discard_all(world->manager, NULL) : unplug(world, 0, 4, NULL));
    assert_false(other.could_lease);
    assert_int_equal(stats_of(world).registered_bytes, 6 * BLOCK);
    assert_consistent(world);
    other.fails = false;
    assert_true(pm_discard_manager_unregister(world->manager, listener, NULL));
    assert_true(unplug(world, 0, 4, NULL));
    assert_consistent(world);
}

static void blocks_can_be_leased_again_after_an_objection(void **state)
{
    assert_undone(*state, true, false, false);
}

static void blocks_can_be_leased_again_after_an_objection_to_unplug_all(void **state)
{
    assert_undone(*state, true, false, true);
}

static void blocks_are_registered_again_after_a_later_listener_failed(void **state)
{
    assert_undone(*state, false, true, false);
}

static void blocks_are_registered_again_after_unplug_all_failed(void **state)
{
    assert_undone(*state, false, true, true);
}

static void shared_regions_survive_an_objection(void **state)
{
    World *world = replaceable_world(0);

    (void)state;
    assert_undone(world, true, false, false);
    world_free(world);
}

static void shared_regions_survive_a_failure(void **state)
{
    World *world = replaceable_world(0);

    (void)state;
    assert_undone(world, false, true, true);
    world_free(world);
}

static void what_is_about_to_be_unplugged_is_not_registered(void **state)
{
    World *world = *state;
    Other other = {.world = world, .retries = true};
    PmDiscardListener *listener =
        pm_discard_manager_register(world->manager, &other_ops, &other, "other", 0, SIZE, NULL);

    world->model.fail_map_in = 1;
    assert_true(plug(world, 0, 1, NULL));
    assert_int_equal(stats_of(world).refused_bytes, BLOCK);
    assert_true(unplug(world, 0, 1, NULL));
    assert_false(other.could_lease);
    assert_int_equal(world->model.n_maps, 1);
    assert_true(pm_discard_manager_unregister(world->manager, listener, NULL));
}

/* --- waiting --- */

static void *release(void *user_data)
{
    g_usleep(2000);
    pm_buffer_lease_release(user_data);
    return NULL;
}

static void an_unplug_waits_for_a_lease_if_asked_to(void **state)
{
    World *world = replaceable_world(60000);
    PmBufferLease lease;
    pthread_t thread;

    (void)state;
    assert_true(plug(world, 0, 2, NULL));
    assert_true(lease_block(world, 0, &lease, NULL));
    assert_int_equal(pthread_create(&thread, NULL, release, &lease), 0);
    assert_true(unplug(world, 0, 2, NULL));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_consistent(world);
    world_free(world);
}

static void an_unplug_does_not_wait_for_ever(void **state)
{
    World *world = replaceable_world(1);
    GError *error = NULL;
    PmBufferLease lease;

    (void)state;
    assert_true(plug(world, 0, 2, NULL));
    assert_true(lease_block(world, 0, &lease, NULL));
    assert_false(unplug(world, 0, 2, &error));
    assert_code(&error, PM_ERROR_BUSY, "1 lease");
    pm_buffer_lease_release(&lease);
    assert_consistent(world);
    world_free(world);
}

/* --- shared regions --- */

static void a_lease_delays_the_unplug_of_all_blocks_of_its_region(void **state)
{
    World *world = replaceable_world(0);
    PmBufferLease lease;

    (void)state;
    assert_true(plug(world, 0, 4, NULL));
    assert_regions(world, "0+4");
    assert_true(lease_block(world, 3, &lease, NULL));
    assert_false(unplug(world, 0, 1, NULL));
    assert_regions(world, "0+4");
    pm_buffer_lease_release(&lease);
    assert_true(unplug(world, 0, 1, NULL));
    assert_regions(world, "1+3");
    world_free(world);
}

static void unplugging_the_middle_of_a_region_leaves_both_sides(void **state)
{
    World *world = replaceable_world(0);

    (void)state;
    assert_true(plug(world, 0, 9, NULL));
    assert_true(unplug(world, 3, 2, NULL));
    assert_regions(world, "0+3 5+4");
    world_free(world);
}

static void segments_end_at_the_regions_of_a_caller(void **state)
{
    World *world = replaceable_world(0);
    PmBufferLease lease;
    PmDmaSegment segment;

    (void)state;
    assert_true(plug(world, 0, 2, NULL));
    assert_true(plug(world, 2, 2, NULL));
    assert_true(
        pm_buffer_lease_acquire(world->registry, host_of(world, 1), 2 * BLOCK, &lease, NULL));
    assert_true(pm_buffer_lease_next(&lease, 0, &segment));
    assert_int_equal(segment.length, BLOCK);
    assert_true(pm_buffer_lease_next(&lease, BLOCK, &segment));
    assert_int_equal(segment.length, BLOCK);
    pm_buffer_lease_release(&lease);
    world_free(world);
}

static void segments_of_an_iommu_end_only_where_addresses_do(void **state)
{
    World *world = *state;
    PmBufferLease lease;
    PmDmaSegment segment;

    assert_true(plug(world, 0, 4, NULL));
    assert_true(
        pm_buffer_lease_acquire(world->registry, host_of(world, 0) + 7, 3 * BLOCK, &lease, NULL));
    assert_true(pm_buffer_lease_next(&lease, 0, &segment));
    assert_int_equal(segment.length, 3 * BLOCK);
    pm_buffer_lease_release(&lease);
}

/* --- who else may discard --- */

static bool can_balloon(PmRam *ram, GError **error)
{
    return pm_ram_discard(ram, 0, BLOCK, error);
}

static void a_back_end_that_may_pin_disables_uncoordinated_discards(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .flags = PM_BUFFER_MAY_PIN};
    World *world = world_new(&config);
    GError *error = NULL;

    (void)state;
    assert_false(can_balloon(world->ram, &error));
    assert_code(&error, PM_ERROR_BUSY, "the buffers of the test disables uncoordinated discards");
    assert_true(plug(world, 0, 2, NULL));
    assert_true(unplug(world, 0, 2, NULL));
    world_free(world);
}

static void a_back_end_that_does_not_pin_leaves_the_balloon_alone(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .is_plain = true};
    World *world = world_new(&config);

    (void)state;
    assert_true(can_balloon(world->ram, NULL));
    world_free(world);
}

static void plain_ram_gets_no_manager_while_its_buffers_are_registered(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .is_plain = true};
    World *world = world_new(&config);
    GError *error = NULL;

    (void)state;
    assert_null(pm_discard_manager_new(world->ram, BLOCK, &error));
    assert_code(&error, PM_ERROR_BUSY, "the buffers of the test");
    assert_true(pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL));
    pm_discard_manager_unref(pm_discard_manager_new(world->ram, BLOCK, NULL));
    world_free(world);
}

static void a_back_end_that_keeps_memory_disables_all_discards(void **state)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .flags = PM_BUFFER_KEEPS_MEMORY, .is_plain = true};
    World *world = world_new(&config);
    GError *error = NULL;

    (void)state;
    assert_false(can_balloon(world->ram, &error));
    assert_code(&error, PM_ERROR_BUSY, "disables all discards");
    world_free(world);
}

static void a_back_end_that_keeps_memory_refuses_ram_with_a_manager(void **state)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .flags = PM_BUFFER_KEEPS_MEMORY, .is_empty = true};
    World *world = world_new(&config);
    GError *error = NULL;

    (void)state;
    assert_false(pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, &error));
    assert_code(&error, PM_ERROR_BUSY, "the buffers of the test disables all discards, because");
    assert_int_equal(stats_of(world).n_ranges, 0);
    world_free(world);
}

#define ON_BOTH(test)                                                                              \
    cmocka_unit_test_setup_teardown(test, world_setup, world_teardown),                            \
        cmocka_unit_test_setup_teardown(test, world_setup_iommu, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_leased_block_is_not_unplugged),
        cmocka_unit_test_setup_teardown(a_refused_unplug_unmaps_nothing, world_setup,
                                        world_teardown),
        ON_BOTH(other_blocks_are_unplugged_during_a_lease),
        ON_BOTH(blocks_can_be_leased_again_after_an_objection),
        ON_BOTH(blocks_can_be_leased_again_after_an_objection_to_unplug_all),
        ON_BOTH(blocks_are_registered_again_after_a_later_listener_failed),
        ON_BOTH(blocks_are_registered_again_after_unplug_all_failed),
        cmocka_unit_test_setup_teardown(what_is_about_to_be_unplugged_is_not_registered,
                                        world_setup, world_teardown),
        cmocka_unit_test(shared_regions_survive_an_objection),
        cmocka_unit_test(shared_regions_survive_a_failure),
        cmocka_unit_test(an_unplug_waits_for_a_lease_if_asked_to),
        cmocka_unit_test(an_unplug_does_not_wait_for_ever),
        cmocka_unit_test(a_lease_delays_the_unplug_of_all_blocks_of_its_region),
        cmocka_unit_test(unplugging_the_middle_of_a_region_leaves_both_sides),
        cmocka_unit_test(segments_end_at_the_regions_of_a_caller),
        cmocka_unit_test_setup_teardown(segments_of_an_iommu_end_only_where_addresses_do,
                                        world_setup_iommu, world_teardown),
        cmocka_unit_test(a_back_end_that_may_pin_disables_uncoordinated_discards),
        cmocka_unit_test(a_back_end_that_does_not_pin_leaves_the_balloon_alone),
        cmocka_unit_test(plain_ram_gets_no_manager_while_its_buffers_are_registered),
        cmocka_unit_test(a_back_end_that_keeps_memory_disables_all_discards),
        cmocka_unit_test(a_back_end_that_keeps_memory_refuses_ram_with_a_manager),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
