/* SPDX-License-Identifier: MIT */
/* UNPLUG and UNPLUG_ALL: checks and their order, responses, and that memory is discarded. */
#include "virtio_mem_util.h"

static void assert_refused(Fixture *fixture, uint16_t type, uint64_t address, uint16_t n_blocks,
                           int answer, PmRefusal cause)
{
    uint8_t before[CONFIG_SIZE];
    uint8_t after[CONFIG_SIZE];
    unsigned n_calls = fixture->n_plugged_calls;
    uint64_t populated = fixture->listener.populated;

    read_config(fixture, before);
    assert_int_equal(request(fixture, type, address, n_blocks), answer);
    assert_refusal(fixture, cause, type == UNPLUG ? "UNPLUG of " : "UNPLUG_ALL refused: ");
    read_config(fixture, after);
    assert_memory_equal(before, after, CONFIG_SIZE);
    assert_int_equal(fixture->n_plugged_calls, n_calls);
    assert_int_equal(fixture->listener.populated, populated);
}

static void unplug_makes_blocks_unplugged(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 10), ACK);
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(3), 4), ACK);
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
    assert_int_equal(state_of(fixture, ADDRESS, 3), VIRTIO_MEM_STATE_PLUGGED);
    assert_int_equal(state_of(fixture, BLOCK_AT(3), 4), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(state_of(fixture, BLOCK_AT(7), 3), VIRTIO_MEM_STATE_PLUGGED);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 6 * BLOCK);
}

static void unplug_notifies_listener_and_callback_once(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 10), ACK);
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(3), 4), ACK);
    assert_int_equal(fixture->listener.n_discards, 1);
    assert_int_equal(fixture->listener.populated, 6 * BLOCK);
    assert_int_equal(fixture->n_plugged_calls, 2);
    assert_int_equal(fixture->last_plugged, 6 * BLOCK);
    assert_int_equal(fixture->n_config_calls, 0);
}

static void unplug_discards_only_its_blocks(void **state)
{
    Fixture *fixture = *state;
    uint8_t *host = pm_ram_get_host(fixture->ram);

    assert_int_equal(request(fixture, PLUG, ADDRESS, 3), ACK);
    memset(host, 0x11, 3 * BLOCK);
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(1), 1), ACK);
    assert_int_equal(host[BLOCK - 1], 0x11);
    assert_int_equal(host[BLOCK], 0);
    assert_int_equal(host[2 * BLOCK - 1], 0);
    assert_int_equal(host[2 * BLOCK], 0x11);
}

static void unplug_checks_the_range_like_plug(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, N_BLOCKS), ACK);
    assert_refused(fixture, UNPLUG, ADDRESS + 1, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refused(fixture, UNPLUG, ADDRESS, 0, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refused(fixture, UNPLUG, UINT64_C(0) - BLOCK, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refused(fixture, UNPLUG, ADDRESS - BLOCK, 2, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refused(fixture, UNPLUG, ADDRESS + REGION, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refused(fixture, UNPLUG, ADDRESS + REGION - BLOCK, 2, ERROR, PM_REFUSAL_BAD_RANGE);
}

static void unplugging_an_unplugged_block_is_an_error(void **state)
{
    Fixture *fixture = *state;

    assert_refused(fixture, UNPLUG, ADDRESS, 1, ERROR, PM_REFUSAL_BLOCK_STATE);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(2), 4), ACK);
    assert_refused(fixture, UNPLUG, BLOCK_AT(1), 2, ERROR, PM_REFUSAL_BLOCK_STATE);
    assert_refused(fixture, UNPLUG, BLOCK_AT(2), 5, ERROR, PM_REFUSAL_BLOCK_STATE);
    assert_refusal(fixture, PM_REFUSAL_BLOCK_STATE,
                   "UNPLUG of 5 blocks at 0x100400000 refused: block at 0x100c00000 is "
                   "already unplugged");
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(2), 4), ACK);
}

static void unplug_never_returns_nack(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    /* Requested sizes far above, equal to, and below the size that stays plugged. */
    assert_int_equal(request(fixture, UNPLUG, ADDRESS, 1), ACK);
    set_requested(fixture, 3 * BLOCK);
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(1), 1), ACK);
    set_requested(fixture, 0);
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(2), 1), ACK);
    assert_int_equal(request(fixture, UNPLUG, BLOCK_AT(2), 1), ERROR);
}

static void unplugging_while_migrating_returns_busy(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_refused(fixture, UNPLUG, ADDRESS, 4, BUSY, PM_REFUSAL_MIGRATION);
    pm_virtio_mem_set_migrating(fixture->device, false);
    assert_int_equal(request(fixture, UNPLUG, ADDRESS, 4), ACK);
}

static void unplug_returns_busy_if_a_listener_fails(void **state)
{
    Fixture *fixture = *state;
    uint8_t *host = pm_ram_get_host(fixture->ram);

    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    host[2 * BLOCK] = 5;
    fixture->listener.discard_error = PM_ERROR_KERNEL;
    assert_refused(fixture, UNPLUG, ADDRESS, 4, BUSY, PM_REFUSAL_LISTENER);
    assert_int_equal(host[2 * BLOCK], 5);
    assert_int_equal(state_of(fixture, ADDRESS, 4), VIRTIO_MEM_STATE_PLUGGED);
    fixture->listener.discard_error = NO_OBJECTION;
    assert_int_equal(request(fixture, UNPLUG, ADDRESS, 4), ACK);
    assert_int_equal(host[2 * BLOCK], 0);
}

