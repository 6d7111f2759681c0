/* SPDX-License-Identifier: MIT */
/* cancel_discard: listeners that agreed to a discard learn that it does not happen. */
#include "sources_util.h"

#include "util/locked_page.h"
#include "util/source_util.h"

#define ASKED_ABOUT_ALL  "a~1,2 a~6,3 b~1,2 b~6,3 c~1,2 c~6,3 "
#define CANCELED_FOR_ALL "c!6,3 c!1,2 b!6,3 b!1,2 a!6,3 a!1,2 "

/* Blocks 1, 2, 6, 7 and 8 are populated; all listeners see all. */
static void set_up(Fixture *fixture)
{
    fixture_init(fixture);
    for (unsigned i = 0; i < N_LISTENERS; i++)
        add(fixture, i, &canceled_ops, 0, N_BLOCKS);
    assert_true(plug(fixture, 1, 2) && plug(fixture, 6, 3));
    g_string_truncate(fixture->log, 0);
}

static bool unplug_both_runs(Fixture *fixture)
{
    return pm_discard_source_discard(first_source(fixture->manager), 0, 16 * BLOCK,
                                     PM_DISCARD_CHANGE_MIXED, NULL);
}

static void fail_next(Fixture *fixture, unsigned index, int fail_in)
{
    fixture->listeners[index].fail_in = fail_in;
    fixture->listeners[index].fail_with = PM_ERROR_KERNEL;
}

/* --- a discard --- */

static void a_discard_that_happens_is_not_canceled(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    assert_true(unplug(&fixture, 6, 3));
    assert_log(&fixture, "a~6,3 b~6,3 c~6,3 a-6,3 b-6,3 c-6,3 ");
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a~1,2 b~1,2 c~1,2 a-1,2 b-1,2 c-1,2 ");
    fixture_clear(&fixture);
}

static void an_objection_cancels_for_those_asked_before(void **state)
{
    static const char *const expected[] = {"a~6,3 ", "a~6,3 b~6,3 a!6,3 ",
                                           "a~6,3 b~6,3 c~6,3 b!6,3 a!6,3 "};

    (void)state;
    for (unsigned i = 0; i < N_LISTENERS; i++) {
        Fixture fixture;

        set_up(&fixture);
        fixture.listeners[i].refuse_discard = true;
        assert_false(unplug(&fixture, 6, 3));
        assert_log(&fixture, expected[i]);
        fixture_clear(&fixture);
    }
}

static void an_objection_to_the_second_run_cancels_the_first(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &canceled_ops, 0, N_BLOCKS);
    add(&fixture, 1, &canceled_ops, 4, 8);
    assert_true(plug(&fixture, 1, 2) && plug(&fixture, 6, 3));
    g_string_truncate(fixture.log, 0);
    fixture.listeners[1].refuse_discard = true;
    assert_false(unplug_both_runs(&fixture));
    assert_log(&fixture, "a~1,2 a~6,3 b~6,3 a!6,3 a!1,2 ");
    fixture_clear(&fixture);
}

static void a_listener_that_fails_cancels_for_all_after_rollback(void **state)
{
    static const char *const expected[] = {
        "a~6,3 b~6,3 c~6,3 c!6,3 b!6,3 a!6,3 ", "a~6,3 b~6,3 c~6,3 a-6,3 a+6,3 c!6,3 b!6,3 a!6,3 ",
        "a~6,3 b~6,3 c~6,3 a-6,3 b-6,3 b+6,3 a+6,3 c!6,3 b!6,3 a!6,3 "};

    (void)state;
    for (unsigned i = 0; i < N_LISTENERS; i++) {
        Fixture fixture;

        set_up(&fixture);
        fail_next(&fixture, i, 1);
        assert_false(unplug(&fixture, 6, 3));
        assert_log(&fixture, expected[i]);
        check_views(&fixture);
        fixture_clear(&fixture);
    }
}

static void a_listener_that_fails_in_the_second_run_cancels_both(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    fail_next(&fixture, 0, 2);
    assert_false(unplug_both_runs(&fixture));
    assert_log(&fixture, "a~1,2 b~1,2 c~1,2 a~6,3 b~6,3 c~6,3 a-1,2 b-1,2 c-1,2 "
                         "c+1,2 b+1,2 a+1,2 c!6,3 b!6,3 a!6,3 c!1,2 b!1,2 a!1,2 ");
    fixture_clear(&fixture);
}

