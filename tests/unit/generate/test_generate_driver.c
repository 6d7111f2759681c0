/* SPDX-License-Identifier: MIT */
/* When the driver works and when it tries again: answers, timer, changes, boots. */
#include <string.h>

#include "guest_util.h"

#define REGION     (4 * PM_GIB)
#define BLOCK      (2 * PM_MIB)
#define NO_TIMER   INT64_MAX
#define NS_PER_SEC INT64_C(1000000000)

static const PmGuestMemoryConfig at_once = {0};

static Guest *make(void)
{
    return guest_new(REGION, BLOCK, false, &at_once);
}

static void busy_is_tried_again_later_and_later(void **state)
{
    static const unsigned seconds[] = {50, 100, 200, 300, 300};
    g_autoptr(Guest) guest = make();

    (void)state;
    guest->answers = "bbbbbba";
    guest_resize(guest, 128 * BLOCK);
    assert_requests(guest, "+0/64");
    for (size_t i = 0; i < G_N_ELEMENTS(seconds); i++) {
        guest_wait(guest, seconds[i]);
        assert_requests(guest, "+0/64");
    }
    guest_wait(guest, 300);
    assert_requests(guest, "+0/64 +64/64");
    assert_true(pm_guest_driver_get_timer(guest->driver) == NO_TIMER);
}

static void success_makes_the_next_try_early_again(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest->answers = "bbab";
    guest_resize(guest, 64 * BLOCK);
    guest_wait(guest, 50);
    guest_wait(guest, 100);
    guest_resize(guest, 128 * BLOCK);
    guest_wait(guest, 50);
    assert_requests(guest, "+0/64 +0/64 +0/64 +64/64 +64/64");
}

static void a_resize_does_not_wait_for_the_timer(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest->answers = "bb";
    guest_resize(guest, 128 * BLOCK);
    guest_resize(guest, 64 * BLOCK);
    assert_requests(guest, "+0/64 +0/64");
    guest_wait(guest, 50);
    assert_requests(guest, "+0/64");
    guest->answers = "b";
    guest_resize(guest, 128 * BLOCK);
    guest_resize(guest, 64 * BLOCK);
    assert_true(pm_guest_driver_get_timer(guest->driver) == NO_TIMER);
}

static void a_busy_unplug_leaves_the_memory_in_use(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest_resize(guest, 128 * BLOCK);
    guest->answers = "b";
    guest_resize(guest, 0);
    assert_requests(guest, "+0/64 +64/64 -64/64");
    guest_resize(guest, 128 * BLOCK);
    assert_requests(guest, "");
    guest_resize(guest, 0);
    assert_requests(guest, "-64/64 -0/64");
}

static void unmovable_pages_are_tried_again_later(void **state)
{
    const PmGuestMemoryConfig one_try = {.release = 100};
    g_autoptr(Guest) guest = guest_new(REGION, BLOCK, false, &one_try);

    (void)state;
    guest_resize(guest, 2 * BLOCK);
    guest_pin(guest, 1, 1);
    guest_resize(guest, 0);
    assert_requests(guest, "+0/2 -0/1");
    guest_wait(guest, 50);
    assert_requests(guest, "-1/1");
    assert_true(pm_guest_driver_get_timer(guest->driver) == NO_TIMER);
}

/* Where pages are may have changed. Both pins end with the first failed attempt at them: the whole
 * memory block, and then the sub-block. */
static void a_removed_memory_block_is_reason_to_try_again_at_once(void **state)
{
    const PmGuestMemoryConfig one_try = {.release = 100};
    g_autoptr(Guest) guest = guest_new(REGION, BLOCK, false, &one_try);

    (void)state;
    guest_resize(guest, 128 * BLOCK);
    guest_pin(guest, 5, 2);
    guest_resize(guest, 0);
    assert_non_null(strstr(guest->requests->str, " -64/64 -63/1 "));
    assert_non_null(strstr(guest->requests->str, " -7/1 -5/1 "));
    assert_true(g_str_has_suffix(guest->requests->str, " -0/1 -6/1 "));
    assert_int_equal(guest->plugged_size, 0);
}

