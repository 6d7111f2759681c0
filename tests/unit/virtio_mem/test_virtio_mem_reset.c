/* SPDX-License-Identifier: MIT */
/* Device reset, which does not change blocks, and system reset, which unplugs all. */
#include "virtio_mem_util.h"

static void device_reset_does_not_change_blocks_and_memory(void **state)
{
    Fixture *fixture = *state;
    uint8_t *host = pm_ram_get_host(fixture->ram);
    uint8_t before[CONFIG_SIZE];
    uint8_t after[CONFIG_SIZE];

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(2), 3), ACK);
    host[3 * BLOCK] = 77;
    set_requested(fixture, 0);
    fixture->n_plugged_calls = 0;
    fixture->n_config_calls = 0;
    read_config(fixture, before);
    pm_virtio_mem_device_reset(fixture->device);
    read_config(fixture, after);
    assert_memory_equal(before, after, CONFIG_SIZE);
    assert_int_equal(state_of(fixture, BLOCK_AT(2), 3), VIRTIO_MEM_STATE_PLUGGED);
    assert_int_equal(host[3 * BLOCK], 77);
    assert_int_equal(fixture->listener.populated, 3 * BLOCK);
    assert_int_equal(fixture->n_plugged_calls + fixture->n_config_calls, 0);
}

static void device_reset_clears_the_last_refusal(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, 1, 1), ERROR);
    pm_virtio_mem_device_reset(fixture->device);
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
}

static void device_reset_does_not_end_a_migration(void **state)
{
    Fixture *fixture = *state;

    pm_virtio_mem_set_migrating(fixture->device, true);
    pm_virtio_mem_device_reset(fixture->device);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 1), BUSY);
}

static void system_reset_unplugs_all(void **state)
{
    Fixture *fixture = *state;
    uint8_t *host = pm_ram_get_host(fixture->ram);

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(2), 3), ACK);
    host[3 * BLOCK] = 77;
    fixture->n_plugged_calls = 0;
    assert_true(pm_virtio_mem_system_reset(fixture->device, NULL));
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 0);
    assert_int_equal(state_of(fixture, ADDRESS, N_BLOCKS), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(host[3 * BLOCK], 0);
    assert_int_equal(fixture->listener.populated, 0);
    assert_int_equal(fixture->n_plugged_calls, 1);
    assert_int_equal(fixture->last_plugged, 0);
}

static void system_reset_shrinks_the_usable_region(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.usable_extent = BLOCK;
    make_device(fixture, &config);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(100), 1), ACK);
    set_requested(fixture, 5 * BLOCK);
    assert_true(pm_virtio_mem_system_reset(fixture->device, NULL));
    assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), 6 * BLOCK);
    assert_int_equal(pm_virtio_mem_get_requested_size(fixture->device), 5 * BLOCK);
}

static void system_reset_with_nothing_plugged_shrinks_even_while_migrating(void **state)
{
    Fixture *fixture = *state;

    set_requested(fixture, 0);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_true(pm_virtio_mem_system_reset(fixture->device, NULL));
    assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), 0);
    assert_int_equal(fixture->n_plugged_calls, 0);
}

static void assert_reset_refused(Fixture *fixture, int code, PmRefusal cause)
{
    g_autoptr(GError) error = NULL;
    uint8_t before[CONFIG_SIZE];
    uint8_t after[CONFIG_SIZE];
    unsigned n_calls = fixture->n_plugged_calls;

    read_config(fixture, before);
    assert_false(pm_virtio_mem_system_reset(fixture->device, &error));
    assert_true(g_error_matches(error, PM_ERROR, code));
    assert_non_null(strstr(error->message, "system reset of the virtio-mem device at 0x100000000"));
    assert_refusal(fixture, cause, error->message);
    read_config(fixture, after);
    assert_memory_equal(before, after, CONFIG_SIZE);
    assert_int_equal(fixture->n_plugged_calls, n_calls);
    assert_false(pm_virtio_mem_system_reset(fixture->device, NULL));
}

static void system_reset_while_migrating_changes_nothing(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(2), 3), ACK);
    set_requested(fixture, 0);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_reset_refused(fixture, PM_ERROR_BUSY, PM_REFUSAL_MIGRATION);
    pm_virtio_mem_set_migrating(fixture->device, false);
    assert_true(pm_virtio_mem_system_reset(fixture->device, NULL));
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
}

static void system_reset_refused_by_a_listener_changes_nothing(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(2), 3), ACK);
    set_requested(fixture, 0);
    fixture->listener.discard_error = PM_ERROR_KERNEL;
    assert_reset_refused(fixture, PM_ERROR_KERNEL, PM_REFUSAL_LISTENER);
    assert_int_equal(state_of(fixture, BLOCK_AT(2), 3), VIRTIO_MEM_STATE_PLUGGED);
    assert_int_equal(fixture->listener.populated, 3 * BLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LISTENER(device_reset_does_not_change_blocks_and_memory),
        TEST(device_reset_clears_the_last_refusal),
        TEST(device_reset_does_not_end_a_migration),
        TEST_WITH_LISTENER(system_reset_unplugs_all),
        TEST_WITH_RAM(system_reset_shrinks_the_usable_region),
        TEST(system_reset_with_nothing_plugged_shrinks_even_while_migrating),
        TEST(system_reset_while_migrating_changes_nothing),
        TEST_WITH_LISTENER(system_reset_refused_by_a_listener_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
