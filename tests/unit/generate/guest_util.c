/* SPDX-License-Identifier: MIT */
#include "guest_util.h"

#include <inttypes.h>

#define NS_PER_SECOND INT64_C(1000000000)

static PmVirtioMemAnswer next_answer(Guest *guest)
{
    static const char names[] = "anbe";
    char name = guest->answers != NULL && *guest->answers != '\0' ? *guest->answers++ : 'a';

    return (PmVirtioMemAnswer)(strchr(names, name) - names);
}

static PmVirtioMemAnswer answer(void *user_data, PmVirtioMemRequestType type, uint64_t address,
                                uint16_t n_blocks)
{
    Guest *guest = user_data;
    uint64_t size = n_blocks * guest->geometry.block_size;
    uint64_t first = (address - GUEST_ADDRESS) / guest->geometry.block_size;
    PmVirtioMemAnswer found = next_answer(guest);

    if (type == PM_VIRTIO_MEM_UNPLUG_ALL)
        g_string_append(guest->requests, "all ");
    else
        g_string_append_printf(guest->requests, "%c%" PRIu64 "/%u ",
                               type == PM_VIRTIO_MEM_PLUG ? '+' : '-', first, n_blocks);
    if (found != PM_VIRTIO_MEM_ACK)
        return found;
    if (type == PM_VIRTIO_MEM_UNPLUG_ALL)
        guest->plugged_size = 0;
    else
        guest->plugged_size += type == PM_VIRTIO_MEM_PLUG ? size : -size;
    return found;
}

static void read_state(void *user_data, PmGuestDeviceState *state)
{
    const Guest *guest = user_data;
    uint64_t usable = MIN(guest->requested_size + guest->extent, guest->size);

    state->plugged_size = guest->plugged_size;
    state->requested_size = guest->requested_size;
    state->usable_chunks = pm_guest_geometry_usable_chunks(&guest->geometry, GUEST_ADDRESS, usable);
}

static int64_t now(void *user_data)
{
    return ((const Guest *)user_data)->now;
}

static void pass(void *user_data, int64_t ns)
{
    Guest *guest = user_data;

    guest->now += ns;
    if (guest->now < guest->change_at)
        return;
    guest->change_at = INT64_MAX;
    guest->requested_size = guest->change_to;
    pm_guest_driver_notify(guest->driver);
}

Guest *guest_new(uint64_t size, uint64_t block_size, bool has_big_blocks,
                 const PmGuestMemoryConfig *memory)
{
    Guest *guest = g_new0(Guest, 1);

    assert_true(pm_guest_geometry_init(&guest->geometry, GUEST_ADDRESS, size, block_size,
                                       PM_GUEST_MEMORY_BLOCK, has_big_blocks, NULL));
    guest->memory =
        pm_guest_memory_new(memory, guest->geometry.n_chunks * guest->geometry.units_per_chunk);
    guest->requests = g_string_new(NULL);
    guest->size = size;
    guest->extent = size;
    guest->change_at = INT64_MAX;
    guest_boot(guest);
    guest_work(guest);
    return guest;
}

void guest_free(Guest *guest)
{
    pm_guest_driver_free(guest->driver);
    pm_guest_memory_free(guest->memory);
    g_string_free(guest->requests, TRUE);
    g_free(guest);
}

void guest_boot(Guest *guest)
{
    const PmGuestPort port = {
        .send = answer, .read_state = read_state, .now = now, .sleep = pass, .user_data = guest};

    pm_guest_driver_free(guest->driver);
    pm_guest_memory_reset(guest->memory);
    guest->driver = pm_guest_driver_new(&guest->geometry, guest->memory, &port);
}

void guest_work(Guest *guest)
{
    while (pm_guest_driver_has_work(guest->driver))
        pm_guest_driver_work(guest->driver);
}

void guest_resize(Guest *guest, uint64_t size)
{
    guest->requested_size = size;
    pm_guest_driver_notify(guest->driver);
    guest_work(guest);
}

void guest_wait(Guest *guest, unsigned seconds)
{
    int64_t timer = pm_guest_driver_get_timer(guest->driver);

    assert_int_equal(timer - guest->now, seconds * NS_PER_SECOND);
    guest->now = timer;
    pm_guest_driver_expire_timer(guest->driver);
    guest_work(guest);
}

void assert_requests(Guest *guest, const char *expected)
{
    assert_string_equal(g_strchomp(guest->requests->str), expected);
    g_string_truncate(guest->requests, 0);
}

void guest_pin(Guest *guest, uint64_t first, uint64_t n_blocks)
{
    uint64_t blocks_per_unit = guest->geometry.unit_size / guest->geometry.block_size;

    pm_guest_memory_pin(guest->memory, first / blocks_per_unit, n_blocks / blocks_per_unit);
}