static void a_resize_while_plugging_ends_it(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest->change_at = guest->now + NS_PER_SEC / 50;
    guest->change_to = 64 * BLOCK;
    guest_resize(guest, 640 * BLOCK);
    assert_requests(guest, "+0/64 +64/64 -64/64");
}

static void a_resize_while_unplugging_ends_it(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest_resize(guest, 256 * BLOCK);
    guest->change_at = guest->now + NS_PER_SEC / 50;
    guest->change_to = 320 * BLOCK;
    guest_resize(guest, 0);
    assert_requests(guest, "+0/64 +64/64 +128/64 +192/64 -192/64 +192/64 +256/64");
}

static void nack_is_tried_again_at_once(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest->answers = "n";
    guest_resize(guest, 64 * BLOCK);
    assert_requests(guest, "+0/64 +0/64");
    assert_true(pm_guest_driver_get_timer(guest->driver) == NO_TIMER);
}

static void nack_to_an_unplug_is_tried_again_later(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest_resize(guest, 64 * BLOCK);
    guest->answers = "n";
    guest_resize(guest, 0);
    assert_requests(guest, "+0/64 -0/64");
    guest_wait(guest, 50);
    assert_requests(guest, "-0/64");
}

static void the_driver_gives_up_after_an_error(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest->answers = "e";
    guest_resize(guest, 64 * BLOCK);
    assert_true(pm_guest_driver_is_broken(guest->driver));
    guest_resize(guest, 128 * BLOCK);
    assert_requests(guest, "+0/64");
    assert_true(pm_guest_driver_get_timer(guest->driver) == NO_TIMER);
}

static void a_driver_that_finds_plugged_memory_unplugs_all(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest_resize(guest, 128 * BLOCK);
    g_string_truncate(guest->requests, 0);
    guest_boot(guest);
    guest_work(guest);
    assert_requests(guest, "all +0/64 +64/64");
}

static void a_driver_that_finds_nothing_plugged_does_not(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest_resize(guest, 64 * BLOCK);
    g_string_truncate(guest->requests, 0);
    guest->plugged_size = 0;
    guest_boot(guest);
    guest_work(guest);
    assert_requests(guest, "+0/64");
}

static void nothing_is_plugged_before_all_is_unplugged(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    guest_resize(guest, 64 * BLOCK);
    g_string_truncate(guest->requests, 0);
    guest->answers = "bb";
    guest_boot(guest);
    guest_work(guest);
    assert_requests(guest, "all");
    guest_resize(guest, 128 * BLOCK);
    assert_requests(guest, "all");
    guest_wait(guest, 50);
    assert_requests(guest, "all +0/64 +64/64");
}

static void a_stopped_guest_sends_nothing(void **state)
{
    g_autoptr(Guest) guest = make();

    (void)state;
    pm_guest_driver_stop(guest->driver);
    guest_resize(guest, 64 * BLOCK);
    assert_requests(guest, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(busy_is_tried_again_later_and_later),
        cmocka_unit_test(success_makes_the_next_try_early_again),
        cmocka_unit_test(a_resize_does_not_wait_for_the_timer),
        cmocka_unit_test(a_busy_unplug_leaves_the_memory_in_use),
        cmocka_unit_test(unmovable_pages_are_tried_again_later),
        cmocka_unit_test(a_removed_memory_block_is_reason_to_try_again_at_once),
        cmocka_unit_test(a_resize_while_plugging_ends_it),
        cmocka_unit_test(a_resize_while_unplugging_ends_it),
        cmocka_unit_test(nack_is_tried_again_at_once),
        cmocka_unit_test(nack_to_an_unplug_is_tried_again_later),
        cmocka_unit_test(the_driver_gives_up_after_an_error),
        cmocka_unit_test(a_driver_that_finds_plugged_memory_unplugs_all),
        cmocka_unit_test(a_driver_that_finds_nothing_plugged_does_not),
        cmocka_unit_test(nothing_is_plugged_before_all_is_unplugged),
        cmocka_unit_test(a_stopped_guest_sends_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
