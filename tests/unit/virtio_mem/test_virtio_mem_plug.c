/* SPDX-License-Identifier: MIT */
/* PLUG: checks and their order, responses, and that a refused one changes nothing. */
#include <sys/mman.h>

#include "virtio_mem_util.h"

/* Sends a PLUG that must be refused without changing configuration space and blocks. */
static void assert_plug_refused(Fixture *fixture, uint64_t address, uint16_t n_blocks, int answer,
                                PmRefusal cause)
{
    uint8_t before[CONFIG_SIZE];
    uint8_t after[CONFIG_SIZE];
    unsigned n_calls = fixture->n_plugged_calls;

    read_config(fixture, before);
    assert_int_equal(request(fixture, PLUG, address, n_blocks), answer);
    assert_refusal(fixture, cause, "PLUG of ");
    read_config(fixture, after);
    assert_memory_equal(before, after, CONFIG_SIZE);
    assert_int_equal(fixture->n_plugged_calls, n_calls);
}

static void plug_makes_blocks_plugged(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(3), 5), ACK);
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
    assert_int_equal(state_of(fixture, ADDRESS, 3), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(state_of(fixture, BLOCK_AT(3), 5), VIRTIO_MEM_STATE_PLUGGED);
    assert_int_equal(state_of(fixture, BLOCK_AT(8), N_BLOCKS - 8), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 5 * BLOCK);
}

static void plug_notifies_listener_and_callback_once(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(3), 5), ACK);
    assert_int_equal(fixture->listener.populated, 5 * BLOCK);
    assert_int_equal(fixture->n_plugged_calls, 1);
    assert_int_equal(fixture->last_plugged, 5 * BLOCK);
    assert_int_equal(fixture->n_config_calls, 0);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(8), 1), ACK);
    assert_int_equal(fixture->n_plugged_calls, 2);
    assert_int_equal(fixture->last_plugged, 6 * BLOCK);
}

static void the_whole_region_can_be_plugged_at_once(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, N_BLOCKS), ACK);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), REGION);
}