static void unplug_returns_busy_if_discard_fails(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    uint8_t *host = pm_ram_get_host(fixture->ram);

    make_device(fixture, &config);
    add_listener(fixture);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    lock_page(host + BLOCK);
    assert_refused(fixture, UNPLUG, ADDRESS, 4, BUSY, PM_REFUSAL_MEMORY);
    assert_refused(fixture, UNPLUG_ALL, 0, 0, BUSY, PM_REFUSAL_MEMORY);
    unlock_page(host + BLOCK);
    assert_int_equal(request(fixture, UNPLUG, ADDRESS, 4), ACK);
}

static void range_is_checked_before_block_states_and_migration(void **state)
{
    Fixture *fixture = *state;

    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_refused(fixture, UNPLUG, ADDRESS + 1, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refused(fixture, UNPLUG, ADDRESS, N_BLOCKS + 1, ERROR, PM_REFUSAL_BAD_RANGE);
}

static void block_states_are_checked_before_migration(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_refused(fixture, UNPLUG, ADDRESS, 5, ERROR, PM_REFUSAL_BLOCK_STATE);
}

static void migration_is_checked_before_listeners(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    fixture->listener.discard_error = PM_ERROR_KERNEL;
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_refused(fixture, UNPLUG, ADDRESS, 4, BUSY, PM_REFUSAL_MIGRATION);
    assert_refused(fixture, UNPLUG_ALL, 0, 0, BUSY, PM_REFUSAL_MIGRATION);
}

static void unplug_all_unplugs_everything(void **state)
{
    Fixture *fixture = *state;
    uint8_t *host = pm_ram_get_host(fixture->ram);

    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(N_BLOCKS - 1), 1), ACK);
    host[REGION - 1] = 1;
    fixture->n_plugged_calls = 0;
    assert_int_equal(unplug_all(fixture), ACK);
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 0);
    assert_int_equal(state_of(fixture, ADDRESS, N_BLOCKS), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(fixture->listener.populated, 0);
    assert_int_equal(host[REGION - 1], 0);
    assert_int_equal(fixture->n_plugged_calls, 1);
    assert_int_equal(fixture->last_plugged, 0);
}

static void unplug_all_shrinks_the_usable_region_silently(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.usable_extent = BLOCK;
    make_device(fixture, &config);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(100), 1), ACK);
    set_requested(fixture, 3 * BLOCK);
    assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), REGION);
    fixture->n_config_calls = 0;
    assert_int_equal(unplug_all(fixture), ACK);
    assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), 4 * BLOCK);
    assert_int_equal(fixture->n_config_calls, 0);
}

static void unplug_all_with_nothing_plugged_is_never_busy_and_discards_nothing(void **state)
{
    Fixture *fixture = *state;
    uint8_t *host = pm_ram_get_host(fixture->ram);

    /* Shows that the memory was not discarded. */
    host[0] = 3;
    set_requested(fixture, 0);
    fixture->listener.discard_error = PM_ERROR_KERNEL;
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_int_equal(unplug_all(fixture), ACK);
    assert_int_equal(host[0], 3);
    assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), 0);
    assert_int_equal(fixture->n_plugged_calls, 0);
}

static void unplug_all_while_migrating_returns_busy(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    set_requested(fixture, 0);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_refused(fixture, UNPLUG_ALL, 0, 0, BUSY, PM_REFUSAL_MIGRATION);
    assert_refusal(fixture, PM_REFUSAL_MIGRATION, "UNPLUG_ALL refused: migration in progress");
    assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), REGION);
}

static void unplug_all_returns_busy_if_a_listener_fails(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    set_requested(fixture, 0);
    fixture->listener.discard_error = PM_ERROR_KERNEL;
    assert_refused(fixture, UNPLUG_ALL, 0, 0, BUSY, PM_REFUSAL_LISTENER);
    assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), REGION);
    assert_int_equal(state_of(fixture, ADDRESS, 4), VIRTIO_MEM_STATE_PLUGGED);
    fixture->listener.discard_error = NO_OBJECTION;
    assert_int_equal(unplug_all(fixture), ACK);
}

static void unplug_all_ignores_other_fields(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
    assert_int_equal(request(fixture, UNPLUG_ALL, UINT64_MAX, 0xffff), ACK);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 0);
    assert_int_equal(request(fixture, UNPLUG_ALL, 1, 0), ACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unplug_makes_blocks_unplugged),
        TEST_WITH_LISTENER(unplug_notifies_listener_and_callback_once),
        TEST(unplug_discards_only_its_blocks),
        TEST(unplug_checks_the_range_like_plug),
        TEST(unplugging_an_unplugged_block_is_an_error),
        TEST(unplug_never_returns_nack),
        TEST_WITH_LISTENER(unplugging_while_migrating_returns_busy),
        TEST_WITH_LISTENER(unplug_returns_busy_if_a_listener_fails),
        TEST_WITH_ANONYMOUS_RAM(unplug_returns_busy_if_discard_fails),
        TEST(range_is_checked_before_block_states_and_migration),
        TEST(block_states_are_checked_before_migration),
        TEST_WITH_LISTENER(migration_is_checked_before_listeners),
        TEST_WITH_LISTENER(unplug_all_unplugs_everything),
        TEST_WITH_RAM(unplug_all_shrinks_the_usable_region_silently),
        TEST_WITH_LISTENER(unplug_all_with_nothing_plugged_is_never_busy_and_discards_nothing),
        TEST(unplug_all_while_migrating_returns_busy),
        TEST_WITH_LISTENER(unplug_all_returns_busy_if_a_listener_fails),
        TEST(unplug_all_ignores_other_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
