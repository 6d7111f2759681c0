/* SPDX-License-Identifier: MIT */
/* Listeners that account themselves for blocks of which they do not know what they have: quarantine
 * is what they say, as long as they say it, also when their owner has left. */
#include "discard_util.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error_text.h"

/* What is unknown lies in one run. */
typedef struct {
    uint64_t unknown_offset;
    uint64_t unknown_size; /* 0: nothing is unknown */
    int fail_in;           /* the n-th call from now on loses its range; 0: none */
    bool keeps_failing;    /* discard_all does not find out either */
    bool settles_nothing;  /* says that all is dropped, and that it does not know */
    uint64_t refused;      /* populate of a range that begins here fails; 0: none does */
    unsigned n_populated;  /* calls */
    unsigned n_dropped;
    unsigned n_freed;
} Account;

static bool lose(Account *account, uint64_t offset, uint64_t size, GError **error)
{
    if (account->fail_in == 0 || --account->fail_in > 0)
        return false;
    account->unknown_offset = offset;
    account->unknown_size = size;
    return !pm_fail(error, PM_ERROR_QUARANTINED, "the account is lost");
}

static bool populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Account *account = user_data;

    account->n_populated++;
    if (account->refused != 0 && offset == account->refused)
        return pm_fail(error, PM_ERROR_MEMORY, "no memory");
    return !lose(account, offset, size, error);
}

static bool discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    return !lose(user_data, offset, size, error);
}

static bool discard_all(void *user_data, GError **error)
{
    Account *account = user_data;

    account->n_dropped++;
    if (account->keeps_failing)
        return pm_fail(error, PM_ERROR_UNMAP_MISMATCH, "the account cannot be settled");
    if (!account->settles_nothing)
        account->unknown_size = 0;
    return true;
}

/* What a listener without a call for all does: it finds out what is unknown in the range. */
static bool discard_run(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Account *account = user_data;

    account->n_dropped++;
    if (account->keeps_failing)
        return pm_fail(error, PM_ERROR_UNMAP_MISMATCH, "the account cannot be settled");
    if (!account->settles_nothing && account->unknown_offset >= offset &&
        account->unknown_offset + account->unknown_size <= offset + size)
        account->unknown_size = 0;
    return true;
}

/* Loses its account of one block, finds out about all others, and names a cause beside that. */
static bool fail_plainly(void *user_data, GError **error)
{
    Account *account = user_data;

    account->unknown_offset = 8 * BLOCK;
    account->unknown_size = BLOCK;
    return pm_fail(error, PM_ERROR_KERNEL, "no such call");
}

static bool next_unknown(void *user_data, uint64_t offset, uint64_t *run_offset, uint64_t *run_size,
                         char **reason)
{
    const Account *account = user_data;
    uint64_t end = account->unknown_offset + account->unknown_size;

    if (account->unknown_size == 0 || end <= offset)
        return false;
    *run_offset = MAX(account->unknown_offset, offset);
    *run_size = end - *run_offset;
    if (reason != NULL)
        *reason = g_strdup("why it does not know");
    return true;
}

static void count_freed(void *user_data)
{
    Account *account = user_data;

    account->n_freed++;
}

static const PmDiscardListenerOps account_ops = {
    .populate = populate,
    .discard = discard,
    .discard_all = discard_all,
    .next_unknown = next_unknown,
    .free = count_freed,
};

static const PmDiscardListenerOps run_ops = {
    .populate = populate,
    .discard = discard_run,
    .next_unknown = next_unknown,
    .free = count_freed,
};

static const PmDiscardListenerOps plainly_failing_ops = {
    .populate = populate,
    .discard = discard,
    .discard_all = fail_plainly,
    .next_unknown = next_unknown,
    .free = count_freed,
};

static PmDiscardListener *follow_with(Fixture *fixture, const PmDiscardListenerOps *ops,
                                      Account *account)
{
    PmDiscardListener *listener =
        pm_discard_manager_register(fixture->manager, ops, account, "the account", 0, SIZE, NULL);

    assert_non_null(listener);
    return listener;
}

static PmDiscardListener *follow(Fixture *fixture, Account *account, GError **error)
{
    return pm_discard_manager_register(fixture->manager, &account_ops, account, "the account", 0,
                                       SIZE, error);
}

static void assert_quarantined(const Fixture *fixture, uint64_t first, uint64_t n_blocks)
{
    uint64_t offset;
    uint64_t size;
    g_autofree char *listener = NULL;
    g_autofree char *reason = NULL;

    assert_int_equal(pm_discard_manager_get_quarantined(fixture->manager), n_blocks * BLOCK);
    if (n_blocks == 0)
        return;
    assert_true(pm_discard_manager_next_quarantined(fixture->manager, 0, &offset, &size, &listener,
                                                    &reason));
    assert_int_equal(offset, first * BLOCK);
    assert_int_equal(size, n_blocks * BLOCK);
    assert_string_equal(listener, "the account");
    assert_string_equal(reason, "why it does not know");
}

