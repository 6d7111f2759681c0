/* SPDX-License-Identifier: MIT */
/* The wire format, byte by byte, and protocol violations. */
#include "virtio_mem_util.h"

static void assert_response(Fixture *fixture, uint16_t type, uint64_t address, uint16_t n_blocks,
                            const char expected[RESP_SIZE])
{
    uint8_t bytes[REQ_SIZE];
    uint8_t response[RESP_SIZE];

    build_request(bytes, type, address, n_blocks);
    send_bytes(fixture, bytes, response);
    assert_memory_equal(response, expected, RESP_SIZE);
}

static void response_bytes_are_exact(void **state)
{
    Fixture *fixture = *state;

    set_requested(fixture, 4 * BLOCK);
    assert_response(fixture, PLUG, ADDRESS, 1, "\0\0\0\0\0\0\0\0\0\0");
    assert_response(fixture, PLUG, BLOCK_AT(1), 4, "\1\0\0\0\0\0\0\0\0\0");
    assert_response(fixture, PLUG, ADDRESS, 1, "\3\0\0\0\0\0\0\0\0\0");
    assert_response(fixture, STATE, ADDRESS, 1, "\0\0\0\0\0\0\0\0\0\0");
    assert_response(fixture, STATE, BLOCK_AT(1), 1, "\0\0\0\0\0\0\0\0\1\0");
    assert_response(fixture, STATE, ADDRESS, 2, "\0\0\0\0\0\0\0\0\2\0");
    assert_response(fixture, STATE, ADDRESS, 0, "\3\0\0\0\0\0\0\0\0\0");
    pm_virtio_mem_set_migrating(fixture->device, true);
    assert_response(fixture, UNPLUG, ADDRESS, 1, "\2\0\0\0\0\0\0\0\0\0");
    pm_virtio_mem_set_migrating(fixture->device, false);
    assert_response(fixture, UNPLUG, ADDRESS, 1, "\0\0\0\0\0\0\0\0\0\0");
    assert_response(fixture, UNPLUG_ALL, 0, 0, "\0\0\0\0\0\0\0\0\0\0");
}

static void padding_is_ignored(void **state)
{
    static const uint16_t types[] = {PLUG, STATE, UNPLUG, UNPLUG_ALL};
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        uint8_t bytes[REQ_SIZE];

        build_request(bytes, types[i], ADDRESS, 2);
        memset(bytes + 2, 0xff, 6);
        memset(bytes + 18, 0xff, 6);
        assert_int_equal(send_bytes(fixture, bytes, NULL), ACK);
        assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), i < 2 ? 2 * BLOCK : 0);
    }
}

static void requests_and_responses_may_be_unaligned_in_memory(void **state)
{
    Fixture *fixture = *state;

    for (size_t shift = 0; shift < 8; shift++) {
        uint8_t buffer[REQ_SIZE + RESP_SIZE + 16];
        uint8_t *response = buffer + shift + REQ_SIZE + 1;

        build_request(buffer + shift, PLUG, BLOCK_AT(shift), 1);
        assert_true(pm_virtio_mem_handle(fixture->device, buffer + shift, REQ_SIZE, response,
                                         RESP_SIZE, NULL));
        assert_int_equal(get_le(response, 2), ACK);
    }
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 8 * BLOCK);
}

static void response_may_overlap_the_request(void **state)
{
    Fixture *fixture = *state;
    uint8_t bytes[REQ_SIZE];

    build_request(bytes, STATE, ADDRESS, 2);
    assert_true(pm_virtio_mem_handle(fixture->device, bytes, REQ_SIZE, bytes + 4, RESP_SIZE, NULL));
    assert_int_equal(get_le(bytes + 4, 8), ACK);
    assert_int_equal(get_le(bytes + 12, 2), VIRTIO_MEM_STATE_UNPLUGGED);
}

static void excess_response_bytes_are_not_written(void **state)
{
    Fixture *fixture = *state;
    uint8_t bytes[REQ_SIZE + 8];
    uint8_t response[RESP_SIZE + 8];

    build_request(bytes, PLUG, ADDRESS, 2);
    memset(bytes + REQ_SIZE, 0xff, 8);
    memset(response, 0xa5, sizeof(response));
    assert_true(pm_virtio_mem_handle(fixture->device, bytes, sizeof(bytes), response,
                                     sizeof(response), NULL));
    assert_int_equal(get_le(response, 8), ACK);
    for (size_t i = RESP_SIZE; i < sizeof(response); i++)
        assert_int_equal(response[i], 0xa5);
}

