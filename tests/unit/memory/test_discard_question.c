/* SPDX-License-Identifier: MIT */
/* can_discard: an objection prevents all changes. */
#include "discard_util.h"

#include <string.h>

#include "util/source_util.h"

/* Blocks 1, 2, 6 to 8 and 30 are populated; all listeners see all. */
static void set_up(Fixture *fixture)
{
    fixture_init(fixture);
    for (unsigned i = 0; i < N_LISTENERS; i++)
        add(fixture, i, &objecting_ops, 0, N_BLOCKS);
    assert_true(plug(fixture, 1, 2) && plug(fixture, 6, 3) && plug(fixture, 30, 1));
    touch(fixture, 1, 2);
    touch(fixture, 6, 3);
    touch(fixture, 30, 1);
    g_string_truncate(fixture->log, 0);
}

static void assert_as_set_up(const Fixture *fixture)
{
    check_views(fixture);
    assert_int_equal(pm_discard_manager_get_populated(fixture->manager), 6 * BLOCK);
    assert_int_equal(pm_discard_manager_get_quarantined(fixture->manager), 0);
    assert_int_equal(resident(fixture), 6 * BLOCK);
}

/* From now on every notification fails, but not can_discard. */
static void fail_from_now_on(Fixture *fixture, bool failing)
{
    for (unsigned i = 0; i < N_LISTENERS; i++) {
        fixture->listeners[i].fail_in = failing ? 1 : 0;
        fixture->listeners[i].fail_with = PM_ERROR_QUARANTINED;
    }
}

static void all_are_asked_before_any_is_notified_of_a_discard(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    assert_true(unplug(&fixture, 7, 2));
    assert_log(&fixture, "a~7,2 b~7,2 c~7,2 a-7,2 b-7,2 c-7,2 ");
    fixture_clear(&fixture);
}

static void all_are_asked_about_each_run_before_all_is_discarded(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a~1,2 a~6,3 a~30,1 b~1,2 b~6,3 b~30,1 c~1,2 c~6,3 c~30,1 "
                         "a-1,2 a-6,3 a-30,1 b-1,2 b-6,3 b-30,1 c-1,2 c-6,3 c-30,1 ");
    fixture_clear(&fixture);
}

static void questions_are_clipped_to_the_listeners_range(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &objecting_ops, 0, 4);
    add(&fixture, 1, &objecting_ops, 20, 4);
    assert_true(plug(&fixture, 2, 8));
    g_string_truncate(fixture.log, 0);
    fixture.listeners[1].refuse_discard = true;
    assert_true(unplug(&fixture, 3, 4));
    assert_log(&fixture, "a~3,1 a-3,1 ");
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a~2,1 a-2,1 ");
    fixture_clear(&fixture);
}

typedef bool (*Change)(Fixture *fixture, GError **error);

static bool discard(Fixture *fixture, GError **error)
{
    return source_discard(fixture->manager, 7 * BLOCK, 2 * BLOCK, error);
}

static bool discard_all(Fixture *fixture, GError **error)
{
    return source_discard_all(fixture->manager, error);
}

static const Change changes[] = {discard, discard_all};

/* Even if every notification would fail: none is sent. */
static void objection_of_any_listener_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++)
        for (unsigned k = 0; k < N_LISTENERS; k++) {
            g_autoptr(GError) error = NULL;
            Fixture fixture;

            set_up(&fixture);
            fixture.listeners[k].refuse_discard = true;
            fail_from_now_on(&fixture, true);
            assert_false(changes[i](&fixture, &error));
            assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BUSY));
            assert_null(strchr(fixture.log->str, '-'));
            assert_null(strchr(fixture.log->str, '+'));
            for (unsigned j = 0; j < N_LISTENERS; j++)
                assert_int_equal(fixture.listeners[j].fail_in, 1);
            assert_as_set_up(&fixture);
            fail_from_now_on(&fixture, false);
            fixture.listeners[k].refuse_discard = false;
            assert_true(changes[i](&fixture, NULL));
            check_views(&fixture);
            fixture_clear(&fixture);
        }
}

