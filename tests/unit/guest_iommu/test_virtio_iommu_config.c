/* SPDX-License-Identifier: MIT */
/* Features, the configuration space, and resets. */
#include "wire_util.h"

static void features_are_those_that_the_device_has(void **state)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .mmio = true};
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    g_autoptr(PmGuestIommu) with_mmio = new_iommu(&config);
    const uint64_t features =
        INPUT_RANGE | DOMAIN_RANGE | MAP_UNMAP | PROBE_FEATURE | BYPASS_CONFIG;

    (void)state;
    assert_int_equal(pm_virtio_iommu_get_features(iommu), features);
    assert_int_equal(pm_virtio_iommu_get_features(with_mmio), features | MMIO_FEATURE);
}

static void features_that_are_not_offered_are_refused(void **state)
{
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    GError *error = NULL;

    (void)state;
    assert_true(pm_virtio_iommu_set_features(iommu, MAP_UNMAP, NULL));
    assert_false(pm_virtio_iommu_set_features(iommu, MAP_UNMAP | MMIO_FEATURE, &error));
    assert_error(&error, PM_ERROR_BAD_REQUEST,
                 "invalid virtio-iommu features 0x24: the device "
                 "offers 0x57");
    assert_int_equal(pm_virtio_iommu_get_accepted_features(iommu), MAP_UNMAP);
}

static void the_configuration_space_has_the_limits(void **state)
{
    const PmGuestIommuConfig config = {
        .struct_size = sizeof(config),
        .page_size_mask = 0x40201000,
        .input_range = {0x1000, 0x1ffffffffffff},
        .first_domain = 0x11223344,
        .last_domain = 0x55667788,
        .probe_size = 96,
        .bypass = true,
    };
    g_autoptr(PmGuestIommu) iommu = new_iommu(&config);
    uint8_t space[CONFIG_SIZE];

    (void)state;
    pm_virtio_iommu_config_read(iommu, 0, space, sizeof(space));
    assert_int_equal(get64(space), 0x40201000);
    assert_int_equal(get64(space + 8), 0x1000);
    assert_int_equal(get64(space + 16), 0x1ffffffffffff);
    assert_int_equal(get32(space + 24), 0x11223344);
    assert_int_equal(get32(space + 28), 0x55667788);
    assert_int_equal(get32(space + 32), 96);
    assert_int_equal(get32(space + BYPASS_OFFSET), 1);
}

static void the_defaults_are_the_widest(void **state)
{
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    uint8_t space[CONFIG_SIZE];

    (void)state;
    pm_virtio_iommu_config_read(iommu, 0, space, sizeof(space));
    assert_int_equal(get64(space + 8), 0);
    assert_true(get64(space + 16) == UINT64_MAX);
    assert_int_equal(get32(space + 24), 0);
    assert_int_equal(get32(space + 28), UINT32_MAX - 1);
    assert_int_equal(get32(space + 32), PROBE_SIZE);
    assert_int_equal(get32(space + BYPASS_OFFSET), 0);
}

static void reads_anywhere_return_the_bytes_or_zero(void **state)
{
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    uint8_t space[CONFIG_SIZE + 8] = {0};

    (void)state;
    pm_virtio_iommu_config_read(iommu, 0, space, CONFIG_SIZE);
    for (size_t offset = 0; offset <= CONFIG_SIZE; offset++) {
        uint8_t bytes[8];

        pm_virtio_iommu_config_read(iommu, offset, bytes, sizeof(bytes));
        assert_memory_equal(bytes, space + offset, sizeof(bytes));
    }
    memset(space, 1, 4);
    pm_virtio_iommu_config_read(iommu, UINT64_MAX - 1, space, 4);
    assert_int_equal(get32(space), 0);
}

