/* SPDX-License-Identifier: MIT */
/* Configuration space, features, requested size and usable region. */
#include "virtio_mem_util.h"

static void config_space_has_the_layout_of_the_specification(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    uint8_t expected[CONFIG_SIZE] = {0};
    uint8_t bytes[CONFIG_SIZE];

    config.has_node = true;
    config.node = 0x1234;
    config.requested_size = 8 * BLOCK;
    config.usable_extent = 3 * BLOCK;
    make_device(fixture, &config);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 2), ACK);

    put_le(expected, BLOCK, 8);
    put_le(expected + 8, 0x1234, 2);
    put_le(expected + 16, ADDRESS, 8);
    put_le(expected + 24, REGION, 8);
    put_le(expected + 32, 11 * BLOCK, 8);
    put_le(expected + 40, 2 * BLOCK, 8);
    put_le(expected + 48, 8 * BLOCK, 8);
    read_config(fixture, bytes);
    assert_memory_equal(bytes, expected, CONFIG_SIZE);
}

static void node_defaults_to_zero(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);
    uint8_t bytes[2] = {1, 1};

    config.node = 7;
    make_device(fixture, &config);
    pm_virtio_mem_config_read(fixture->device, 8, bytes, 2);
    assert_int_equal(get_le(bytes, 2), 0);
}

static void config_space_can_be_read_at_any_offset_and_length(void **state)
{
    Fixture *fixture = *state;
    uint8_t whole[2 * CONFIG_SIZE] = {0};
    uint8_t part[CONFIG_SIZE + 2];

    read_config(fixture, whole);
    for (size_t offset = 0; offset < CONFIG_SIZE + 4; offset++) {
        for (size_t size = 0; size <= CONFIG_SIZE; size++) {
            memset(part, 0xa5, sizeof(part));
            pm_virtio_mem_config_read(fixture->device, offset, part + 1, size);
            assert_int_equal(part[0], 0xa5);
            if (size > 0)
                assert_memory_equal(part + 1, whole + MIN(offset, CONFIG_SIZE), size);
            assert_int_equal(part[size + 1], 0xa5);
        }
    }
}

static void config_space_past_its_end_reads_as_zero(void **state)
{
    static const uint64_t offsets[] = {CONFIG_SIZE, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX - 3,
                                       UINT64_MAX};
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        uint8_t bytes[16];

        memset(bytes, 0xa5, sizeof(bytes));
        pm_virtio_mem_config_read(fixture->device, offsets[i], bytes, sizeof(bytes));
        assert_int_equal(get_le(bytes, 8), 0);
        assert_int_equal(get_le(bytes + 8, 8), 0);
    }
}

static void offered_features_follow_the_configuration(void **state)
{
    Fixture *fixture = *state;

    for (unsigned i = 0; i < 8; i++) {
        PmVirtioMemConfig config = default_config(fixture);

        config.has_node = (i & 1) != 0;
        config.no_unplugged_inaccessible = (i & 2) == 0;
        config.persistent_suspend = (i & 4) != 0;
        make_device(fixture, &config);
        assert_int_equal(pm_virtio_mem_get_features(fixture->device), i);
        pm_virtio_mem_free(g_steal_pointer(&fixture->device));
    }
}

static void assert_features_refused(Fixture *fixture, uint64_t features, const char *part)
{
    g_autoptr(GError) error = NULL;
    uint64_t before = pm_virtio_mem_get_accepted_features(fixture->device);

    assert_false(pm_virtio_mem_set_features(fixture->device, features, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_REQUEST));
    assert_non_null(strstr(error->message, part));
    assert_int_equal(pm_virtio_mem_get_accepted_features(fixture->device), before);
}

static void features_that_were_not_offered_are_refused(void **state)
{
    Fixture *fixture = *state;

    assert_features_refused(fixture, 2 | 1, "0x3");
    assert_features_refused(fixture, 2 | 4, "0x6");
    assert_features_refused(fixture, 2 | UINT64_C(1) << 63, "0x8000000000000002");
    assert_true(pm_virtio_mem_set_features(fixture->device, 2, NULL));
    assert_int_equal(pm_virtio_mem_get_accepted_features(fixture->device), 2);
    assert_features_refused(fixture, 3, "0x3");
}

static void unplugged_inaccessible_must_be_accepted_if_offered(void **state)
{
    assert_features_refused(*state, 0, "UNPLUGGED_INACCESSIBLE");
}

static void other_features_need_not_be_accepted(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.has_node = true;
    config.persistent_suspend = true;
    make_device(fixture, &config);
    for (uint64_t features = 0; features < 8; features++)
        assert_int_equal(pm_virtio_mem_set_features(fixture->device, features, NULL),
                         (features & 2) != 0);
}

static void unplugged_inaccessible_is_refused_if_not_offered(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.no_unplugged_inaccessible = true;
    make_device(fixture, &config);
    assert_true(pm_virtio_mem_set_features(fixture->device, 0, NULL));
    assert_features_refused(fixture, 2, "0x2");
}

static void device_reset_clears_features(void **state)
{
    Fixture *fixture = *state;

    assert_true(pm_virtio_mem_set_features(fixture->device, 2, NULL));
    pm_virtio_mem_device_reset(fixture->device);
    assert_int_equal(pm_virtio_mem_get_accepted_features(fixture->device), 0);
    assert_int_equal(pm_virtio_mem_get_features(fixture->device), 2);
}