static void address_must_be_aligned(void **state)
{
    assert_plug_refused(*state, ADDRESS + 1, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refusal(*state, PM_REFUSAL_BAD_RANGE,
                   "PLUG of 1 block at 0x100000001 refused: address is not a multiple of the "
                   "block size, 2M");
    assert_plug_refused(*state, ADDRESS + BLOCK / 2, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_plug_refused(*state, ADDRESS + BLOCK - 1, 1, ERROR, PM_REFUSAL_BAD_RANGE);
}

static void zero_blocks_are_an_error(void **state)
{
    assert_plug_refused(*state, ADDRESS, 0, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refusal(*state, PM_REFUSAL_BAD_RANGE,
                   "PLUG of 0 blocks at 0x100000000 refused: no blocks");
}

static void range_must_not_wrap(void **state)
{
    assert_plug_refused(*state, UINT64_C(0) - BLOCK, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refusal(*state, PM_REFUSAL_BAD_RANGE, "wraps");
    assert_plug_refused(*state, UINT64_C(0) - BLOCK, 0xffff, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refusal(*state, PM_REFUSAL_BAD_RANGE, "wraps");
}

static void range_must_begin_in_the_usable_region(void **state)
{
    assert_plug_refused(*state, 0, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_plug_refused(*state, ADDRESS - BLOCK, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refusal(*state, PM_REFUSAL_BAD_RANGE,
                   "PLUG of 1 block at 0xffe00000 refused: range end 0x100000000 is "
                   "outside the usable region, 0x100000000 to 0x140000000");
    assert_plug_refused(*state, ADDRESS - BLOCK, 2, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_plug_refused(*state, ADDRESS + REGION, 1, ERROR, PM_REFUSAL_BAD_RANGE);
}

static void range_must_end_in_the_usable_region(void **state)
{
    Fixture *fixture = *state;

    assert_plug_refused(fixture, BLOCK_AT(N_BLOCKS - 1), 2, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_plug_refused(fixture, ADDRESS, 0xffff, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(N_BLOCKS - 1), 1), ACK);
}

static void requests_are_limited_to_the_usable_region(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.requested_size = 8 * BLOCK;
    config.usable_extent = 2 * BLOCK;
    make_device(fixture, &config);
    assert_plug_refused(fixture, BLOCK_AT(10), 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_plug_refused(fixture, BLOCK_AT(9), 2, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(9), 1), ACK);
}

static void plugging_beyond_the_requested_size_returns_nack(void **state)
{
    Fixture *fixture = *state;

    set_requested(fixture, 8 * BLOCK);
    assert_plug_refused(fixture, ADDRESS, 9, NACK, PM_REFUSAL_REQUESTED_SIZE);
    assert_refusal(fixture, PM_REFUSAL_REQUESTED_SIZE,
                   "PLUG of 9 blocks at 0x100000000 refused: 0 plugged, 18M more would "
                   "exceed the requested size, 16M");
    assert_int_equal(request(fixture, PLUG, ADDRESS, 6), ACK);
    assert_plug_refused(fixture, BLOCK_AT(6), 3, NACK, PM_REFUSAL_REQUESTED_SIZE);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(6), 2), ACK);
    assert_plug_refused(fixture, BLOCK_AT(8), 1, NACK, PM_REFUSAL_REQUESTED_SIZE);
    set_requested(fixture, 2 * BLOCK);
    assert_plug_refused(fixture, BLOCK_AT(8), 1, NACK, PM_REFUSAL_REQUESTED_SIZE);
}

static void plugging_a_plugged_block_is_an_error(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 2), ACK);
    assert_plug_refused(fixture, BLOCK_AT(4), 1, ERROR, PM_REFUSAL_BLOCK_STATE);
    assert_plug_refused(fixture, BLOCK_AT(5), 3, ERROR, PM_REFUSAL_BLOCK_STATE);
    assert_plug_refused(fixture, BLOCK_AT(0), 5, ERROR, PM_REFUSAL_BLOCK_STATE);
    assert_refusal(fixture, PM_REFUSAL_BLOCK_STATE,
                   "PLUG of 5 blocks at 0x100000000 refused: block at 0x100800000 is already "
                   "plugged");
    assert_plug_refused(fixture, BLOCK_AT(3), 4, ERROR, PM_REFUSAL_BLOCK_STATE);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(6), 1), ACK);
}

static void plugging_while_migrating_returns_busy(void **state)
{
    Fixture *fixture = *state;

    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_plug_refused(fixture, ADDRESS, 1, BUSY, PM_REFUSAL_MIGRATION);
    assert_refusal(fixture, PM_REFUSAL_MIGRATION,
                   "PLUG of 1 block at 0x100000000 refused: migration in progress");
    pm_virtio_mem_set_migrating(fixture->device, false);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 1), ACK);
}

static void plug_returns_busy_if_a_listener_objects(void **state)
{
    Fixture *fixture = *state;

    fixture->listener.populate_error = PM_ERROR_LIMIT;
    assert_plug_refused(fixture, ADDRESS, 4, BUSY, PM_REFUSAL_LIMIT);
    assert_int_equal(state_of(fixture, ADDRESS, 4), VIRTIO_MEM_STATE_UNPLUGGED);
    fixture->listener.populate_error = NO_OBJECTION;
    assert_int_equal(request(fixture, PLUG, ADDRESS, 4), ACK);
}

static void prefault_populates_memory_before_the_response(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    uint64_t resident = 0;

    config.prefault_threads = 2;
    make_device(fixture, &config);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(1), 2), ACK);
    assert_true(pm_ram_resident(fixture->ram, BLOCK, 2 * BLOCK, &resident, NULL));
    assert_int_equal(resident, 2 * BLOCK);
}

