/* SPDX-License-Identifier: MIT */
/* Every requirement of virtio 1.2, section 5.13, that begins with "The device MUST", in its
 * order. The rest (SHOULD) is in the other tests. */
#include "wire_util.h"

/* --- 5.13.4: device configuration layout --- */

static void must_set_a_bit_in_page_size_mask(void **state)
{
    World *world = *state;
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .page_size_mask = 0x10000};
    g_autoptr(PmGuestIommu) iommu = new_iommu(&config);
    uint8_t space[CONFIG_SIZE];

    pm_virtio_iommu_config_read(world->iommu, 0, space, sizeof(space));
    assert_true(get64(space) == ~UINT64_C(0xfff));
    pm_virtio_iommu_config_read(iommu, 0, space, sizeof(space));
    assert_int_equal(get64(space), 0x10000);
}

static void must_not_present_a_bypass_other_than_0_or_1(void **state)
{
    World *world = *state;
    uint8_t bypass;

    for (unsigned value = 0; value <= UINT8_MAX; value++) {
        const uint8_t written = (uint8_t)value;

        assert_int_equal(
            pm_virtio_iommu_config_write(world->iommu, BYPASS_OFFSET, &written, 1, NULL),
            value <= 1);
        pm_virtio_iommu_config_read(world->iommu, BYPASS_OFFSET, &bypass, 1);
        assert_int_equal(bypass, value == 0 ? 0 : 1);
    }
}

/* --- 5.13.6: device operations --- */

static void must_ignore_reserved_of_the_head(void **state)
{
    World *world = *state;
    Wire request = attach_request(1, 8, 0);

    memset(request.bytes + HEAD_RESERVED, 0xff, 3);
    assert_int_equal(send_request(world->iommu, &request), OK);
    request = map_request(1, 0, 0xfff, 0, READ);
    memset(request.bytes + HEAD_RESERVED, 0xff, 3);
    assert_int_equal(send_request(world->iommu, &request), OK);
    request = unmap_request(1, 0, 0xfff);
    memset(request.bytes + HEAD_RESERVED, 0xff, 3);
    assert_int_equal(send_request(world->iommu, &request), OK);
    request = detach_request(1, 8);
    memset(request.bytes + HEAD_RESERVED, 0xff, 3);
    assert_int_equal(send_request(world->iommu, &request), OK);
}

/* --- 5.13.6.3: ATTACH --- */

static void attach_must_reject_reserved_with_inval(void **state)
{
    World *world = *state;

    for (size_t i = 0; i < 4; i++) {
        Wire request = attach_request(1, 8, 0);

        request.bytes[ATTACH_RESERVED + i] = 0x80;
        assert_int_equal(send_request(world->iommu, &request), INVAL);
        put32(request.bytes + 8, 99); /* before the endpoint is looked up */
        assert_int_equal(send_request(world->iommu, &request), INVAL);
        assert_refusal(world->iommu, INVAL, PM_ERROR_BAD_REQUEST, "reserved bytes are not zero");
    }
    assert_calls(&world->follower, "");
}

static void attach_must_reject_unknown_flags_with_inval(void **state)
{
    World *world = *state;

    for (unsigned bit = 1; bit < 32; bit++) {
        assert_int_equal(send_attach(world->iommu, 1, 8, UINT32_C(1) << bit), INVAL);
        assert_int_equal(send_attach(world->iommu, 1, 99, UINT32_C(1) << bit | BYPASS), INVAL);
    }
    assert_calls(&world->follower, "");
}

static void attach_must_reject_an_unknown_endpoint_with_noent(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 7, 0), NOENT);
    assert_int_equal(send_attach(world->iommu, 1, 11, 0), NOENT);
    assert_int_equal(send_attach(world->iommu, 1, UINT32_MAX, 0), NOENT);
    assert_refusal(world->iommu, NOENT, PM_ERROR_NOT_FOUND, "no endpoint 0xffffffff");
    assert_false(pm_guest_iommu_next_domain(world->iommu, 0, NULL));
}

static void attach_must_reject_another_endpoint_it_cannot_attach_with_unsupp(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    follower_fail(&world->follower, 0, 1, PM_ERROR_UNSUPPORTED);
    assert_int_equal(send_attach(world->iommu, 1, 9, 0), UNSUPP);
    assert_follows(world->iommu, &world->follower);
}

static void attach_must_reject_a_move_it_cannot_make_with_unsupp(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), OK);
    assert_int_equal(send_attach(world->iommu, 2, 9, 0), OK);
    follower_fail(&world->follower, 1, 1, PM_ERROR_UNSUPPORTED);
    assert_int_equal(send_attach(world->iommu, 2, 8, 0), UNSUPP);
    assert_int_equal(send_detach(world->iommu, 2, 8), INVAL);
    assert_follows(world->iommu, &world->follower);
    assert_int_equal(send_detach(world->iommu, 1, 8), OK);
}

static void attach_that_is_not_rejected_must_attach(void **state)
{
    World *world = *state;
    PmGuestEndpointInfo info = {.struct_size = sizeof(info)};

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_attach(world->iommu, 1, 9, 0), OK);
    assert_int_equal(send_attach(world->iommu, 2, 8, BYPASS), OK);
    assert_int_equal(send_attach(world->iommu, 2, 8, BYPASS), OK);
    assert_true(pm_guest_iommu_next_endpoint(world->iommu, 8, &info));
    assert_int_equal(info.domain, 2);
    assert_true(info.bypass);
    assert_true(pm_guest_iommu_next_endpoint(world->iommu, 9, &info));
    assert_int_equal(info.domain, 1);
    assert_false(info.bypass);
    assert_follows(world->iommu, &world->follower);
}

