/* SPDX-License-Identifier: MIT */
/* Listeners that report unknown blocks themselves: those blocks are in quarantine as long as they
 * report them, even after their owner is gone. */
#include <string.h>

#include "account_util.h"
#include "util/source_util.h"

static PmDiscardListener *follow(Fixture *fixture, Account *account, GError **error)
{
    return pm_discard_manager_register(fixture->manager, &account_ops, account, "the account", 0,
                                       SIZE, error);
}

static void quarantine_follows_the_listeners_reports(void **state)
{
    Fixture fixture;
    Account account = {0};
    PmDiscardListener *listener;

    (void)state;
    fixture_init(&fixture);
    listener = follow(&fixture, &account, NULL);
    assert_true(plug(&fixture, 2, 6));
    account.unknown_offset = 3 * BLOCK;
    account.unknown_size = 2 * BLOCK;
    assert_quarantined(&fixture, 3, 2);
    assert_false(unplug(&fixture, 4, 1));
    assert_true(unplug(&fixture, 5, 1));
    account.unknown_size = 0;
    assert_quarantined(&fixture, 0, 0);
    assert_true(unplug(&fixture, 3, 2));
    assert_true(pm_discard_manager_unregister(fixture.manager, listener, NULL));
    assert_int_equal(account.n_freed, 1);
    fixture_clear(&fixture);
}