static void quarantine_is_what_a_listener_says_while_it_says_it(void **state)
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

/* It may say more than it was asked. */
static void what_a_listener_does_not_know_ends_with_its_range(void **state)
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
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

static void blocks_are_handed_out_again_when_the_listener_knows(void **state)
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
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

/* Memory that could not go back because somebody might have had it mapped goes later. */
static void memory_goes_back_when_the_listener_knows_again(void **state)
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
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

/* Whatever else is done, and makes the manager try again. */
static void memory_stays_as_long_as_the_listener_does_not_know(void **state)
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
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(resident(&fixture), 0);
    fixture_clear(&fixture);
}

static void listener_that_could_not_be_registered_is_asked_on(void **state)
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
    /* It hears of nothing but a reset. */
    account.n_populated = 0;
    assert_true(plug(&fixture, 8, 1));
    assert_int_equal(account.n_populated, 0);
    account.keeps_failing = true;
    assert_false(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_dropped, 1);
    assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 4 * BLOCK);
    account.keeps_failing = false;
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_freed, 1);
    assert_quarantined(&fixture, 0, 0);
    fixture_clear(&fixture);
}

static void listener_that_objects_to_its_registration_is_freed(void **state)
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

/* It is not as it was notified, which nobody expects of it any more. */
static void blocks_that_a_dropped_listener_does_not_have_are_in_order(void **state)
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
    assert_false(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 4 * BLOCK);
    account.unknown_offset = 12 * BLOCK;
    account.unknown_size = BLOCK;
    pm_discard_manager_drop(fixture.manager, listener);
    assert_quarantined(&fixture, 12, 1);
    assert_true(unplug(&fixture, 2, 4));
    account.unknown_size = 0;
    fixture_clear(&fixture);
}

static void manager_that_goes_frees_listeners_that_do_not_know(void **state)
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

/* One that keeps no account cannot be asked: what it has lost stays until everything goes. */
static void losses_of_a_dropped_listener_without_account_stay(void **state)
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
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    fixture_clear(&fixture);
}

static void the_first_of_what_several_have_lost_is_told(void **state)
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
        assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
        fixture_clear(&fixture);
    }
}

/* Nor can it be asked what it still has. */
static void what_a_dropped_listener_without_account_had_is_quarantined(void **state)
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
    assert_false(pm_discard_manager_discard(fixture.manager, 4 * BLOCK, BLOCK, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    g_clear_error(&error);
    assert_true(unplug(&fixture, 2, 2));
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    memset(listener->has, 0, sizeof(listener->has));
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    fixture_clear(&fixture);
}

/* --- everything goes, or nothing does --- */

static void assert_code(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, \"%s\"; expected code %d, \"%s\"", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}

static void unknown_blocks_are_dropped_by_who_has_no_call_for_all(void **state)
{
    Fixture fixture;
    Account account = {.fail_in = 1};

    (void)state;
    fixture_init(&fixture);
    follow_with(&fixture, &run_ops, &account);
    touch(&fixture, 2, 2);
    assert_false(plug(&fixture, 2, 2));
    assert_quarantined(&fixture, 2, 2);
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_dropped, 1);
    assert_quarantined(&fixture, 0, 0);
    assert_int_equal(resident(&fixture), 0);
    fixture_clear(&fixture);
}

/* Populated or not, and one beside the other, they are one run. */
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
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_dropped, 1);
    assert_quarantined(&fixture, 0, 0);
    fixture_clear(&fixture);
}

static void memory_stays_while_a_listener_says_that_it_does_not_know(void **state)
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
        assert_false(pm_discard_manager_discard_all(fixture.manager, &error));
        assert_code(&error, PM_ERROR_QUARANTINED, "why it does not know");
        assert_int_equal(resident(&fixture), 3 * BLOCK);
        assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 3 * BLOCK);
        check_views(&fixture);
        account.settles_nothing = false;
        assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
        assert_int_equal(resident(&fixture), 0);
        assert_quarantined(&fixture, 0, 0);
        fixture_clear(&fixture);
    }
}

static void memory_stays_while_a_dropped_listener_does_not_know(void **state)
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
    assert_false(pm_discard_manager_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "pm_iommu_settle()");
    /* Only of what it names itself, and it is not asked to take anything back. */
    assert_int_equal(account.n_dropped, 1);
    assert_int_equal(account.n_populated, 0);
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    account.settles_nothing = false;
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(account.n_freed, 1);
    fixture_clear(&fixture);
}

