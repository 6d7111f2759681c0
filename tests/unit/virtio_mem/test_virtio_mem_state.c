/* SPDX-License-Identifier: MIT */
/* STATE requests. */
#include "virtio_mem_util.h"

static void state_is_plugged_unplugged_or_mixed(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 4), ACK);
    assert_int_equal(state_of(fixture, BLOCK_AT(4), 4), VIRTIO_MEM_STATE_PLUGGED);
    assert_int_equal(state_of(fixture, BLOCK_AT(5), 1), VIRTIO_MEM_STATE_PLUGGED);
    assert_int_equal(state_of(fixture, BLOCK_AT(0), 4), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(state_of(fixture, BLOCK_AT(8), 1), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(state_of(fixture, BLOCK_AT(3), 2), VIRTIO_MEM_STATE_MIXED);
    assert_int_equal(state_of(fixture, BLOCK_AT(7), 2), VIRTIO_MEM_STATE_MIXED);
    assert_int_equal(state_of(fixture, BLOCK_AT(0), N_BLOCKS), VIRTIO_MEM_STATE_MIXED);
}

static void state_checks_the_range_like_plug(void **state)
{
    static const struct {
        uint64_t address;
        uint16_t n_blocks;
    } rows[] = {
        {ADDRESS + 1, 1},        {ADDRESS, 0},          {UINT64_C(0) - BLOCK, 1},
        {ADDRESS - BLOCK, 2},    {ADDRESS + REGION, 1}, {ADDRESS + REGION - BLOCK, 2},
        {ADDRESS, N_BLOCKS + 1},
    };
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        assert_int_equal(request(fixture, STATE, rows[i].address, rows[i].n_blocks), ERROR);
        assert_refusal(fixture, PM_REFUSAL_BAD_RANGE, "STATE of ");
    }
}

static void state_outside_the_usable_region_is_an_error(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.requested_size = BLOCK;
    config.usable_extent = BLOCK;
    make_device(fixture, &config);
    assert_int_equal(state_of(fixture, ADDRESS, 2), VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(request(fixture, STATE, ADDRESS, 3), ERROR);
    assert_int_equal(request(fixture, STATE, BLOCK_AT(2), 1), ERROR);
}

static void state_is_never_busy(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 1), ACK);
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_int_equal(state_of(fixture, ADDRESS, 1), VIRTIO_MEM_STATE_PLUGGED);
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
}

static void state_changes_nothing(void **state)
{
    Fixture *fixture = *state;
    uint8_t before[CONFIG_SIZE];
    uint8_t after[CONFIG_SIZE];

    assert_int_equal(request(fixture, PLUG, BLOCK_AT(4), 4), ACK);
    fixture->n_plugged_calls = 0;
    read_config(fixture, before);
    state_of(fixture, BLOCK_AT(0), 8);
    read_config(fixture, after);
    assert_memory_equal(before, after, CONFIG_SIZE);
    assert_int_equal(fixture->n_plugged_calls, 0);
    assert_int_equal(fixture->n_config_calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(state_is_plugged_unplugged_or_mixed),
        TEST(state_checks_the_range_like_plug),
        TEST_WITH_RAM(state_outside_the_usable_region_is_an_error),
        TEST(state_is_never_busy),
        TEST(state_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