/* The objection is lifted, and then listener j fails when it is notified. */
static void nothing_is_lost_if_a_listener_fails_after_an_objection(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++)
        for (unsigned k = 0; k < N_LISTENERS; k++)
            for (unsigned j = 0; j < N_LISTENERS; j++) {
                Fixture fixture;

                set_up(&fixture);
                fixture.listeners[k].refuse_discard = true;
                assert_false(changes[i](&fixture, NULL));
                fixture.listeners[k].refuse_discard = false;
                fixture.listeners[j].fail_in = 1;
                fixture.listeners[j].fail_with = PM_ERROR_KERNEL;
                assert_false(changes[i](&fixture, NULL));
                assert_int_equal(fixture.listeners[j].fail_in, 0);
                assert_as_set_up(&fixture);
                fixture.listeners[k].refuse_discard = true;
                assert_false(changes[i](&fixture, NULL));
                assert_as_set_up(&fixture);
                fixture_clear(&fixture);
            }
}

static void objection_does_not_affect_other_blocks(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&fixture, 1, &objecting_ops, 4, 4);
    assert_true(plug(&fixture, 0, 8));
    fixture.listeners[1].refuse_discard = true;
    assert_false(unplug(&fixture, 3, 2));
    assert_true(unplug(&fixture, 0, 4));
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void can_discard_is_not_called_for_undo_and_unregister(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    fixture.listeners[0].refuse_discard = true;
    fixture.listeners[1].fail_in = 1;
    fixture.listeners[1].fail_with = PM_ERROR_LIMIT;
    assert_false(plug(&fixture, 10, 1));
    assert_log(&fixture, "a+10,1 a-10,1 ");
    assert_as_set_up(&fixture);
    assert_true(pm_discard_manager_unregister(fixture.manager, fixture.listeners[0].handle, NULL));
    fixture.listeners[0].handle = NULL;
    assert_log(&fixture, "a-1,2 a-6,3 a-30,1 ");
    fixture_clear(&fixture);
}

static void dropped_listener_is_not_asked(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    fixture.listeners[1].refuse_discard = true;
    pm_discard_manager_drop(fixture.manager, fixture.listeners[1].handle);
    fixture.listeners[1].handle = NULL;
    memset(fixture.listeners[1].has, 0, sizeof(fixture.listeners[1].has));
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_null(strchr(fixture.log->str, 'b'));
    fixture_clear(&fixture);
}

static bool look_around(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    const Listener *listener = user_data;
    uint64_t run_offset;
    uint64_t run_size;

    (void)error;
    assert_true(pm_discard_manager_is_populated(listener->manager, offset, size));
    assert_true(
        pm_discard_manager_next_populated(listener->manager, 0, SIZE, &run_offset, &run_size));
    assert_int_equal(pm_discard_manager_get_populated(listener->manager), 2 * BLOCK);
    assert_int_equal(pm_discard_manager_get_quarantined(listener->manager), 0);
    return true;
}

static void getters_work_while_a_listener_is_asked(void **state)
{
    static PmDiscardListenerOps ops;
    Fixture fixture;

    (void)state;
    ops = plain_ops;
    ops.can_discard = look_around;
    fixture_init(&fixture);
    add(&fixture, 0, &ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 3, 2));
    assert_true(unplug(&fixture, 3, 2));
    fixture_clear(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_asked_before_any_is_notified_of_a_discard),
        cmocka_unit_test(all_are_asked_about_each_run_before_all_is_discarded),
        cmocka_unit_test(questions_are_clipped_to_the_listeners_range),
        cmocka_unit_test(objection_of_any_listener_changes_nothing),
        cmocka_unit_test(nothing_is_lost_if_a_listener_fails_after_an_objection),
        cmocka_unit_test(objection_does_not_affect_other_blocks),
        cmocka_unit_test(can_discard_is_not_called_for_undo_and_unregister),
        cmocka_unit_test(dropped_listener_is_not_asked),
        cmocka_unit_test(getters_work_while_a_listener_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