static void listener_that_does_not_know_is_not_unregistered(void **state)
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

/* --- one quarantine ends and another begins in the same call --- */

static void redo_that_fails_is_not_hidden_by_what_was_settled(void **state)
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
    assert_false(pm_discard_manager_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "listener b objects");
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), BLOCK);
    account.refused = 0;
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_quarantined(&fixture, 0, 0);
    fixture_clear(&fixture);
}

static void what_a_failing_listener_says_decides_the_code(void **state)
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
    assert_false(pm_discard_manager_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_QUARANTINED, "no such call");
    assert_quarantined(&fixture, 8, 1);
    fixture_clear(&fixture);
}

/* As everything is as before, its cause is not hidden. */
static void failure_of_another_keeps_its_code(void **state)
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
    assert_false(pm_discard_manager_discard_all(fixture.manager, &error));
    assert_code(&error, PM_ERROR_PERMISSION, "listener a objects");
    assert_quarantined(&fixture, 1, 2);
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

/* --- memory whose contents are gone though the host did not take it --- */

/* Shared memory, the second half of which is not: MADV_REMOVE ends there. */
static void init_with_memory_that_goes_in_part(Fixture *fixture, char *host)
{
    const PmRamAdoption adoption = {.host = host, .size = SIZE, .shared = true};

    fixture_init(fixture);
    pm_discard_manager_unref(fixture->manager);
    pm_ram_unref(fixture->ram);
    fixture->ram = pm_ram_adopt(&adoption, NULL);
    fixture->manager = pm_discard_manager_new(fixture->ram, BLOCK, NULL);
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
    init_with_memory_that_goes_in_part(&fixture, host);
    assert_true(plug(&fixture, 0, N_BLOCKS));
    assert_false(pm_discard_manager_discard(fixture.manager, SIZE / 2 - BLOCK, 2 * BLOCK, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    g_clear_error(&error);
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 2 * BLOCK);
    assert_true(pm_discard_manager_is_populated(fixture.manager, 0, SIZE));
    assert_false(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), SIZE);
    fixture_clear(&fixture);
    (void)munmap(host, SIZE);
}

/* Not what is unplugged between them. */
static void every_run_that_a_reset_may_have_emptied_is_quarantined(void **state)
{
    char *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Fixture fixture;

    (void)state;
    init_with_memory_that_goes_in_part(&fixture, host);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 5, 1));
    assert_true(plug(&fixture, N_BLOCKS - 1, 1));
    assert_false(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 4 * BLOCK);
    fixture_clear(&fixture);
    (void)munmap(host, SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quarantine_is_what_a_listener_says_while_it_says_it),
        cmocka_unit_test(what_a_listener_does_not_know_ends_with_its_range),
        cmocka_unit_test(blocks_are_handed_out_again_when_the_listener_knows),
        cmocka_unit_test(memory_goes_back_when_the_listener_knows_again),
        cmocka_unit_test(memory_stays_as_long_as_the_listener_does_not_know),
        cmocka_unit_test(listener_that_could_not_be_registered_is_asked_on),
        cmocka_unit_test(listener_that_objects_to_its_registration_is_freed),
        cmocka_unit_test(dropped_listener_is_asked_until_it_knows),
        cmocka_unit_test(dropped_listener_that_knows_all_is_freed_at_once),
        cmocka_unit_test(blocks_that_a_dropped_listener_does_not_have_are_in_order),
        cmocka_unit_test(manager_that_goes_frees_listeners_that_do_not_know),
        cmocka_unit_test(losses_of_a_dropped_listener_without_account_stay),
        cmocka_unit_test(the_first_of_what_several_have_lost_is_told),
        cmocka_unit_test(what_a_dropped_listener_without_account_had_is_quarantined),
        cmocka_unit_test(unknown_blocks_are_dropped_by_who_has_no_call_for_all),
        cmocka_unit_test(unknown_and_populated_blocks_are_dropped_together),
        cmocka_unit_test(memory_stays_while_a_listener_says_that_it_does_not_know),
        cmocka_unit_test(memory_stays_while_a_dropped_listener_does_not_know),
        cmocka_unit_test(listener_that_does_not_know_is_not_unregistered),
        cmocka_unit_test(redo_that_fails_is_not_hidden_by_what_was_settled),
        cmocka_unit_test(what_a_failing_listener_says_decides_the_code),
        cmocka_unit_test(failure_of_another_keeps_its_code),
        cmocka_unit_test(blocks_that_may_have_lost_their_contents_are_quarantined),
        cmocka_unit_test(every_run_that_a_reset_may_have_emptied_is_quarantined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