/* It may report more than its range. */
static void unknown_blocks_are_clipped_to_the_listeners_range(void **state)
{
    Fixture fixture;
    Account account = {.unknown_offset = 6 * BLOCK, .unknown_size = 4 * BLOCK};

    (void)state;
    fixture_init(&fixture);
    assert_non_null(pm_discard_manager_register(fixture.manager, &account_ops, &account,
                                                "the account", 4 * BLOCK, 4 * BLOCK, NULL));
    assert_quarantined(&fixture, 6, 2);
    assert_true(plug(&fixture, 8, 2));
    account.unknown_size = 0;
    assert_true(source_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

static void blocks_can_be_populated_once_the_listener_knows(void **state)
{
    Fixture fixture;
    Account account = {0};

    (void)state;
    fixture_init(&fixture);
    assert_non_null(follow(&fixture, &account, NULL));
    account.fail_in = 1;
    assert_false(plug(&fixture, 2, 2));
    assert_quarantined(&fixture, 2, 2);
    assert_false(plug(&fixture, 3, 1));
    account.unknown_size = 0;
    assert_true(plug(&fixture, 2, 2));
    assert_quarantined(&fixture, 0, 0);
    assert_true(source_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

/* Memory that was not discarded because it might be mapped is discarded later. */
static void memory_is_freed_once_the_listener_knows(void **state)
{
    Fixture fixture;
    Account account = {0};

    (void)state;
    fixture_init(&fixture);
    assert_non_null(follow(&fixture, &account, NULL));
    touch(&fixture, 2, 2);
    account.fail_in = 1;
    assert_false(plug(&fixture, 2, 2));
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    account.unknown_size = 0;
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 2 * BLOCK);
    assert_true(plug(&fixture, 8, 1));
    assert_int_equal(resident(&fixture), 0);
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    assert_true(source_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

/* Whatever other call makes the manager retry. */
static void memory_is_kept_while_the_listener_does_not_know(void **state)
{
    Fixture fixture;
    Account account = {0};

    (void)state;
    fixture_init(&fixture);
    assert_non_null(follow(&fixture, &account, NULL));
    touch(&fixture, 2, 4);
    account.fail_in = 1;
    assert_false(plug(&fixture, 2, 4));
    account.unknown_size -= BLOCK;
    assert_true(plug(&fixture, 8, 1));
    assert_int_equal(resident(&fixture), 3 * BLOCK);
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 3 * BLOCK);
    account.unknown_size = 0;
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_int_equal(resident(&fixture), 0);
    fixture_clear(&fixture);
}

static void listener_with_a_failed_rollback_is_still_asked(void **state)
{
    Fixture fixture;
    Account account = {.fail_in = 2};
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    assert_true(plug(&fixture, 1, 1));
    assert_true(plug(&fixture, 4, 2));
    assert_null(follow(&fixture, &account, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    g_clear_error(&error);
    assert_quarantined(&fixture, 4, 2);
    assert_int_equal(account.n_freed, 0);
    /* It is only notified of a reset. */
    account.n_populated = 0;
    assert_true(plug(&fixture, 8, 1));
    assert_int_equal(account.n_populated, 0);
    account.keeps_failing = true;
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_dropped, 1);
    assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 4 * BLOCK);
    account.keeps_failing = false;
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_freed, 1);
    assert_quarantined(&fixture, 0, 0);
    fixture_clear(&fixture);
}

static void listener_that_rejects_its_registration_is_freed(void **state)
{
    Fixture fixture;
    Account account = {0};

    (void)state;
    fixture_init(&fixture);
    assert_true(plug(&fixture, 1, 1));
    account.fail_in = 1;
    account.unknown_size = 0;
    assert_null(pm_discard_manager_register(fixture.manager, &account_ops, &account, "the account",
                                            1, SIZE, NULL));
    assert_int_equal(account.n_freed, 1);
    fixture_clear(&fixture);
}

static void dropped_listener_is_asked_until_it_knows(void **state)
{
    Fixture fixture;
    Account account = {0};
    PmDiscardListener *listener;

    (void)state;
    fixture_init(&fixture);
    listener = follow(&fixture, &account, NULL);
    assert_true(plug(&fixture, 2, 4));
    account.unknown_offset = 2 * BLOCK;
    account.unknown_size = 4 * BLOCK;
    pm_discard_manager_drop(fixture.manager, listener);
    assert_int_equal(account.n_freed, 0);
    assert_quarantined(&fixture, 2, 4);
    assert_false(unplug(&fixture, 2, 1));
    assert_true(plug(&fixture, 8, 1));
    assert_int_equal(account.n_populated, 1);
    account.unknown_size = 0;
    assert_true(unplug(&fixture, 2, 4));
    assert_int_equal(account.n_freed, 1);
    assert_int_equal(account.n_dropped, 0);
    fixture_clear(&fixture);
}

static void dropped_listener_that_knows_all_is_freed_at_once(void **state)
{
    Fixture fixture;
    Account account = {0};

    (void)state;
    fixture_init(&fixture);
    pm_discard_manager_drop(fixture.manager, follow(&fixture, &account, NULL));
    assert_int_equal(account.n_freed, 1);
    fixture_clear(&fixture);
}

/* It need not have what it was notified of any more. */
static void blocks_unmapped_by_a_dropped_listener_leave_quarantine(void **state)
{
    Fixture fixture;
    Account account = {0};
    PmDiscardListener *listener;

    (void)state;
    fixture_init(&fixture);
    listener = follow(&fixture, &account, NULL);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 2, 4));
    account.refused = 2 * BLOCK;
    fixture.listeners[0].fail_in = 1;
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 4 * BLOCK);
    account.unknown_offset = 12 * BLOCK;
    account.unknown_size = BLOCK;
    pm_discard_manager_drop(fixture.manager, listener);
    assert_quarantined(&fixture, 12, 1);
    assert_true(unplug(&fixture, 2, 4));
    account.unknown_size = 0;
    fixture_clear(&fixture);
}

static void manager_frees_dropped_listeners_with_its_last_reference(void **state)
{
    Fixture fixture;
    Account account = {0};
    PmDiscardListener *listener;

    (void)state;
    fixture_init(&fixture);
    listener = follow(&fixture, &account, NULL);
    account.unknown_size = BLOCK;
    pm_discard_manager_drop(fixture.manager, listener);
    fixture_clear(&fixture);
    assert_int_equal(account.n_freed, 1);
}