static void assert_violates(Fixture *fixture, const void *bytes, size_t request_size,
                            size_t response_size, const char *part)
{
    g_autoptr(GError) error = NULL;
    uint8_t response[64];
    uint8_t before[CONFIG_SIZE];
    uint8_t after[CONFIG_SIZE];

    memset(response, 0xa5, sizeof(response));
    read_config(fixture, before);
    assert_false(pm_virtio_mem_handle(fixture->device, bytes, request_size, response, response_size,
                                      &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_REQUEST));
    if (strstr(error->message, part) == NULL)
        fail_msg("'%s' not found in '%s'", part, error->message);
    assert_refusal(fixture, PM_REFUSAL_PROTOCOL, error->message);
    read_config(fixture, after);
    assert_memory_equal(before, after, CONFIG_SIZE);
    for (size_t i = 0; i < sizeof(response); i++)
        assert_int_equal(response[i], 0xa5);
}

static void a_short_request_breaks_the_device(void **state)
{
    Fixture *fixture = *state;

    for (size_t size = 0; size < REQ_SIZE; size++) {
        g_autofree char *part =
            g_strdup_printf("request too short: requires 24 bytes, got %zu:", size);
        g_autofree uint8_t *exact = g_malloc0(size);
        uint8_t bytes[REQ_SIZE];

        build_request(bytes, PLUG, ADDRESS, 1);
        if (size > 0)
            memcpy(exact, bytes, size);
        assert_violates(fixture, exact, size, RESP_SIZE, part);
        pm_virtio_mem_device_reset(fixture->device);
    }
}

static void a_short_response_breaks_the_device(void **state)
{
    Fixture *fixture = *state;
    uint8_t bytes[REQ_SIZE];

    build_request(bytes, PLUG, ADDRESS, 1);
    for (size_t size = 0; size < RESP_SIZE; size++) {
        g_autofree char *part =
            g_strdup_printf("response buffer too short: requires 10 bytes, got %zu:", size);

        assert_violates(fixture, bytes, REQ_SIZE, size, part);
        pm_virtio_mem_device_reset(fixture->device);
    }
    assert_int_equal(pm_virtio_mem_get_plugged_size(fixture->device), 0);
}

static void an_unknown_type_breaks_the_device(void **state)
{
    static const uint16_t types[] = {4, 5, 0x100, 0x8000, 0xffff};
    Fixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *part = g_strdup_printf("unknown request type %u", types[i]);
        uint8_t bytes[REQ_SIZE];

        build_request(bytes, types[i], ADDRESS, 1);
        assert_violates(fixture, bytes, REQ_SIZE, RESP_SIZE, part);
        pm_virtio_mem_device_reset(fixture->device);
    }
}

static void a_broken_device_does_not_respond_until_reset(void **state)
{
    Fixture *fixture = *state;
    uint8_t bad[REQ_SIZE];
    uint8_t good[REQ_SIZE];

    assert_int_equal(request(fixture, PLUG, ADDRESS, 3), ACK);
    build_request(bad, 4, ADDRESS, 1);
    build_request(good, UNPLUG, ADDRESS, 1);
    assert_violates(fixture, bad, REQ_SIZE, RESP_SIZE, "type 4");
    assert_violates(fixture, good, REQ_SIZE, RESP_SIZE, "earlier request");
    assert_violates(fixture, good, REQ_SIZE, RESP_SIZE, "earlier request");
    assert_true(pm_virtio_mem_system_reset(fixture->device, NULL));
    assert_violates(fixture, good, REQ_SIZE, RESP_SIZE, "earlier request");
    pm_virtio_mem_device_reset(fixture->device);
    assert_refusal(fixture, PM_REFUSAL_NONE, NULL);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 3), ACK);
}

static void an_error_response_does_not_break_the_device(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(request(fixture, PLUG, 1, 1), ERROR);
    assert_int_equal(request(fixture, PLUG, ADDRESS, 1), ACK);
}

static void a_violation_accepts_a_null_error(void **state)
{
    Fixture *fixture = *state;

    assert_false(pm_virtio_mem_handle(fixture->device, NULL, 0, NULL, 0, NULL));
    assert_int_equal(pm_virtio_mem_last_refusal(fixture->device, NULL), PM_REFUSAL_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(response_bytes_are_exact),
        TEST(padding_is_ignored),
        TEST(requests_and_responses_may_be_unaligned_in_memory),
        TEST(response_may_overlap_the_request),
        TEST(excess_response_bytes_are_not_written),
        TEST(a_short_request_breaks_the_device),
        TEST(a_short_response_breaks_the_device),
        TEST(an_unknown_type_breaks_the_device),
        TEST(a_broken_device_does_not_respond_until_reset),
        TEST(an_error_response_does_not_break_the_device),
        TEST(a_violation_accepts_a_null_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
