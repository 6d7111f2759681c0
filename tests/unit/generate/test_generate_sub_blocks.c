/* SPDX-License-Identifier: MIT */
/* Sub-block mode: which parts of memory blocks are plugged and unplugged, in which order. Memory
 * blocks have 64 sub-blocks. */
#include "guest_util.h"

#define REGION (4 * PM_GIB)
#define BLOCK  (2 * PM_MIB)

static const PmGuestMemoryConfig at_once = {0};

static Guest *make(const PmGuestMemoryConfig *memory)
{
    return guest_new(REGION, BLOCK, false, memory);
}

static void plug_fills_memory_blocks_from_the_start(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 10 * BLOCK);
    assert_requests(guest, "+0/10");
    guest_resize(guest, 130 * BLOCK);
    assert_requests(guest, "+10/54 +64/64 +128/2");
}

static void unplug_takes_whole_memory_blocks_then_sub_blocks_from_the_end(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 192 * BLOCK);
    guest_resize(guest, 62 * BLOCK);
    assert_requests(guest, "+0/64 +64/64 +128/64 -128/64 -64/64 -63/1 -62/1");
}

static void unplug_begins_with_memory_blocks_that_are_partial(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 192 * BLOCK);
    guest_pin(guest, 128, 62);
    guest_resize(guest, 190 * BLOCK);
    guest_resize(guest, 189 * BLOCK);
    assert_requests(guest, "+0/64 +64/64 +128/64 -191/1 -190/1 -127/1");
    guest_resize(guest, 187 * BLOCK);
    assert_requests(guest, "-126/1 -125/1");
}

static void a_memory_block_whose_gaps_are_filled_is_not_partial(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 10 * BLOCK);
    guest_resize(guest, 128 * BLOCK);
    guest_resize(guest, 127 * BLOCK);
    assert_requests(guest, "+0/10 +10/54 +64/64 -127/1");
}

static void a_memory_block_in_use_is_unplugged_one_by_one(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 64 * BLOCK);
    guest_pin(guest, 0, 60);
    guest_pin(guest, 62, 1);
    guest_resize(guest, 0);
    assert_requests(guest, "+0/64 -63/1 -61/1 -60/1");
    assert_int_equal(guest->plugged_size, 61 * BLOCK);
}

static void gaps_are_filled_before_memory_blocks_that_are_not_used(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 192 * BLOCK);
    guest_pin(guest, 2, 1);
    guest_pin(guest, 4, 60);
    guest_pin(guest, 128, 63);
    guest_resize(guest, 65 * BLOCK);
    assert_requests(guest, "+0/64 +64/64 +128/64 -191/1 -64/64 -3/1 -1/1 -0/1");
    guest_resize(guest, 190 * BLOCK);
    assert_requests(guest, "+0/2 +3/1 +191/1 +64/62");
}

static void what_is_less_than_a_sub_block_is_not_plugged(void **state)
{
    g_autoptr(Guest) guest = guest_new(REGION, PM_MIB, false, &at_once);

    (void)state;
    guest_resize(guest, 3 * PM_MIB);
    assert_requests(guest, "+0/2");
    assert_true(pm_guest_driver_get_timer(guest->driver) == INT64_MAX);
    guest_resize(guest, PM_MIB);
    assert_requests(guest, "");
}

static void offline_memory_is_unplugged_in_runs(void **state)
{
    const PmGuestMemoryConfig never = {.online_ns = PM_ONLINE_NEVER};
    g_autoptr(Guest) guest = make(&never);

    (void)state;
    guest_resize(guest, 100 * BLOCK);
    guest_resize(guest, 30 * BLOCK);
    assert_requests(guest, "+0/64 +64/36 -64/36 -30/34");
    guest_resize(guest, 40 * BLOCK);
    guest_resize(guest, 0);
    assert_requests(guest, "+30/10 -0/40");
}