/* One without next_unknown reports nothing: its losses stay until everything is discarded. */
static void losses_of_a_dropped_listener_without_next_unknown_stay(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 4, 2));
    fixture.listeners[0].fail_in = 1;
    fixture.listeners[0].fail_with = PM_ERROR_UNMAP_MISMATCH;
    assert_false(unplug(&fixture, 4, 1));
    pm_discard_manager_drop(fixture.manager, fixture.listeners[0].handle);
    fixture.listeners[0].handle = NULL;
    memset(fixture.listeners[0].has, 0, sizeof(fixture.listeners[0].has));
    assert_false(unplug(&fixture, 4, 1));
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    fixture_clear(&fixture);
}

static void the_first_of_several_losses_is_reported(void **state)
{
    const uint64_t firsts[] = {4, 12};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(firsts); i++) {
        Fixture fixture;
        Account account = {0};
        uint64_t offset;
        uint64_t size;

        fixture_init(&fixture);
        add(&fixture, 0, &all_ops, 0, N_BLOCKS);
        assert_non_null(follow(&fixture, &account, NULL));
        assert_true(plug(&fixture, 8, 2));
        fixture.listeners[0].fail_in = 1;
        fixture.listeners[0].fail_with = PM_ERROR_UNMAP_MISMATCH;
        assert_false(unplug(&fixture, 8, 1));
        account.unknown_offset = firsts[i] * BLOCK;
        account.unknown_size = BLOCK;
        assert_true(
            pm_discard_manager_next_quarantined(fixture.manager, 0, &offset, &size, NULL, NULL));
        assert_int_equal(offset, MIN(firsts[i], 8) * BLOCK);
        assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 2 * BLOCK);
        assert_true(source_discard_all(fixture.manager, NULL));
        fixture_clear(&fixture);
    }
}

/* Nor does it report what it still has. */
static void blocks_of_a_dropped_listener_without_next_unknown_are_quarantined(void **state)
{
    Fixture fixture;
    Listener *listener = &fixture.listeners[0];
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 4, 8);
    assert_true(plug(&fixture, 2, 4) && plug(&fixture, 7, 1));
    touch(&fixture, 2, 4);
    listener->fail_in = 1;
    listener->fail_with = PM_ERROR_KERNEL;
    assert_false(pm_discard_manager_unregister(fixture.manager, listener->handle, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    pm_discard_manager_drop(fixture.manager, listener->handle);
    listener->handle = NULL;
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 3 * BLOCK);
    assert_false(source_discard(fixture.manager, 4 * BLOCK, BLOCK, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    g_clear_error(&error);
    assert_true(unplug(&fixture, 2, 2));
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    memset(listener->has, 0, sizeof(listener->has));
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    fixture_clear(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quarantine_follows_the_listeners_reports),
        cmocka_unit_test(unknown_blocks_are_clipped_to_the_listeners_range),
        cmocka_unit_test(blocks_can_be_populated_once_the_listener_knows),
        cmocka_unit_test(memory_is_freed_once_the_listener_knows),
        cmocka_unit_test(memory_is_kept_while_the_listener_does_not_know),
        cmocka_unit_test(listener_with_a_failed_rollback_is_still_asked),
        cmocka_unit_test(listener_that_rejects_its_registration_is_freed),
        cmocka_unit_test(dropped_listener_is_asked_until_it_knows),
        cmocka_unit_test(dropped_listener_that_knows_all_is_freed_at_once),
        cmocka_unit_test(blocks_unmapped_by_a_dropped_listener_leave_quarantine),
        cmocka_unit_test(manager_frees_dropped_listeners_with_its_last_reference),
        cmocka_unit_test(losses_of_a_dropped_listener_without_next_unknown_stay),
        cmocka_unit_test(the_first_of_several_losses_is_reported),
        cmocka_unit_test(blocks_of_a_dropped_listener_without_next_unknown_are_quarantined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