static void without_prefault_no_memory_is_populated(void **state)
{
    Fixture *fixture = *state;
    uint64_t resident = 1;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(1), 2), ACK);
    assert_true(pm_ram_resident(fixture->ram, 0, REGION, &resident, NULL));
    assert_int_equal(resident, 0);
}

/* Prefault for writing fails on read-only memory. */
static void plug_returns_busy_if_prefault_fails(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    uint8_t *host = pm_ram_get_host(fixture->ram);

    config.prefault_threads = 2;
    make_device(fixture, &config);
    add_listener(fixture);
    assert_int_equal(mprotect(host + BLOCK, BLOCK, PROT_READ), 0);
    assert_plug_refused(fixture, BLOCK_AT(0), 2, BUSY, PM_REFUSAL_MEMORY);
    assert_int_equal(fixture->listener.n_populates, 0);
    assert_int_equal(mprotect(host + BLOCK, BLOCK, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(request(fixture, PLUG, BLOCK_AT(0), 2), ACK);
}

/* Each request below violates a rule and all later ones; the first one determines the response. */

static void range_is_checked_before_the_requested_size(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 2), ACK);
    set_requested(fixture, 0);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_plug_refused(fixture, ADDRESS + 1, 1, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_plug_refused(fixture, ADDRESS, 0, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_plug_refused(fixture, ADDRESS, N_BLOCKS + 1, ERROR, PM_REFUSAL_BAD_RANGE);
}

static void alignment_is_checked_before_the_block_count(void **state)
{
    assert_plug_refused(*state, UINT64_MAX, 0, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refusal(*state, PM_REFUSAL_BAD_RANGE, "not a multiple");
    assert_plug_refused(*state, UINT64_MAX, 0xffff, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refusal(*state, PM_REFUSAL_BAD_RANGE, "not a multiple");
    assert_plug_refused(*state, 0, 0, ERROR, PM_REFUSAL_BAD_RANGE);
    assert_refusal(*state, PM_REFUSAL_BAD_RANGE, "no block");
}

static void requested_size_is_checked_before_block_states(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 2), ACK);
    set_requested(fixture, 2 * BLOCK);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_plug_refused(fixture, ADDRESS, 1, NACK, PM_REFUSAL_REQUESTED_SIZE);
}

static void block_states_are_checked_before_migration(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 2), ACK);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_plug_refused(fixture, ADDRESS, 1, ERROR, PM_REFUSAL_BLOCK_STATE);
}

static void migration_is_checked_before_listeners(void **state)
{
    Fixture *fixture = *state;

    fixture->listener.populate_error = PM_ERROR_LIMIT;
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_plug_refused(fixture, ADDRESS, 1, BUSY, PM_REFUSAL_MIGRATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plug_makes_blocks_plugged),
        TEST_WITH_LISTENER(plug_notifies_listener_and_callback_once),
        TEST(the_whole_region_can_be_plugged_at_once),
        TEST(address_must_be_aligned),
        TEST(zero_blocks_are_an_error),
        TEST(range_must_not_wrap),
        TEST(range_must_begin_in_the_usable_region),
        TEST(range_must_end_in_the_usable_region),
        TEST_WITH_RAM(requests_are_limited_to_the_usable_region),
        TEST(plugging_beyond_the_requested_size_returns_nack),
        TEST(plugging_a_plugged_block_is_an_error),
        TEST(plugging_while_migrating_returns_busy),
        TEST_WITH_LISTENER(plug_returns_busy_if_a_listener_objects),
        TEST_WITH_RAM(prefault_populates_memory_before_the_response),
        TEST(without_prefault_no_memory_is_populated),
        TEST_WITH_RAM(plug_returns_busy_if_prefault_fails),
        TEST(range_is_checked_before_the_requested_size),
        TEST(alignment_is_checked_before_the_block_count),
        TEST(requested_size_is_checked_before_block_states),
        TEST(block_states_are_checked_before_migration),
        TEST_WITH_LISTENER(migration_is_checked_before_listeners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
