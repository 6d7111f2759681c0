/* SPDX-License-Identifier: MIT */
/* What a discard manager does when listeners fail: rollback or quarantine. */
#include "discard_util.h"

#include <string.h>

#include "util/random_util.h"
#include "util/source_util.h"

static void a_failed_populate_is_undone_in_reverse_order(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    for (unsigned i = 0; i < N_LISTENERS; i++)
        add(&fixture, i, &plain_ops, 0, N_BLOCKS);
    fixture.listeners[2].fail_in = 1;
    fixture.listeners[2].fail_with = PM_ERROR_BUSY;
    touch(&fixture, 4, 2);
    assert_false(plug(&fixture, 4, 2));
    assert_log(&fixture, "a+4,2 b+4,2 b-4,2 a-4,2 ");
    assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 0);
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    /* What a listener may have faulted in was freed. */
    assert_int_equal(resident(&fixture), 0);
    check_views(&fixture);
    assert_true(plug(&fixture, 4, 2));
    fixture_clear(&fixture);
}

static void a_failed_discard_is_redone_and_keeps_the_memory(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    for (unsigned i = 0; i < N_LISTENERS; i++)
        add(&fixture, i, &plain_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 0, 8));
    touch(&fixture, 0, 8);
    g_string_truncate(fixture.log, 0);
    fixture.listeners[2].fail_in = 1;
    fixture.listeners[2].fail_with = PM_ERROR_KERNEL;
    assert_false(unplug(&fixture, 2, 4));
    assert_log(&fixture, "a-2,4 b-2,4 b+2,4 a+2,4 ");
    assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 8 * BLOCK);
    assert_int_equal(resident(&fixture), 8 * BLOCK);
    check_views(&fixture);
    assert_true(unplug(&fixture, 2, 4));
    assert_int_equal(resident(&fixture), 4 * BLOCK);
    fixture_clear(&fixture);
}

static void a_failed_discard_all_is_redone(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&fixture, 1, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 7, 3));
    fixture.listeners[1].fail_in = 1;
    fixture.listeners[1].fail_with = PM_ERROR_KERNEL;
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 5 * BLOCK);
    check_views(&fixture);
    /* Without discard_all, too. */
    fixture.listeners[0].fail_in = 2;
    fixture.listeners[0].fail_with = PM_ERROR_KERNEL;
    assert_false(source_discard_all(fixture.manager, NULL));
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void blocks_that_are_neither_undone_nor_redone_are_quarantined(void **state)
{
    Fixture fixture;
    uint64_t offset;
    uint64_t size;
    g_autofree char *listener = NULL;
    g_autofree char *reason = NULL;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    add(&fixture, 1, &all_ops, 0, N_BLOCKS);
    /* a is notified, b fails, and undoing a fails. */
    fixture.listeners[0].fail_in = 2;
    fixture.listeners[0].fail_with = PM_ERROR_KERNEL;
    fixture.listeners[1].fail_in = 1;
    fixture.listeners[1].fail_with = PM_ERROR_LIMIT;
    assert_false(source_populate(fixture.manager, 4 * BLOCK, 2 * BLOCK, 0, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    assert_non_null(strstr(error->message, "listener b objects"));
    g_clear_error(&error);
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 2 * BLOCK);
    assert_true(pm_discard_manager_next_quarantined(fixture.manager, 0, &offset, &size, &listener,
                                                    &reason));
    assert_int_equal(offset, 4 * BLOCK);
    assert_int_equal(size, 2 * BLOCK);
    assert_string_equal(listener, "a listener of the test");
    assert_non_null(strstr(reason, "listener a objects"));
    assert_false(pm_discard_manager_next_quarantined(fixture.manager, 6 * BLOCK, &offset, &size,
                                                     NULL, NULL));
    /* Populate fails; not for its neighbors. */
    assert_false(source_populate(fixture.manager, 5 * BLOCK, BLOCK, 0, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    g_clear_error(&error);
    assert_true(plug(&fixture, 6, 1));
    /* A successful reset ends it. */
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    assert_true(plug(&fixture, 4, 3));
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void memory_in_quarantine_is_not_discarded(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    touch(&fixture, 4, 2);
    fixture.listeners[0].fail_in = 1;
    fixture.listeners[0].fail_with = PM_ERROR_QUARANTINED;
    assert_false(plug(&fixture, 4, 2));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 2 * BLOCK);
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    fixture_clear(&fixture);
}

static void a_failed_unregister_notifies_the_listener_again(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 7, 3));
    fixture.listeners[0].fail_in = 2;
    fixture.listeners[0].fail_with = PM_ERROR_KERNEL;
    assert_false(pm_discard_manager_unregister(fixture.manager, fixture.listeners[0].handle, NULL));
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void a_failed_registration_is_undone(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 5, 1));
    assert_true(plug(&fixture, 8, 4));
    for (int nth = 1; nth <= 3; nth++) {
        GError *error = NULL;

        fixture.listeners[0].fail_in = nth;
        fixture.listeners[0].fail_with = PM_ERROR_LIMIT;
        assert_false(try_add(&fixture, 0, &plain_ops, 0, N_BLOCKS, &error));
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_LIMIT));
        g_error_free(error);
        for (unsigned block = 0; block < N_BLOCKS; block++)
            assert_false(fixture.listeners[0].has[block]);
    }
    g_string_truncate(fixture.log, 0);
    assert_true(unplug(&fixture, 1, 2));
    assert_log(&fixture, "");
    fixture_clear(&fixture);
}

