/* SPDX-License-Identifier: MIT */
/* Everything is discarded, or nothing, even with unknown blocks and partly discarded memory: what
 * is in quarantine then, and which error is reported. */
#include <string.h>
#include <sys/mman.h>

#include "account_util.h"
#include "util/locked_page.h"
#include "util/source_util.h"

static PmDiscardListener *follow_with(Fixture *fixture, const PmDiscardListenerOps *ops,
                                      Account *account)
{
    PmDiscardListener *listener =
        pm_discard_manager_register(fixture->manager, ops, account, "the account", 0, SIZE, NULL);

    assert_non_null(listener);
    return listener;
}

static void assert_code(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, \"%s\"; expected code %d, \"%s\"", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}

/* --- unknown blocks --- */

static void unknown_blocks_are_dropped_without_discard_all(void **state)
{
    Fixture fixture;
    Account account = {.fail_in = 1};

    (void)state;
    fixture_init(&fixture);
    follow_with(&fixture, &run_ops, &account);
    touch(&fixture, 2, 2);
    assert_false(plug(&fixture, 2, 2));
    assert_quarantined(&fixture, 2, 2);
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_dropped, 1);
    assert_quarantined(&fixture, 0, 0);
    assert_int_equal(resident(&fixture), 0);
    fixture_clear(&fixture);
}

/* Adjacent unknown blocks, populated or not, are one run. */
static void unknown_and_populated_blocks_are_dropped_together(void **state)
{
    Fixture fixture;
    Account account = {0};

    (void)state;
    fixture_init(&fixture);
    follow_with(&fixture, &run_ops, &account);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 5, 2));
    account.unknown_offset = 2 * BLOCK;
    account.unknown_size = 3 * BLOCK;
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_dropped, 1);
    assert_quarantined(&fixture, 0, 0);
    fixture_clear(&fixture);
}

static void memory_is_kept_while_a_listener_reports_unknown_blocks(void **state)
{
    static const PmDiscardListenerOps *const ops[] = {&run_ops, &account_ops};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        Fixture fixture;
        Account account = {.settles_nothing = true};
        GError *error = NULL;

        fixture_init(&fixture);
        add(&fixture, 0, &all_ops, 0, N_BLOCKS);
        follow_with(&fixture, ops[i], &account);
        assert_true(plug(&fixture, 2, 3));
        touch(&fixture, 2, 3);
        account.unknown_offset = 2 * BLOCK;
        account.unknown_size = 2 * BLOCK;
        assert_false(source_discard_all(fixture.manager, &error));
        assert_code(&error, PM_ERROR_QUARANTINED, "why it does not know");
        assert_int_equal(resident(&fixture), 3 * BLOCK);
        assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 3 * BLOCK);
        check_views(&fixture);
        account.settles_nothing = false;
        assert_true(source_discard_all(fixture.manager, NULL));
        assert_int_equal(resident(&fixture), 0);
        assert_quarantined(&fixture, 0, 0);
        fixture_clear(&fixture);
    }
}

static void memory_is_kept_while_a_dropped_listener_reports_unknown_blocks(void **state)
{
    Fixture fixture;
    Account account = {.settles_nothing = true};
    PmDiscardListener *listener;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    listener = follow_with(&fixture, &run_ops, &account);
    assert_true(plug(&fixture, 2, 2) && plug(&fixture, 8, 1));
    touch(&fixture, 2, 2);
    account.unknown_offset = 2 * BLOCK;
    account.unknown_size = 2 * BLOCK;
    pm_discard_manager_drop(fixture.manager, listener);
    account.n_populated = 0;
    assert_false(source_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "pm_iommu_settle()");
    /* Only what it reports, and nothing is undone. */
    assert_int_equal(account.n_dropped, 1);
    assert_int_equal(account.n_populated, 0);
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    account.settles_nothing = false;
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_freed, 1);
    fixture_clear(&fixture);
}

static void listener_with_unknown_blocks_is_not_unregistered(void **state)
{
    Fixture fixture;
    Account account = {.settles_nothing = true};
    PmDiscardListener *listener;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    listener = follow_with(&fixture, &account_ops, &account);
    account.unknown_offset = 2 * BLOCK;
    account.unknown_size = 2 * BLOCK;
    assert_false(pm_discard_manager_unregister(fixture.manager, listener, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "why it does not know");
    assert_int_equal(account.n_freed, 0);
    assert_quarantined(&fixture, 2, 2);
    account.settles_nothing = false;
    assert_true(pm_discard_manager_unregister(fixture.manager, listener, NULL));
    fixture_clear(&fixture);
}

/* --- one call ends one quarantine and begins another --- */

static void failed_redo_is_reported_although_other_losses_ended(void **state)
{
    Fixture fixture;
    Account account = {0};
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    follow_with(&fixture, &account_ops, &account);
    add(&fixture, 1, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 1, 2) && plug(&fixture, 8, 1));
    account.unknown_offset = BLOCK;
    account.unknown_size = 2 * BLOCK;
    account.refused = 8 * BLOCK;
    fixture.listeners[1].fail_in = 1;
    fixture.listeners[1].fail_with = PM_ERROR_PERMISSION;
    assert_false(source_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "listener b objects");
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), BLOCK);
    account.refused = 0;
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_quarantined(&fixture, 0, 0);
    fixture_clear(&fixture);
}

static void unknown_blocks_of_the_failing_listener_decide_the_code(void **state)
{
    Fixture fixture;
    Account account = {0};
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    follow_with(&fixture, &plainly_failing_ops, &account);
    assert_true(plug(&fixture, 1, 2) && plug(&fixture, 8, 1));
    account.unknown_offset = BLOCK;
    account.unknown_size = 2 * BLOCK;
    assert_false(source_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "no such call");
    assert_quarantined(&fixture, 8, 1);
    fixture_clear(&fixture);
}