static void a_failed_rollback_cancels_for_all(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    fail_next(&fixture, 1, 1);
    fail_next(&fixture, 0, 2);
    assert_false(unplug(&fixture, 6, 3));
    assert_log(&fixture, "a~6,3 b~6,3 c~6,3 a-6,3 c!6,3 b!6,3 a!6,3 ");
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 3 * BLOCK);
    fixture.listeners[0].has[6] = fixture.listeners[0].has[7] = fixture.listeners[0].has[8] = true;
    fixture_clear(&fixture);
}

/* Private memory, of which a locked page is not freed. */
static char *set_up_anonymous(Fixture *fixture)
{
    fixture_init(fixture);
    pm_discard_manager_unref(fixture->manager);
    pm_ram_unref(fixture->ram);
    fixture->ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, BLOCK, NULL);
    fixture->manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_non_null(fixture->manager);
    add(fixture, 0, &canceled_ops, 0, N_BLOCKS);
    assert_true(plug(fixture, 6, 3));
    g_string_truncate(fixture->log, 0);
    return (char *)pm_ram_get_host(fixture->ram) + 6 * BLOCK;
}

static void a_host_that_does_not_free_the_memory_cancels(void **state)
{
    Fixture fixture;
    char *page = set_up_anonymous(&fixture);

    (void)state;
    lock_page(page);
    assert_false(unplug(&fixture, 6, 3));
    assert_log(&fixture, "a~6,3 a-6,3 a+6,3 a!6,3 ");
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a~6,3 a-6,3 a+6,3 a!6,3 ");
    unlock_page(page);
    assert_true(source_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

/* --- discard_all --- */

static void an_objection_to_discarding_all_cancels_in_reverse(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    fixture.listeners[2].refuse_discard = true;
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a~1,2 a~6,3 b~1,2 b~6,3 c~1,2 b!6,3 b!1,2 a!6,3 a!1,2 ");
    fixture_clear(&fixture);
}

static bool object_to_block_6(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    if (offset != 6 * BLOCK)
        return canceled_ops.can_discard(user_data, offset, size, error);
    g_set_error(error, PM_ERROR, PM_ERROR_BUSY, "I/O is in flight");
    return false;
}

static void an_objection_to_a_later_run_cancels_those_of_the_same_listener(void **state)
{
    PmDiscardListenerOps ops = canceled_ops;
    Fixture fixture;

    (void)state;
    ops.can_discard = object_to_block_6;
    fixture_init(&fixture);
    add(&fixture, 0, &canceled_ops, 0, N_BLOCKS);
    add(&fixture, 1, &ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 1, 2) && plug(&fixture, 6, 3));
    g_string_truncate(fixture.log, 0);
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a~1,2 a~6,3 b~1,2 b!1,2 a!6,3 a!1,2 ");
    fixture_clear(&fixture);
}

static void a_listener_that_fails_to_drop_all_cancels_for_all(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    fail_next(&fixture, 1, 1);
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, ASKED_ABOUT_ALL "a-1,2 a-6,3 a+6,3 a+1,2 " CANCELED_FOR_ALL);
    check_views(&fixture);
    fixture_clear(&fixture);
}

/* --- a source that is added --- */

static PmDiscardSource *add_empty_source(Fixture *fixture)
{
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config), .name = "empty", .granularity = BLOCK};

    return pm_discard_manager_add_source(fixture->manager, &config, NULL);
}

static void an_objection_to_a_new_source_cancels_in_reverse(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    fixture.listeners[2].refuse_discard = true;
    assert_null(add_empty_source(&fixture));
    assert_log(&fixture, "a~1,2 b~1,2 c~1,2 b!1,2 a!1,2 ");
    fixture_clear(&fixture);
}

static void a_listener_that_fails_to_follow_a_new_source_cancels_for_all(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    fail_next(&fixture, 1, 1);
    assert_null(add_empty_source(&fixture));
    assert_log(&fixture, "a~1,2 b~1,2 c~1,2 a~6,3 b~6,3 c~6,3 a-1,2 a+1,2 "
                         "c!6,3 b!6,3 a!6,3 c!1,2 b!1,2 a!1,2 ");
    fixture_clear(&fixture);
}

