/* SPDX-License-Identifier: MIT */
/* Big-block mode: whole blocks, removed from Linux before the host unplugs them. Units are memory
 * blocks: a big block of 256M has two. */
#include "guest_util.h"

#define BLOCK (256 * PM_MIB)

static const PmGuestMemoryConfig at_once = {0};

static Guest *make(const PmGuestMemoryConfig *memory)
{
    return guest_new(16 * PM_GIB, BLOCK, false, memory);
}

/* Both memory blocks of a big block. */
static void pin(Guest *guest, uint64_t block)
{
    pm_guest_memory_pin(guest->memory, 2 * block + 1, 1);
}

static void big_blocks_are_plugged_from_the_start_and_unplugged_from_the_end(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 3 * BLOCK);
    guest_resize(guest, BLOCK);
    guest_resize(guest, 2 * BLOCK);
    assert_requests(guest, "+0/1 +1/1 +2/1 -2/1 -1/1 +1/1");
}

static void a_big_block_in_use_is_left_out(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 4 * BLOCK);
    pin(guest, 2);
    guest_resize(guest, 2 * BLOCK);
    guest_resize(guest, 4 * BLOCK);
    assert_requests(guest, "+0/1 +1/1 +2/1 +3/1 -3/1 -1/1 +1/1 +3/1");
}

static void a_request_for_a_big_block_of_small_blocks_has_all_of_them(void **state)
{
    g_autoptr(Guest) guest = guest_new(PM_GIB, 2 * PM_MIB, true, &at_once);

    (void)state;
    guest_resize(guest, 200 * PM_MIB);
    assert_requests(guest, "+0/64");
    guest_resize(guest, 100 * PM_MIB);
    assert_requests(guest, "");
    guest_resize(guest, 0);
    assert_requests(guest, "-0/64");
}

static void a_big_block_that_the_host_does_not_unplug_is_unplugged_first_next_time(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 3 * BLOCK);
    assert_requests(guest, "+0/1 +1/1 +2/1");
    guest->answers = "bb";
    guest_resize(guest, BLOCK);
    assert_requests(guest, "-2/1 -2/1");
    guest_wait(guest, 50);
    assert_requests(guest, "-2/1 -1/1");
}

/* What Linux has removed is unplugged even if the host asks for it again. */
static void a_big_block_without_linux_is_unplugged_before_it_is_plugged_again(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 2 * BLOCK);
    guest->answers = "bb";
    guest_resize(guest, BLOCK);
    guest_resize(guest, 2 * BLOCK);
    assert_requests(guest, "+0/1 +1/1 -1/1 -1/1 -1/1 +1/1");
}

static void offline_big_blocks_are_unplugged_first(void **state)
{
    const PmGuestMemoryConfig later = {.online_ns = 1000000000};
    g_autoptr(Guest) guest = make(&later);

    (void)state;
    guest_resize(guest, 3 * BLOCK);
    guest->now += later.online_ns;
    pm_guest_driver_online(guest->driver);
    guest_resize(guest, 4 * BLOCK);
    pin(guest, 2);
    guest_resize(guest, 2 * BLOCK);
    assert_requests(guest, "+0/1 +1/1 +2/1 +3/1 -3/1 -1/1");
}

static void offline_big_blocks_are_limited_to_two_or_one_gib(void **state)
{
    const PmGuestMemoryConfig never = {.online_ns = PM_ONLINE_NEVER};
    g_autoptr(Guest) small = make(&never);
    g_autoptr(Guest) large = guest_new(16 * PM_GIB, PM_GIB, false, &never);

    (void)state;
    guest_resize(small, 8 * BLOCK);
    assert_requests(small, "+0/1 +1/1 +2/1 +3/1");
    guest_resize(large, 8 * PM_GIB);
    assert_requests(large, "+0/1 +1/1");
}

/* With that seed the second and the third are movable. */
static void movable_big_blocks_are_unplugged_first(void **state)
{
    const PmGuestMemoryConfig half = {.movable = 50, .seed = 3};
    g_autoptr(Guest) guest = make(&half);

    (void)state;
    guest_resize(guest, 6 * BLOCK);
    g_string_truncate(guest->requests, 0);
    guest_resize(guest, 0);
    assert_requests(guest, "-2/1 -1/1 -5/1 -4/1 -3/1 -0/1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(big_blocks_are_plugged_from_the_start_and_unplugged_from_the_end),
        cmocka_unit_test(a_big_block_in_use_is_left_out),
        cmocka_unit_test(a_request_for_a_big_block_of_small_blocks_has_all_of_them),
        cmocka_unit_test(a_big_block_that_the_host_does_not_unplug_is_unplugged_first_next_time),
        cmocka_unit_test(a_big_block_without_linux_is_unplugged_before_it_is_plugged_again),
        cmocka_unit_test(offline_big_blocks_are_unplugged_first),
        cmocka_unit_test(offline_big_blocks_are_limited_to_two_or_one_gib),
        cmocka_unit_test(movable_big_blocks_are_unplugged_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
