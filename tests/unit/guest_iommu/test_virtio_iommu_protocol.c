/* SPDX-License-Identifier: MIT */
/* Requests that are too short or unknown, and buffers of every size. */
#include "wire_util.h"

#define UNTOUCHED 0xaa

/* Requests of each type that succeed, in this order. */
static Wire valid_request(unsigned type)
{
    switch (type) {
    case ATTACH:
        return attach_request(1, 8, 0);
    case MAP:
        return map_request(1, 0, 0xfff, 0, READ);
    case UNMAP:
        return unmap_request(1, 0, 0xfff);
    case PROBE:
        return probe_request(8);
    default:
        return detach_request(1, 8);
    }
}

static const unsigned order[] = {ATTACH, MAP, UNMAP, PROBE, DETACH};

static size_t handle(World *world, const Wire *request, uint8_t *response, size_t size)
{
    memset(response, UNTOUCHED, PROBE_SIZE + 16);
    return pm_virtio_iommu_handle(world->iommu, request->bytes, request->size, response, size);
}

static void assert_untouched(const uint8_t *response, size_t from)
{
    for (size_t i = from; i < PROBE_SIZE + 16; i++)
        assert_int_equal(response[i], UNTOUCHED);
}

static void a_request_without_a_head_gets_no_status(void **state)
{
    World *world = *state;
    uint8_t response[PROBE_SIZE + 16];
    Wire request = attach_request(1, 8, 0);

    for (request.size = 0; request.size < 4; request.size++) {
        assert_int_equal(handle(world, &request, response, sizeof(response)), 0);
        assert_untouched(response, 0);
        assert_refusal(world->iommu, PM_VIRTIO_IOMMU_NO_STATUS, PM_ERROR_BAD_REQUEST,
                       "too short for its head");
    }
    assert_int_equal(pm_virtio_iommu_handle(world->iommu, NULL, 0, NULL, 0), 0);
}

static void an_unknown_type_gets_no_status(void **state)
{
    World *world = *state;
    uint8_t response[PROBE_SIZE + 16];
    Wire request = probe_request(8);

    for (unsigned type = 0; type <= UINT8_MAX; type++) {
        if (type >= ATTACH && type <= PROBE)
            continue;
        request.bytes[0] = (uint8_t)type;
        assert_int_equal(handle(world, &request, response, sizeof(response)), 0);
        assert_untouched(response, 0);
    }
    assert_refusal(world->iommu, PM_VIRTIO_IOMMU_NO_STATUS, PM_ERROR_BAD_REQUEST,
                   "unknown request type 255");
}

static void a_response_without_room_for_a_tail_gets_no_status(void **state)
{
    World *world = *state;
    uint8_t response[PROBE_SIZE + 16];

    for (unsigned type = ATTACH; type <= PROBE; type++) {
        const Wire request = valid_request(type);

        for (size_t size = 0; size < 4; size++) {
            assert_int_equal(handle(world, &request, response, size), 0);
            assert_untouched(response, 0);
        }
    }
    assert_refusal(world->iommu, PM_VIRTIO_IOMMU_NO_STATUS, PM_ERROR_BAD_REQUEST,
                   "PROBE has room for 3 bytes of response");
    assert_calls(&world->follower, "");
}

static void a_request_that_is_too_short_is_inval(void **state)
{
    World *world = *state;
    uint8_t response[PROBE_SIZE + 16];

    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        Wire request = valid_request(order[i]);
        size_t full = request.size;
        size_t used = order[i] == PROBE ? PROBE_SIZE + 4 : 4;

        for (request.size = 4; request.size < full; request.size++) {
            assert_int_equal(handle(world, &request, response, sizeof(response)), used);
            assert_int_equal(response[used - 4], INVAL);
            assert_untouched(response, used);
        }
        assert_refusal(world->iommu, INVAL, PM_ERROR_BAD_REQUEST, "bytes instead of");
        assert_int_equal(handle(world, &request, response, sizeof(response)), used);
        assert_int_equal(response[used - 4], OK);
        assert_untouched(response, used);
    }
}

static void more_bytes_than_a_request_has_are_ignored(void **state)
{
    World *world = *state;
    uint8_t response[PROBE_SIZE + 16];

    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        const Wire request = valid_request(order[i]);
        size_t used = order[i] == PROBE ? PROBE_SIZE + 4 : 4;
        uint8_t bytes[200];

        memset(bytes, 0xff, sizeof(bytes));
        memcpy(bytes, request.bytes, request.size);
        assert_int_equal(
            pm_virtio_iommu_handle(world->iommu, bytes, sizeof(bytes), response, sizeof(response)),
            used);
        assert_int_equal(response[used - 4], OK);
    }
}

static void probe_without_room_for_the_properties_is_inval_and_writes_none(void **state)
{
    World *world = *state;
    const PmGuestReserved msi = {0xfee00000, 0xfeefffff, PM_GUEST_RESERVED_MSI};
    uint8_t response[PROBE_SIZE + 16];
    Wire request = probe_request(7);

    add_endpoint_with(world->iommu, 7, &msi, 1);
    for (size_t size = 4; size < PROBE_SIZE + 4; size++) {
        assert_int_equal(handle(world, &request, response, size), size);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(response[i], i == size - 4 ? INVAL : 0);
        assert_untouched(response, size);
    }
    assert_refusal(world->iommu, INVAL, PM_ERROR_BAD_REQUEST,
                   "PROBE of endpoint 0x7 refused: no room");
    request = probe_request(99);
    assert_int_equal(handle(world, &request, response, 4), 4);
    assert_int_equal(response[0], NOENT);
}

static void request_and_response_may_overlap(void **state)
{
    World *world = *state;
    const PmGuestReserved msi = {0xfee00000, 0xfeefffff, PM_GUEST_RESERVED_MSI};
    uint8_t buffer[PROBE_SIZE + 4] = {0};
    const Wire request = probe_request(7);

    add_endpoint_with(world->iommu, 7, &msi, 1);
    memcpy(buffer, request.bytes, request.size);
    assert_int_equal(
        pm_virtio_iommu_handle(world->iommu, buffer, request.size, buffer, sizeof(buffer)),
        sizeof(buffer));
    assert_int_equal(get64(buffer + 8), 0xfee00000);
    assert_int_equal(buffer[PROBE_SIZE], OK);
}

static void statuses_have_names(void **state)
{
    static const char *const names[] = {"OK",    "IOERR", "UNSUPP", "DEVERR", "INVAL",
                                        "RANGE", "NOENT", "FAULT",  "NOMEM",  "unknown"};

    (void)state;
    for (unsigned status = 0; status < G_N_ELEMENTS(names); status++)
        assert_string_equal(pm_virtio_iommu_status_name((PmVirtioIommuStatus)status),
                            names[status]);
    assert_string_equal(pm_virtio_iommu_status_name(PM_VIRTIO_IOMMU_NO_STATUS), "no status");
}

#define PROTOCOL_TEST(name)                                                                        \
    cmocka_unit_test_setup_teardown(name, world_setup_driver, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(a_request_without_a_head_gets_no_status),
        PROTOCOL_TEST(an_unknown_type_gets_no_status),
        PROTOCOL_TEST(a_response_without_room_for_a_tail_gets_no_status),
        PROTOCOL_TEST(a_request_that_is_too_short_is_inval),
        PROTOCOL_TEST(more_bytes_than_a_request_has_are_ignored),
        PROTOCOL_TEST(probe_without_room_for_the_properties_is_inval_and_writes_none),
        PROTOCOL_TEST(request_and_response_may_overlap),
        PROTOCOL_TEST(statuses_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
