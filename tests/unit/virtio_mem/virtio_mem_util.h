/* SPDX-License-Identifier: MIT */
/* A device on anonymous RAM, requests in wire format, and a scripted listener. */
#ifndef PLUGMAP_TESTS_UNIT_VIRTIO_MEM_VIRTIO_MEM_UTIL_H
#define PLUGMAP_TESTS_UNIT_VIRTIO_MEM_VIRTIO_MEM_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/size.h>
#include <plugmap/virtio_mem.h>

#include "kernel-uapi/virtio_mem.h"
#include "util/locked_page.h"

#define ADDRESS      UINT64_C(0x100000000)
#define BLOCK        (2 * PM_MIB)
#define N_BLOCKS     UINT64_C(512)
#define REGION       (N_BLOCKS * BLOCK)
#define CONFIG_SIZE  56
#define REQ_SIZE     24
#define RESP_SIZE    10
#define BLOCK_AT(n)  (ADDRESS + (n)*BLOCK)
#define NO_OBJECTION (-1)

/* Short names for the tables of the tests. */
enum {
    ACK = VIRTIO_MEM_RESP_ACK,
    NACK = VIRTIO_MEM_RESP_NACK,
    BUSY = VIRTIO_MEM_RESP_BUSY,
    ERROR = VIRTIO_MEM_RESP_ERROR,
    PLUG = VIRTIO_MEM_REQ_PLUG,
    UNPLUG = VIRTIO_MEM_REQ_UNPLUG,
    UNPLUG_ALL = VIRTIO_MEM_REQ_UNPLUG_ALL,
    STATE = VIRTIO_MEM_REQ_STATE,
};

typedef struct {
    /* The PmError to fail with, or NO_OBJECTION. */
    int populate_error;
    int discard_error;
    unsigned n_populates;
    unsigned n_discards;
    uint64_t populated;
} TestListener;

typedef struct {
    PmRam *ram;
    PmVirtioMem *device;
    TestListener listener;
    PmDiscardListener *registration;
    /* Arguments of the callbacks. */
    unsigned n_plugged_calls;
    unsigned n_config_calls;
    uint64_t last_plugged;
    uint64_t last_config;
} Fixture;