static void a_registration_ends_with_the_first_run_that_fails(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 5, 1));
    assert_true(plug(&fixture, 8, 4));
    fixture.listeners[0].fail_in = 2;
    fixture.listeners[0].fail_with = PM_ERROR_LIMIT;
    assert_false(try_add(&fixture, 0, &plain_ops, 0, N_BLOCKS, NULL));
    assert_log(&fixture, "a+1,2 a-1,2 ");
    fixture_clear(&fixture);
}

static void prefaulted_memory_is_discarded_after_an_objection(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    fixture.listeners[0].fail_in = 1;
    fixture.listeners[0].fail_with = PM_ERROR_LIMIT;
    assert_false(source_populate(fixture.manager, 0, 2 * BLOCK, 1, NULL));
    assert_int_equal(resident(&fixture), 0);
    assert_true(source_populate(fixture.manager, 0, 2 * BLOCK, 1, NULL));
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    fixture_clear(&fixture);
}

/* Random changes with random failures, compared with an array of bools. */
static void differential_fuzzing_keeps_all_views_equal(void **state)
{
    g_autoptr(GRand) rand = random_new("discard_manager");
    bool model[N_BLOCKS] = {false};
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&fixture, 1, &all_ops, 3, 20);
    add(&fixture, 2, &plain_ops, 10, 22);
    for (unsigned step = 0; step < random_steps(300000); step++) {
        uint64_t first = (uint64_t)g_rand_int_range(rand, 0, N_BLOCKS);
        uint64_t n_blocks = (uint64_t)g_rand_int_range(rand, 1, (gint32)(N_BLOCKS - first) + 1);
        Listener *listener = &fixture.listeners[g_rand_int_range(rand, 0, N_LISTENERS)];
        bool value = g_rand_boolean(rand);
        bool everything = g_rand_int_range(rand, 0, 50) == 0;
        bool legal = true;
        bool done;

        /* One failure at most, so that rollback succeeds. */
        listener->fail_in = g_rand_int_range(rand, 0, 4) == 0;
        listener->fail_with = PM_ERROR_LIMIT;
        for (uint64_t i = first; i < first + n_blocks && !everything; i++)
            legal = legal && model[i] != value;
        if (everything)
            done = source_discard_all(fixture.manager, NULL);
        else
            done = value ? plug(&fixture, first, n_blocks) : unplug(&fixture, first, n_blocks);
        assert_true(legal || !done);
        if (done && everything)
            memset(model, 0, sizeof(model));
        for (uint64_t i = first; i < first + n_blocks && done && !everything; i++)
            model[i] = value;
        if (!done && legal)
            assert_int_equal(listener->fail_in, 0);
        listener->fail_in = 0;
        for (uint64_t i = 0; i < N_BLOCKS; i++)
            assert_int_equal(is_populated(&fixture, i), model[i]);
        check_views(&fixture);
        g_string_truncate(fixture.log, 0);
    }
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    fixture_clear(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_populate_is_undone_in_reverse_order),
        cmocka_unit_test(a_failed_discard_is_redone_and_keeps_the_memory),
        cmocka_unit_test(a_failed_discard_all_is_redone),
        cmocka_unit_test(blocks_that_are_neither_undone_nor_redone_are_quarantined),
        cmocka_unit_test(memory_in_quarantine_is_not_discarded),
        cmocka_unit_test(a_failed_unregister_notifies_the_listener_again),
        cmocka_unit_test(a_failed_registration_is_undone),
        cmocka_unit_test(a_registration_ends_with_the_first_run_that_fails),
        cmocka_unit_test(prefaulted_memory_is_discarded_after_an_objection),
        cmocka_unit_test(differential_fuzzing_keeps_all_views_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