static void writing_bypass_moves_endpoints_in_no_domain(void **state)
{
    World *world = *state;
    uint32_t bypass = GUINT32_TO_LE(1); /* and the reserved bytes */

    attach(world->iommu, 1, 8);
    assert_true(pm_virtio_iommu_config_write(world->iommu, BYPASS_OFFSET, &bypass, 4, NULL));
    assert_true(pm_guest_iommu_get_bypass(world->iommu));
    assert_calls(&world->follower, "attach 1 8; attach -1 9; attach -1 10; ");
    assert_true(pm_virtio_iommu_config_write(world->iommu, BYPASS_OFFSET, &bypass, 1, NULL));
    assert_calls(&world->follower, "");
    assert_follows(world->iommu, &world->follower);
}

static void bypass_that_the_follower_refuses_stays(void **state)
{
    World *world = *state;
    const uint8_t bypass = 1;
    GError *error = NULL;

    follower_fail(&world->follower, 1, 1, PM_ERROR_BUSY);
    assert_false(pm_virtio_iommu_config_write(world->iommu, BYPASS_OFFSET, &bypass, 1, &error));
    assert_error(&error, PM_ERROR_BUSY,
                 "write of 1 bytes at 0x24 of the virtio-iommu "
                 "configuration space refused: attaching endpoint 0x9");
    assert_refusal(world->iommu, PM_VIRTIO_IOMMU_NO_STATUS, PM_ERROR_BUSY, "endpoint 0x9");
    assert_false(pm_guest_iommu_get_bypass(world->iommu));
    assert_follows(world->iommu, &world->follower);
}

static void assert_write_refused(World *world, uint64_t offset, const void *bytes, size_t size,
                                 const char *part)
{
    uint8_t before[CONFIG_SIZE];
    uint8_t after[CONFIG_SIZE];
    GError *error = NULL;

    pm_virtio_iommu_config_read(world->iommu, 0, before, sizeof(before));
    assert_false(pm_virtio_iommu_config_write(world->iommu, offset, bytes, size, &error));
    assert_error(&error, PM_ERROR_BAD_REQUEST, part);
    assert_refusal(world->iommu, PM_VIRTIO_IOMMU_NO_STATUS, PM_ERROR_BAD_REQUEST, part);
    pm_virtio_iommu_config_read(world->iommu, 0, after, sizeof(after));
    assert_memory_equal(before, after, sizeof(after));
}

static void other_writes_are_refused(void **state)
{
    World *world = *state;
    uint8_t space[CONFIG_SIZE];
    const uint8_t two = 2;

    pm_virtio_iommu_config_read(world->iommu, 0, space, sizeof(space));
    for (size_t offset = 0; offset < CONFIG_SIZE; offset++) {
        const uint8_t changed = space[offset] ^ 1;

        if (offset != BYPASS_OFFSET)
            assert_write_refused(world, offset, &changed, 1, "only the field bypass");
    }
    assert_write_refused(world, BYPASS_OFFSET, &two, 1, "invalid bypass 2: must be 0 or 1");
    assert_write_refused(world, BYPASS_OFFSET + 1, space, 4, "ends past the 40 bytes");
    assert_write_refused(world, UINT64_MAX, space, 2, "ends past the 40 bytes");
    space[BYPASS_OFFSET] = 1;
    assert_true(pm_virtio_iommu_config_write(world->iommu, 0, space, sizeof(space), NULL));
    assert_true(pm_guest_iommu_get_bypass(world->iommu));
}

static void writes_without_the_feature_are_refused(void **state)
{
    World *world = *state;
    const uint8_t bypass = 1;

    assert_true(pm_virtio_iommu_set_features(world->iommu, MAP_UNMAP, NULL));
    assert_write_refused(world, BYPASS_OFFSET, &bypass, 1, "did not accept BYPASS_CONFIG");
}

/* --- resets --- */

static void device_reset_detaches_all_and_keeps_bypass(void **state)
{
    World *world = *state;

    attach(world->iommu, 1, 8);
    attach(world->iommu, 1, 9);
    attach_bypass(world->iommu, 2, 10);
    map(world->iommu, 1, 0, PAGE, 0);
    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    g_string_truncate(world->follower.calls, 0);
    assert_true(pm_virtio_iommu_device_reset(world->iommu, NULL));
    assert_calls(&world->follower, "detach 1 8; detach 1 9; detach 2 10; attach -1 8; "
                                   "attach -1 9; attach -1 10; ");
    assert_false(pm_guest_iommu_next_domain(world->iommu, 0, NULL));
    assert_true(pm_guest_iommu_get_bypass(world->iommu));
    assert_int_equal(pm_virtio_iommu_get_accepted_features(world->iommu), 0);
    assert_follows(world->iommu, &world->follower);
}

