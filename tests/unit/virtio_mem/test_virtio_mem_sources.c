/* SPDX-License-Identifier: MIT */
/* A device whose RAM has a second source: the device sees only its own. */
#include "virtio_mem_util.h"

#define GRANULE (4 * PM_KIB)

static PmDiscardSource *add_shared(Fixture *fixture)
{
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = "shared",
        .granularity = GRANULE,
        .flags = PM_DISCARD_SOURCE_POPULATED,
    };
    PmDiscardSource *source =
        pm_discard_manager_add_source(pm_virtio_mem_get_manager(fixture->device), &config, NULL);

    assert_non_null(source);
    return source;
}

static void the_device_has_a_source_named_after_it(void **state)
{
    Fixture *fixture = *state;
    PmDiscardSource *source = pm_virtio_mem_get_source(fixture->device);

    assert_string_equal(pm_discard_source_get_name(source), "virtio-mem at 0x100000000");
    assert_int_equal(pm_discard_source_get_granularity(source), BLOCK);
    assert_ptr_equal(pm_discard_source_get_manager(source),
                     pm_virtio_mem_get_manager(fixture->device));
}

static void state_and_sizes_are_those_of_the_device(void **state)
{
    Fixture *fixture = *state;
    PmDiscardSource *shared = add_shared(fixture);
    uint8_t config[CONFIG_SIZE];

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 4), ACK);
    assert_true(pm_discard_source_discard(shared, 5 * BLOCK, BLOCK, 0, NULL));
    assert_true(pm_discard_source_discard(shared, 6 * BLOCK + GRANULE, GRANULE, 0, NULL));
    assert_int_equal(state_of(fixture, BLOCK_AT(4), 4), VIRTIO_MEM_STATE_PLUGGED);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 4 * BLOCK);
    pm_virtio_mem_config_read(fixture->device, 0, config, sizeof(config));
    assert_int_equal(get_le(config + 40, 8), 4 * BLOCK);
    assert_int_equal(pm_discard_manager_get_populated(pm_virtio_mem_get_manager(fixture->device)),
                     3 * BLOCK - GRANULE);
}

static void private_blocks_are_plugged_and_unplugged_like_others(void **state)
{
    Fixture *fixture = *state;
    PmDiscardSource *shared = add_shared(fixture);

    add_listener(fixture);
    assert_true(pm_discard_source_discard(shared, 2 * BLOCK, 2 * BLOCK, 0, NULL));
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(2), 2), ACK);
    assert_int_equal(fixture->listener.n_populates, 0);
    assert_int_equal(fixture->last_plugged, 2 * BLOCK);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(3), 1), ERROR);
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(2), 1), ACK);
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(2), 1), ERROR);
    assert_int_equal(fixture->listener.n_discards, 0);
    assert_true(pm_discard_source_populate(shared, 2 * BLOCK, 2 * BLOCK, 0, 0, NULL));
    assert_int_equal(fixture->listener.populated, BLOCK);
}

static void a_system_reset_works_while_parts_are_private(void **state)
{
    Fixture *fixture = *state;
    PmDiscardSource *shared = add_shared(fixture);

    add_listener(fixture);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(0), 8), ACK);
    assert_true(pm_discard_source_discard(shared, BLOCK, 3 * GRANULE, 0, NULL));
    assert_true(pm_virtio_mem_system_reset(fixture->device, NULL));
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 0);
    assert_int_equal(fixture->listener.populated, 0);
    assert_int_equal(pm_discard_source_get_populated(shared), REGION - 3 * GRANULE);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(0), 2), ACK);
    assert_int_equal(fixture->listener.populated, 2 * BLOCK - 3 * GRANULE);
}

static void unplug_all_works_if_all_that_is_plugged_is_private(void **state)
{
    Fixture *fixture = *state;
    PmDiscardSource *shared = add_shared(fixture);
    uint64_t resident;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(0), 2), ACK);
    assert_true(pm_ram_populate(fixture->ram, 0, 2 * BLOCK, 1, NULL));
    assert_true(pm_discard_source_discard(shared, 0, REGION, 0, NULL));
    assert_int_equal(request(fixture, UNPLUG_ALL, 0, 0), ACK);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 0);
    assert_true(pm_ram_resident(fixture->ram, 0, REGION, &resident, NULL));
    assert_int_equal(resident, 0);
}

static void a_plug_of_several_runs_that_a_listener_refuses_changes_nothing(void **state)
{
    Fixture *fixture = *state;
    PmDiscardSource *shared = add_shared(fixture);

    add_listener(fixture);
    assert_true(pm_discard_source_discard(shared, BLOCK, GRANULE, 0, NULL));
    fixture->listener.populate_error = PM_ERROR_LIMIT;
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(0), 2), BUSY);
    fixture->listener.populate_error = NO_OBJECTION;
    assert_int_equal(state_of(fixture, BLOCK_AT(0), 2), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(fixture->listener.populated, 0);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(0), 2), ACK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_device_has_a_source_named_after_it),
        TEST(state_and_sizes_are_those_of_the_device),
        TEST(private_blocks_are_plugged_and_unplugged_like_others),
        TEST(a_system_reset_works_while_parts_are_private),
        TEST(unplug_all_works_if_all_that_is_plugged_is_private),
        TEST(a_plug_of_several_runs_that_a_listener_refuses_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