static void offline_memory_is_unplugged_before_online_memory(void **state)
{
    const PmGuestMemoryConfig later = {.online_ns = 1000000000};
    g_autoptr(Guest) guest = make(&later);

    (void)state;
    guest_resize(guest, 64 * BLOCK);
    guest->now += later.online_ns;
    pm_guest_driver_online(guest->driver);
    guest_resize(guest, 128 * BLOCK);
    guest_pin(guest, 0, 128);
    guest_resize(guest, 0);
    assert_requests(guest, "+0/64 +64/64 -64/64");
}

/* With that seed the second and the third memory block are movable. */
static void movable_memory_is_unplugged_before_the_kernels(void **state)
{
    const PmGuestMemoryConfig half = {.movable = 50, .seed = 3};
    g_autoptr(Guest) guest = make(&half);

    (void)state;
    guest_resize(guest, 384 * BLOCK);
    g_string_truncate(guest->requests, 0);
    guest_resize(guest, 0);
    assert_requests(guest, "-128/64 -64/64 -320/64 -256/64 -192/64 -0/64");
}

static void only_one_gib_is_plugged_before_it_is_online(void **state)
{
    const PmGuestMemoryConfig later = {.online_ns = INT64_C(1000000000000)};
    g_autoptr(Guest) guest = make(&later);

    (void)state;
    guest_resize(guest, 640 * BLOCK);
    assert_int_equal(guest->plugged_size, PM_GIB);
    assert_true(pm_guest_driver_get_timer(guest->driver) == INT64_MAX);
    g_string_truncate(guest->requests, 0);
    for (unsigned i = 0; i < 3; i++) {
        guest->now = pm_guest_memory_next_online(guest->memory);
        pm_guest_driver_online(guest->driver);
        assert_false(pm_guest_driver_has_work(guest->driver));
    }
    guest->now = pm_guest_memory_next_online(guest->memory);
    pm_guest_driver_online(guest->driver);
    guest_work(guest);
    assert_requests(guest, "+512/64 +576/64");
}

static void nothing_is_plugged_beyond_the_usable_region(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest->size = 200 * BLOCK;
    guest_resize(guest, 200 * BLOCK);
    assert_requests(guest, "+0/64 +64/64 +128/64");
    assert_true(pm_guest_driver_get_timer(guest->driver) == INT64_MAX);
}

static void unplugged_memory_blocks_are_used_again_from_the_start(void **state)
{
    g_autoptr(Guest) guest = make(&at_once);

    (void)state;
    guest_resize(guest, 192 * BLOCK);
    guest_pin(guest, 128, 64);
    guest_resize(guest, 64 * BLOCK);
    guest_resize(guest, 256 * BLOCK);
    assert_requests(guest, "+0/64 +64/64 +128/64 -64/64 -0/64 +0/64 +64/64 +192/64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plug_fills_memory_blocks_from_the_start),
        cmocka_unit_test(unplug_takes_whole_memory_blocks_then_sub_blocks_from_the_end),
        cmocka_unit_test(unplug_begins_with_memory_blocks_that_are_partial),
        cmocka_unit_test(a_memory_block_whose_gaps_are_filled_is_not_partial),
        cmocka_unit_test(a_memory_block_in_use_is_unplugged_one_by_one),
        cmocka_unit_test(gaps_are_filled_before_memory_blocks_that_are_not_used),
        cmocka_unit_test(what_is_less_than_a_sub_block_is_not_plugged),
        cmocka_unit_test(offline_memory_is_unplugged_in_runs),
        cmocka_unit_test(offline_memory_is_unplugged_before_online_memory),
        cmocka_unit_test(movable_memory_is_unplugged_before_the_kernels),
        cmocka_unit_test(only_one_gib_is_plugged_before_it_is_online),
        cmocka_unit_test(nothing_is_plugged_beyond_the_usable_region),
        cmocka_unit_test(unplugged_memory_blocks_are_used_again_from_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