static inline void put_le(uint8_t *bytes, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t get_le(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

/* By offset, independent of the device's structs. */
static inline void build_request(uint8_t bytes[REQ_SIZE], uint16_t type, uint64_t address,
                                 uint16_t n_blocks)
{
    memset(bytes, 0, REQ_SIZE);
    put_le(bytes, type, 2);
    put_le(bytes + 8, address, 8);
    put_le(bytes + 16, n_blocks, 2);
}

/* Sends raw bytes; returns the response type and, if @response is not NULL, all 10 bytes. */
static inline int send_bytes(Fixture *fixture, const uint8_t bytes[REQ_SIZE],
                             uint8_t response[RESP_SIZE])
{
    g_autoptr(GError) error = NULL;
    uint8_t own[RESP_SIZE];

    if (response == NULL)
        response = own;
    memset(response, 0xa5, RESP_SIZE);
    assert_true(
        pm_virtio_mem_handle(fixture->device, bytes, REQ_SIZE, response, RESP_SIZE, &error));
    assert_null(error);
    return (int)get_le(response, 2);
}

static inline int request(Fixture *fixture, uint16_t type, uint64_t address, uint16_t n_blocks)
{
    uint8_t bytes[REQ_SIZE];

    build_request(bytes, type, address, n_blocks);
    return send_bytes(fixture, bytes, NULL);
}

static inline int unplug_all(Fixture *fixture)
{
    return request(fixture, UNPLUG_ALL, 0, 0);
}

/* The state returned by STATE, which must be acknowledged. */
static inline int state_of(Fixture *fixture, uint64_t address, uint16_t n_blocks)
{
    uint8_t bytes[REQ_SIZE];
    uint8_t response[RESP_SIZE];

    build_request(bytes, STATE, address, n_blocks);
    assert_int_equal(send_bytes(fixture, bytes, response), ACK);
    return (int)get_le(response + 8, 2);
}

static inline void read_config(const Fixture *fixture, uint8_t bytes[CONFIG_SIZE])
{
    pm_virtio_mem_config_read(fixture->device, 0, bytes, CONFIG_SIZE);
}

static inline void set_requested(Fixture *fixture, uint64_t size)
{
    g_autoptr(GError) error = NULL;

    assert_true(pm_virtio_mem_set_requested_size(fixture->device, size, &error));
    assert_null(error);
}

static inline void assert_refusal(const Fixture *fixture, PmRefusal cause, const char *part)
{
    const GError *refusal = NULL;

    assert_int_equal(pm_virtio_mem_last_refusal(fixture->device, &refusal), cause);
    if (part == NULL) {
        assert_null(refusal);
        return;
    }
    assert_true(g_error_matches(refusal, PM_REFUSAL, (gint)cause));
    if (strstr(refusal->message, part) == NULL)
        fail_msg("'%s' is not in '%s'", part, refusal->message);
}

static inline bool listener_fail(int code, GError **error)
{
    g_set_error(error, PM_ERROR, code, "the test listener objects with code %d", code);
    return false;
}

static inline bool listener_populate(void *user_data, uint64_t offset, uint64_t size,
                                     GError **error)
{
    TestListener *listener = user_data;

    (void)offset;
    if (listener->populate_error != NO_OBJECTION)
        return listener_fail(listener->populate_error, error);
    listener->n_populates++;
    listener->populated += size;
    return true;
}

static inline bool listener_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    TestListener *listener = user_data;

    (void)offset;
    if (listener->discard_error != NO_OBJECTION)
        return listener_fail(listener->discard_error, error);
    listener->n_discards++;
    listener->populated -= size;
    return true;
}

static const PmDiscardListenerOps test_listener_ops = {
    .struct_size = sizeof(test_listener_ops),
    .populate = listener_populate,
    .discard = listener_discard,
};

static inline void add_listener(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    fixture->listener =
        (TestListener){.populate_error = NO_OBJECTION, .discard_error = NO_OBJECTION};
    fixture->registration = pm_discard_manager_register(
        pm_virtio_mem_get_manager(fixture->device), &test_listener_ops, &fixture->listener,
        "test listener", 0, pm_virtio_mem_get_region_size(fixture->device), &error);
    assert_non_null(fixture->registration);
}

static inline void note_plugged(PmVirtioMem *device, uint64_t size, void *user_data)
{
    Fixture *fixture = user_data;

    assert_int_equal(size, pm_virtio_mem_get_plugged_size(device));
    fixture->n_plugged_calls++;
    fixture->last_plugged = size;
}

static inline void note_config(PmVirtioMem *device, uint64_t size, void *user_data)
{
    Fixture *fixture = user_data;

    assert_int_equal(size, pm_virtio_mem_get_requested_size(device));
    assert_true(size <= pm_virtio_mem_get_usable_size(device));
    fixture->n_config_calls++;
    fixture->last_config = size;
}

/* 512 blocks of 2 MiB at 4 GiB, the whole region requested. */
static inline PmVirtioMemConfig default_config(Fixture *fixture)
{
    return (PmVirtioMemConfig){
        .struct_size = sizeof(PmVirtioMemConfig),
        .ram = fixture->ram,
        .address = ADDRESS,
        .block_size = BLOCK,
        .requested_size = REGION,
        .plugged_size_changed = note_plugged,
        .config_changed = note_config,
        .user_data = fixture,
    };
}

static inline void make_device(Fixture *fixture, const PmVirtioMemConfig *config)
{
    g_autoptr(GError) error = NULL;

    fixture->device = pm_virtio_mem_new(config, &error);
    if (fixture->device == NULL)
        fail_msg("%s", error->message);
}

static inline Fixture *fixture_without_device(PmRamKind kind)
{
    Fixture *fixture = g_new0(Fixture, 1);

    fixture->ram = pm_ram_new(kind, REGION, BLOCK, NULL);
    assert_non_null(fixture->ram);
    return fixture;
}

/* Under valgrind a discard of anonymous memory, which begins with msync(), takes seconds. */
static inline int setup_ram(void **state)
{
    *state = fixture_without_device(PM_RAM_MEMFD);
    return 0;
}

/* Memory whose discard fails if a page is locked. */
static inline int setup_anonymous_ram(void **state)
{
    *state = fixture_without_device(PM_RAM_ANONYMOUS);
    return 0;
}

static inline int setup(void **state)
{
    Fixture *fixture = fixture_without_device(PM_RAM_MEMFD);
    PmVirtioMemConfig config = default_config(fixture);

    make_device(fixture, &config);
    *state = fixture;
    return 0;
}

static inline int setup_with_listener(void **state)
{
    setup(state);
    add_listener(*state);
    return 0;
}

static inline int teardown(void **state)
{
    Fixture *fixture = *state;

    if (fixture->registration != NULL) {
        fixture->listener.populate_error = NO_OBJECTION;
        fixture->listener.discard_error = NO_OBJECTION;
        assert_true(pm_discard_manager_unregister(pm_virtio_mem_get_manager(fixture->device),
                                                  fixture->registration, NULL));
    }
    pm_virtio_mem_free(fixture->device);
    pm_ram_unref(fixture->ram);
    g_free(fixture);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITH_LISTENER(name)                                                                   \
    cmocka_unit_test_setup_teardown(name, setup_with_listener, teardown)
#define TEST_WITH_RAM(name) cmocka_unit_test_setup_teardown(name, setup_ram, teardown)
#define TEST_WITH_ANONYMOUS_RAM(name)                                                              \
    cmocka_unit_test_setup_teardown(name, setup_anonymous_ram, teardown)

#endif