static void system_reset_restores_bypass(void **state)
{
    World *world = *state;
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .bypass = true};
    g_autoptr(PmGuestIommu) on = new_iommu(&config);

    attach(world->iommu, 1, 8);
    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    assert_true(pm_virtio_iommu_system_reset(world->iommu, NULL));
    assert_false(pm_guest_iommu_get_bypass(world->iommu));
    assert_int_equal(world->follower.lines->len, 0);
    assert_true(pm_guest_iommu_set_bypass(on, false, NULL));
    assert_true(pm_virtio_iommu_device_reset(on, NULL));
    assert_false(pm_guest_iommu_get_bypass(on));
    assert_true(pm_virtio_iommu_system_reset(on, NULL));
    assert_true(pm_guest_iommu_get_bypass(on));
}

static void a_reset_tries_every_endpoint_and_reports_the_first_failure(void **state)
{
    World *world = *state;
    PmGuestEndpointInfo info = {.struct_size = sizeof(info)};
    PmGuestMapping mapping;
    GError *error = NULL;

    attach(world->iommu, 1, 8);
    attach(world->iommu, 2, 9);
    attach(world->iommu, 3, 10);
    map(world->iommu, 1, 0, PAGE, 0);
    map(world->iommu, 3, 0, PAGE, 0);
    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    g_string_truncate(world->follower.calls, 0);
    follower_fail(&world->follower, 0, 1, PM_ERROR_KERNEL);
    assert_false(pm_virtio_iommu_device_reset(world->iommu, &error));
    assert_error(&error, PM_ERROR_KERNEL, "reset of the guest IOMMU: detaching endpoint 0x8");
    assert_calls(&world->follower,
                 "detach 1 8 fails; detach 2 9; detach 3 10; attach -1 9; attach -1 10; ");
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, 0, &mapping));
    assert_follows(world->iommu, &world->follower);
    /* Again, now without bypass for the one that is left. */
    follower_fail(&world->follower, 1, 1, PM_ERROR_KERNEL);
    assert_false(pm_virtio_iommu_device_reset(world->iommu, &error));
    assert_error(&error, PM_ERROR_KERNEL, "attaching endpoint 0x8 (0000:00:08.0) to bypass");
    assert_true(pm_guest_iommu_next_endpoint(world->iommu, 8, &info));
    assert_int_equal(info.domain, NO_DOMAIN);
    assert_false(info.bypass);
    assert_follows(world->iommu, &world->follower);
    assert_true(pm_virtio_iommu_device_reset(world->iommu, NULL));
    assert_true(pm_guest_iommu_next_endpoint(world->iommu, 8, &info));
    assert_true(info.bypass);
    assert_follows(world->iommu, &world->follower);
}

#define CONFIG_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_driver, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(features_are_those_that_the_device_has),
        CONFIG_TEST(features_that_are_not_offered_are_refused),
        CONFIG_TEST(the_configuration_space_has_the_limits),
        CONFIG_TEST(the_defaults_are_the_widest),
        CONFIG_TEST(reads_anywhere_return_the_bytes_or_zero),
        CONFIG_TEST(writing_bypass_moves_endpoints_in_no_domain),
        CONFIG_TEST(bypass_that_the_follower_refuses_stays),
        CONFIG_TEST(other_writes_are_refused),
        CONFIG_TEST(writes_without_the_feature_are_refused),
        CONFIG_TEST(device_reset_detaches_all_and_keeps_bypass),
        CONFIG_TEST(system_reset_restores_bypass),
        CONFIG_TEST(a_reset_tries_every_endpoint_and_reports_the_first_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