/* --- 5.13.6.4: DETACH --- */

static void detach_must_ignore_reserved(void **state)
{
    World *world = *state;
    Wire request = detach_request(1, 8);

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    memset(request.bytes + DETACH_RESERVED, 0xff, 8);
    assert_int_equal(send_request(world->iommu, &request), OK);
}

static void detach_must_reject_an_unknown_endpoint_with_noent(void **state)
{
    World *world = *state;

    assert_int_equal(send_detach(world->iommu, 1, 99), NOENT);
    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_detach(world->iommu, 1, 99), NOENT);
}

static void detach_must_take_the_mappings_from_the_endpoint(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_attach(world->iommu, 1, 9, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), OK);
    assert_calls(&world->follower, "attach 1 8; attach 1 9; map 1 0x0; ");
    assert_int_equal(send_detach(world->iommu, 1, 8), OK);
    assert_calls(&world->follower, "detach 1 8; ");
    /* One that stays attached is not reported as detached. */
    follower_fail(&world->follower, 0, 1, PM_ERROR_KERNEL);
    assert_int_equal(send_detach(world->iommu, 1, 9), DEVERR);
    assert_follows(world->iommu, &world->follower);
}

/* --- 5.13.6.5: MAP --- */

static void map_must_reject_unknown_flags_with_inval(void **state)
{
    World *world = *state;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    for (unsigned bit = 2; bit < 32; bit++) {
        const uint32_t flags = READ | WRITE | UINT32_C(1) << bit;

        assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, flags), INVAL);
        /* Before any check with a SHOULD: aligned, in a domain. */
        assert_int_equal(send_map(world->iommu, 2, 1, 0xffe, 1, flags), INVAL);
    }
    assert_calls(&world->follower, "attach 1 8; ");
}

static void map_must_not_allow_writes_without_the_write_flag(void **state)
{
    World *world = *state;
    PmGuestMapping mapping;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, 0xfff, 0, READ), OK);
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, 0, &mapping));
    assert_int_equal(mapping.access, PM_IOMMU_READ);
    assert_follows(world->iommu, &world->follower);
}

/* --- 5.13.6.7: PROBE --- */

static void probe_must_ignore_reserved(void **state)
{
    World *world = *state;
    Wire request = probe_request(8);
    uint8_t response[PROBE_SIZE + 4];

    memset(request.bytes + PROBE_RESERVED, 0xff, 64);
    assert_int_equal(pm_virtio_iommu_handle(world->iommu, request.bytes, request.size, response,
                                            sizeof(response)),
                     sizeof(response));
    assert_int_equal(response[PROBE_SIZE], OK);
}

static void probe_must_write_the_length_without_the_header_and_follow_it(void **state)
{
    World *world = *state;
    PmGuestReserved reserved[PROBE_SIZE / PROPERTY_SIZE];
    uint8_t properties[PROBE_SIZE];
    size_t n_properties = 0;
    size_t offset = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(reserved); i++)
        reserved[i] = (PmGuestReserved){i << 20, (i << 20) + 0xfff, PM_GUEST_RESERVED};
    add_endpoint_with(world->iommu, 7, reserved, G_N_ELEMENTS(reserved));
    assert_int_equal(send_probe(world->iommu, 7, properties), OK);
    while (offset + PROPERTY_SIZE <= PROBE_SIZE && properties[offset] == 1) {
        assert_int_equal(get64(properties + offset + 8), n_properties << 20);
        offset += 4 + (get32(properties + offset) >> 16);
        n_properties++;
    }
    assert_int_equal(n_properties, G_N_ELEMENTS(reserved));
    assert_int_equal(offset, n_properties * PROPERTY_SIZE);
}

#define MUST_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_driver, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MUST_TEST(must_set_a_bit_in_page_size_mask),
        MUST_TEST(must_not_present_a_bypass_other_than_0_or_1),
        MUST_TEST(must_ignore_reserved_of_the_head),
        MUST_TEST(attach_must_reject_reserved_with_inval),
        MUST_TEST(attach_must_reject_unknown_flags_with_inval),
        MUST_TEST(attach_must_reject_an_unknown_endpoint_with_noent),
        MUST_TEST(attach_must_reject_another_endpoint_it_cannot_attach_with_unsupp),
        MUST_TEST(attach_must_reject_a_move_it_cannot_make_with_unsupp),
        MUST_TEST(attach_that_is_not_rejected_must_attach),
        MUST_TEST(detach_must_ignore_reserved),
        MUST_TEST(detach_must_reject_an_unknown_endpoint_with_noent),
        MUST_TEST(detach_must_take_the_mappings_from_the_endpoint),
        MUST_TEST(map_must_reject_unknown_flags_with_inval),
        MUST_TEST(map_must_not_allow_writes_without_the_write_flag),
        MUST_TEST(probe_must_ignore_reserved),
        MUST_TEST(probe_must_write_the_length_without_the_header_and_follow_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
