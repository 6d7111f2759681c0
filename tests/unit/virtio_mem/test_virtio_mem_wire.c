/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/virtio_mem_wire.h>

#include "kernel-uapi/virtio_mem.h"

static void request_is_little_endian(void **state)
{
    static const uint8_t expected[24] = {1,    0,    0,    0,    0,    0,    0,    0,
                                         0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
                                         0xcd, 0xab, 0,    0,    0,    0,    0,    0};
    PmVirtioMemRequest request;

    (void)state;
    memset(&request, 0xa5, sizeof(request));
    pm_virtio_mem_request_init(&request, PM_VIRTIO_MEM_UNPLUG, 0x1122334455667788, 0xabcd);
    assert_int_equal(sizeof(request), sizeof(expected));
    assert_memory_equal(&request, expected, sizeof(expected));
}

static void enumerators_match_the_protocol(void **state)
{
    (void)state;
    assert_int_equal(PM_VIRTIO_MEM_PLUG, VIRTIO_MEM_REQ_PLUG);
    assert_int_equal(PM_VIRTIO_MEM_UNPLUG, VIRTIO_MEM_REQ_UNPLUG);
    assert_int_equal(PM_VIRTIO_MEM_UNPLUG_ALL, VIRTIO_MEM_REQ_UNPLUG_ALL);
    assert_int_equal(PM_VIRTIO_MEM_STATE, VIRTIO_MEM_REQ_STATE);
    assert_int_equal(PM_VIRTIO_MEM_ACK, VIRTIO_MEM_RESP_ACK);
    assert_int_equal(PM_VIRTIO_MEM_NACK, VIRTIO_MEM_RESP_NACK);
    assert_int_equal(PM_VIRTIO_MEM_BUSY, VIRTIO_MEM_RESP_BUSY);
    assert_int_equal(PM_VIRTIO_MEM_ERROR, VIRTIO_MEM_RESP_ERROR);
    assert_int_equal(PM_VIRTIO_MEM_PLUGGED, VIRTIO_MEM_STATE_PLUGGED);
    assert_int_equal(PM_VIRTIO_MEM_UNPLUGGED, VIRTIO_MEM_STATE_UNPLUGGED);
    assert_int_equal(PM_VIRTIO_MEM_MIXED, VIRTIO_MEM_STATE_MIXED);
}

static void response_has_type_and_state(void **state)
{
    const PmVirtioMemResponse mixed = {{[8] = 2}};
    const PmVirtioMemResponse error = {{[0] = 3, [8] = 1}};
    PmVirtioMemAnswer answer;
    PmVirtioMemState range_state = PM_VIRTIO_MEM_PLUGGED;

    (void)state;
    assert_true(pm_virtio_mem_response_decode(&mixed, &answer, &range_state, NULL));
    assert_int_equal(answer, PM_VIRTIO_MEM_ACK);
    assert_int_equal(range_state, PM_VIRTIO_MEM_MIXED);
    assert_true(pm_virtio_mem_response_decode(&error, &answer, &range_state, NULL));
    assert_int_equal(answer, PM_VIRTIO_MEM_ERROR);
    assert_int_equal(range_state, PM_VIRTIO_MEM_MIXED);
    assert_true(pm_virtio_mem_response_decode(&mixed, &answer, NULL, NULL));
    assert_int_equal(answer, PM_VIRTIO_MEM_ACK);
}

static void invalid_response_is_refused(void **state)
{
    static const PmVirtioMemResponse wrong[] = {{{[0] = 4}}, {{[1] = 1}}, {{[8] = 3}}, {{[9] = 1}}};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        PmVirtioMemAnswer answer = PM_VIRTIO_MEM_BUSY;
        PmVirtioMemState range_state = PM_VIRTIO_MEM_MIXED;

        assert_false(pm_virtio_mem_response_decode(&wrong[i], &answer, &range_state, &error));
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
        assert_int_equal(answer, PM_VIRTIO_MEM_BUSY);
        assert_int_equal(range_state, PM_VIRTIO_MEM_MIXED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_little_endian),
        cmocka_unit_test(enumerators_match_the_protocol),
        cmocka_unit_test(response_has_type_and_state),
        cmocka_unit_test(invalid_response_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