static void a_new_source_that_is_added_cancels_nothing(void **state)
{
    PmDiscardSource *source;
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    source = add_empty_source(&fixture);
    assert_non_null(source);
    assert_log(&fixture, "a~1,2 b~1,2 c~1,2 a~6,3 b~6,3 c~6,3 "
                         "a-1,2 b-1,2 c-1,2 a-6,3 b-6,3 c-6,3 ");
    assert_true(pm_discard_manager_remove_source(fixture.manager, source, NULL));
    fixture_clear(&fixture);
}

/* --- who is called --- */

static void the_range_is_that_of_the_question(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &canceled_ops, 4, 4);
    add(&fixture, 1, &canceled_ops, 20, 4);
    add(&fixture, 2, &canceled_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 2, 8));
    g_string_truncate(fixture.log, 0);
    fixture.listeners[2].refuse_discard = true;
    assert_false(unplug(&fixture, 2, 8));
    assert_log(&fixture, "a~4,4 c~2,8 a!4,4 ");
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a~4,4 c~2,8 a!4,4 ");
    fixture_clear(&fixture);
}

static void without_can_discard_it_is_not_called(void **state)
{
    PmDiscardListenerOps ops = canceled_ops;
    Fixture fixture;

    (void)state;
    ops.can_discard = NULL;
    fixture_init(&fixture);
    add(&fixture, 0, &ops, 0, N_BLOCKS);
    add(&fixture, 1, &objecting_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 6, 3));
    g_string_truncate(fixture.log, 0);
    fixture.listeners[1].refuse_discard = true;
    assert_false(unplug(&fixture, 6, 3));
    assert_log(&fixture, "b~6,3 ");
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "b~6,3 ");
    fixture_clear(&fixture);
}

/* What follows the struct of such a program is not a callback. */
static void a_listener_of_an_older_program_is_not_canceled(void **state)
{
    PmDiscardListenerOps ops = canceled_ops;
    Fixture fixture;

    (void)state;
    ops.struct_size = offsetof(PmDiscardListenerOps, cancel_discard);
    fixture_init(&fixture);
    add(&fixture, 0, &ops, 0, N_BLOCKS);
    add(&fixture, 1, &objecting_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 6, 3));
    g_string_truncate(fixture.log, 0);
    fixture.listeners[1].refuse_discard = true;
    assert_false(unplug(&fixture, 6, 3));
    assert_log(&fixture, "a~6,3 b~6,3 ");
    fixture_clear(&fixture);
}

static void a_failed_populate_cancels_nothing(void **state)
{
    Fixture fixture;

    (void)state;
    set_up(&fixture);
    fail_next(&fixture, 1, 1);
    assert_false(plug(&fixture, 10, 1));
    assert_log(&fixture, "a+10,1 a-10,1 ");
    fixture_clear(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_discard_that_happens_is_not_canceled),
        cmocka_unit_test(an_objection_cancels_for_those_asked_before),
        cmocka_unit_test(an_objection_to_the_second_run_cancels_the_first),
        cmocka_unit_test(a_listener_that_fails_cancels_for_all_after_rollback),
        cmocka_unit_test(a_listener_that_fails_in_the_second_run_cancels_both),
        cmocka_unit_test(a_failed_rollback_cancels_for_all),
        cmocka_unit_test(a_host_that_does_not_free_the_memory_cancels),
        cmocka_unit_test(an_objection_to_discarding_all_cancels_in_reverse),
        cmocka_unit_test(an_objection_to_a_later_run_cancels_those_of_the_same_listener),
        cmocka_unit_test(a_listener_that_fails_to_drop_all_cancels_for_all),
        cmocka_unit_test(an_objection_to_a_new_source_cancels_in_reverse),
        cmocka_unit_test(a_listener_that_fails_to_follow_a_new_source_cancels_for_all),
        cmocka_unit_test(a_new_source_that_is_added_cancels_nothing),
        cmocka_unit_test(the_range_is_that_of_the_question),
        cmocka_unit_test(without_can_discard_it_is_not_called),
        cmocka_unit_test(a_listener_of_an_older_program_is_not_canceled),
        cmocka_unit_test(a_failed_populate_cancels_nothing),
    };

    return cmocka_run_group_tests_name("discard_cancel", tests, NULL, NULL);
}