/* As everything is as before, the cause is reported as it is. */
static void failure_of_another_listener_keeps_its_code(void **state)
{
    Fixture fixture;
    Account account = {0};
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    follow_with(&fixture, &account_ops, &account);
    assert_true(plug(&fixture, 1, 2));
    account.unknown_offset = BLOCK;
    account.unknown_size = 2 * BLOCK;
    fixture.listeners[0].fail_in = 1;
    fixture.listeners[0].fail_with = PM_ERROR_PERMISSION;
    assert_false(source_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_PERMISSION, "listener a objects");
    assert_quarantined(&fixture, 1, 2);
    assert_true(source_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

/* --- memory that is lost although discarding it failed --- */

/* The second half of this memory is not shared: MADV_REMOVE stops there. */
static void init_with_partly_discardable_memory(Fixture *fixture, char *host)
{
    const PmRamAdoption adoption = {
        .struct_size = sizeof(adoption), .host = host, .size = SIZE, .shared = true};

    fixture_init(fixture);
    pm_discard_manager_unref(fixture->manager);
    pm_ram_unref(fixture->ram);
    fixture->ram = pm_ram_adopt(&adoption, NULL);
    fixture->manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_non_null(fixture->manager);
    assert_ptr_equal(mmap(host + SIZE / 2, SIZE / 2, PROT_READ | PROT_WRITE,
                          MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                     host + SIZE / 2);
}

static void blocks_that_may_have_lost_their_contents_are_quarantined(void **state)
{
    char *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    init_with_partly_discardable_memory(&fixture, host);
    assert_true(plug(&fixture, 0, N_BLOCKS));
    assert_false(source_discard(fixture.manager, SIZE / 2 - BLOCK, 2 * BLOCK, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    g_clear_error(&error);
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 2 * BLOCK);
    assert_true(pm_discard_manager_is_populated(fixture.manager, 0, SIZE));
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), SIZE);
    fixture_clear(&fixture);
    (void)munmap(host, SIZE);
}

/* Not the unplugged blocks between them. */
static void every_run_that_a_reset_may_have_discarded_is_quarantined(void **state)
{
    char *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Fixture fixture;

    (void)state;
    init_with_partly_discardable_memory(&fixture, host);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 5, 1));
    assert_true(plug(&fixture, N_BLOCKS - 1, 1));
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 4 * BLOCK);
    fixture_clear(&fixture);
    (void)munmap(host, SIZE);
}

/* --- a failure that leaves nothing in quarantine has another code --- */

static void memory_of_unplugged_blocks_has_no_contents_to_lose(void **state)
{
    char *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    init_with_partly_discardable_memory(&fixture, host);
    assert_false(source_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_MEMORY, "cannot discard 2M");
    assert_quarantined(&fixture, 0, 0);
    fixture_clear(&fixture);
    (void)munmap(host, SIZE);
}

/* A failed reset has freed it. */
static void memory_that_leaves_quarantine_meanwhile_is_not_reported(void **state)
{
    char *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Account account = {.refused = BLOCK};
    GError *error = NULL;
    Fixture fixture;

    (void)state;
    init_with_partly_discardable_memory(&fixture, host);
    follow_with(&fixture, &account_ops, &account);
    lock_page(host + BLOCK);
    assert_false(plug(&fixture, 1, 1));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), BLOCK);
    unlock_page(host + BLOCK);
    assert_false(source_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_MEMORY, "cannot discard 2M");
    assert_quarantined(&fixture, 0, 0);
    fixture_clear(&fixture);
    (void)munmap(host, SIZE);
}

static bool populate_and_know(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    ((Account *)user_data)->unknown_size = 0;
    return account_ops.populate(user_data, offset, size, error);
}

static void listener_that_knows_again_leaves_nothing_in_quarantine(void **state)
{
    PmDiscardListenerOps ops = account_ops;
    Account account = {.settles_nothing = true};
    GError *error = NULL;
    Fixture fixture;

    (void)state;
    ops.populate = populate_and_know;
    fixture_init(&fixture);
    follow_with(&fixture, &ops, &account);
    assert_true(plug(&fixture, 2, 2));
    account.unknown_offset = 2 * BLOCK;
    account.unknown_size = 2 * BLOCK;
    assert_false(source_discard_all(fixture.manager, &error));
    assert_string_equal(pm_error_get_listener(error), "the account");
    assert_code(&error, PM_ERROR_LISTENER, "why it does not know");
    assert_quarantined(&fixture, 0, 0);
    account.settles_nothing = false;
    fixture_clear(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_blocks_are_dropped_without_discard_all),
        cmocka_unit_test(unknown_and_populated_blocks_are_dropped_together),
        cmocka_unit_test(memory_is_kept_while_a_listener_reports_unknown_blocks),
        cmocka_unit_test(memory_is_kept_while_a_dropped_listener_reports_unknown_blocks),
        cmocka_unit_test(listener_with_unknown_blocks_is_not_unregistered),
        cmocka_unit_test(failed_redo_is_reported_although_other_losses_ended),
        cmocka_unit_test(unknown_blocks_of_the_failing_listener_decide_the_code),
        cmocka_unit_test(failure_of_another_listener_keeps_its_code),
        cmocka_unit_test(blocks_that_may_have_lost_their_contents_are_quarantined),
        cmocka_unit_test(every_run_that_a_reset_may_have_discarded_is_quarantined),
        cmocka_unit_test(memory_of_unplugged_blocks_has_no_contents_to_lose),
        cmocka_unit_test(memory_that_leaves_quarantine_meanwhile_is_not_reported),
        cmocka_unit_test(listener_that_knows_again_leaves_nothing_in_quarantine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