static void assert_requested_size_refused(Fixture *fixture, uint64_t size, int code,
                                          const char *part)
{
    g_autoptr(GError) error = NULL;
    uint8_t before[CONFIG_SIZE];
    uint8_t after[CONFIG_SIZE];

    read_config(fixture, before);
    assert_false(pm_virtio_mem_set_requested_size(fixture->device, size, &error));
    assert_true(g_error_matches(error, PM_ERROR, code));
    if (strstr(error->message, part) == NULL || strstr(error->message, "requested_size") == NULL)
        fail_msg("'%s' not found in '%s'", part, error->message);
    read_config(fixture, after);
    assert_memory_equal(before, after, CONFIG_SIZE);
    assert_int_equal(fixture->n_config_calls, 0);
}

static void requested_size_must_be_a_multiple_of_the_block_size(void **state)
{
    assert_requested_size_refused(*state, BLOCK / 2, PM_ERROR_UNALIGNED, "0x100000");
    assert_requested_size_refused(*state, BLOCK + 1, PM_ERROR_UNALIGNED, "0x200001");
    /* Violates two rules; the first one is reported. */
    assert_requested_size_refused(*state, UINT64_MAX, PM_ERROR_UNALIGNED, "0xffffffffffffffff");
}

static void requested_size_must_not_exceed_the_region(void **state)
{
    assert_requested_size_refused(*state, REGION + BLOCK, PM_ERROR_INVALID_ARGUMENT, "0x40200000");
    assert_requested_size_refused(*state, UINT64_C(0) - BLOCK, PM_ERROR_INVALID_ARGUMENT, "1G");
}

static void config_change_is_reported_even_if_the_size_is_the_same(void **state)
{
    Fixture *fixture = *state;

    set_requested(fixture, REGION);
    assert_int_equal(fixture->n_config_calls, 1);
    assert_int_equal(fixture->last_config, REGION);
    set_requested(fixture, 4 * BLOCK);
    assert_int_equal(fixture->n_config_calls, 2);
    assert_int_equal(fixture->last_config, 4 * BLOCK);
    assert_int_equal(fixture->n_plugged_calls, 0);
}

static void requested_size_may_be_set_while_migrating(void **state)
{
    Fixture *fixture = *state;

    pm_virtio_mem_set_migrating(fixture->device, true);
    set_requested(fixture, BLOCK);
    assert_int_equal(pm_virtio_mem_get_requested_size(fixture->device), BLOCK);
}

static void requested_size_below_the_plugged_size_unplugs_nothing(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, ADDRESS, 10), ACK);
    set_requested(fixture, 0);
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 10 * BLOCK);
    assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), REGION);
}

static void usable_region_grows_with_the_requested_size_and_never_shrinks(void **state)
{
    static const struct {
        uint64_t requested;
        uint64_t usable;
    } rows[] = {
        {0, 0},
        {1, 4},
        {2, 5},
        {1, 5},
        {0, 5},
        {2, 5},
        {100, 103},
        {N_BLOCKS - 3, N_BLOCKS},
        {N_BLOCKS - 2, N_BLOCKS},
        {N_BLOCKS, N_BLOCKS},
        {0, N_BLOCKS},
    };
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.requested_size = 0;
    config.usable_extent = 2 * BLOCK + 1;
    make_device(fixture, &config);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        set_requested(fixture, rows[i].requested * BLOCK);
        assert_int_equal(pm_virtio_mem_get_usable_size(fixture->device), rows[i].usable * BLOCK);
    }
}

static void nothing_can_be_plugged_in_an_empty_usable_region(void **state)
{
    Fixture *fixture = *state;
    PmVirtioMemConfig config = default_config(fixture);

    config.requested_size = 0;
    make_device(fixture, &config);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 1), ERROR);
    assert_refusal(fixture, PM_REFUSAL_BAD_RANGE, "usable region, 0x100000000 to 0x100000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_RAM(config_space_has_the_layout_of_the_specification),
        TEST_WITH_RAM(node_defaults_to_zero),
        TEST(config_space_can_be_read_at_any_offset_and_length),
        TEST(config_space_past_its_end_reads_as_zero),
        TEST_WITH_RAM(offered_features_follow_the_configuration),
        TEST(features_that_were_not_offered_are_refused),
        TEST(unplugged_inaccessible_must_be_accepted_if_offered),
        TEST_WITH_RAM(other_features_need_not_be_accepted),
        TEST_WITH_RAM(unplugged_inaccessible_is_refused_if_not_offered),
        TEST(device_reset_clears_features),
        TEST(requested_size_must_be_a_multiple_of_the_block_size),
        TEST(requested_size_must_not_exceed_the_region),
        TEST(config_change_is_reported_even_if_the_size_is_the_same),
        TEST(requested_size_may_be_set_while_migrating),
        TEST(requested_size_below_the_plugged_size_unplugs_nothing),
        TEST_WITH_RAM(usable_region_grows_with_the_requested_size_and_never_shrinks),
        TEST_WITH_RAM(nothing_can_be_plugged_in_an_empty_usable_region),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
