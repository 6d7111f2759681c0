/* SPDX-License-Identifier: MIT */
#include "account_util.h"

#include "base/error_text.h"

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
        return pm_fail(error, PM_ERROR_UNMAP_MISMATCH, "the account is not settled");
    if (!account->settles_nothing)
        account->unknown_size = 0;
    return true;
}

/* As @discard of a listener without @discard_all: nothing in the range is unknown any more. */
static bool discard_run(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Account *account = user_data;

    account->n_dropped++;
    if (account->keeps_failing)
        return pm_fail(error, PM_ERROR_UNMAP_MISMATCH, "the account is not settled");
    if (!account->settles_nothing && account->unknown_offset >= offset &&
        account->unknown_offset + account->unknown_size <= offset + size)
        account->unknown_size = 0;
    return true;
}

/* One block is unknown afterwards, all others are known, and the error is another one. */
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

const PmDiscardListenerOps account_ops = {
    .struct_size = sizeof(account_ops),
    .populate = populate,
    .discard = discard,
    .discard_all = discard_all,
    .next_unknown = next_unknown,
    .free = count_freed,
};

const PmDiscardListenerOps run_ops = {
    .struct_size = sizeof(run_ops),
    .populate = populate,
    .discard = discard_run,
    .next_unknown = next_unknown,
    .free = count_freed,
};

const PmDiscardListenerOps plainly_failing_ops = {
    .struct_size = sizeof(plainly_failing_ops),
    .populate = populate,
    .discard = discard,
    .discard_all = fail_plainly,
    .next_unknown = next_unknown,
    .free = count_freed,
};

void assert_quarantined(const Fixture *fixture, uint64_t first, uint64_t n_blocks)
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
