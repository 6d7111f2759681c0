/* SPDX-License-Identifier: MIT */
/*
 * Fails each call to a listener, then also each call of the rollback. After one failure everything
 * is as before; after two, what differs is in quarantine, and nothing else.
 */
#include "discard_util.h"

#include <string.h>

#include "memory/discard_manager_private.h"
#include "util/source_util.h"

/* Fails calls by their number, counted from 1 over all listeners. */
typedef struct {
    Fixture fixture;
    int n_calls;
    int fail_first;
    int fail_second; /* 0: none */
} Plan;

/* cmocka runs one test at a time. */
static Plan plan;

static bool call_fails(void)
{
    plan.n_calls++;
    return plan.n_calls == plan.fail_first || plan.n_calls == plan.fail_second;
}

static bool planned_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    if (call_fails()) {
        listener->fail_in = 1;
        listener->fail_with = PM_ERROR_LIMIT;
    }
    return plain_ops.populate(user_data, offset, size, error);
}

static bool planned_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    if (call_fails()) {
        listener->fail_in = 1;
        listener->fail_with = PM_ERROR_LIMIT;
    }
    return plain_ops.discard(user_data, offset, size, error);
}

static bool planned_discard_all(void *user_data, GError **error)
{
    Listener *listener = user_data;

    if (call_fails()) {
        listener->fail_in = 1;
        listener->fail_with = PM_ERROR_LIMIT;
    }
    return all_ops.discard_all(user_data, error);
}

static const PmDiscardListenerOps planned_ops = {
    .struct_size = sizeof(planned_ops), .populate = planned_populate, .discard = planned_discard};
static const PmDiscardListenerOps planned_all_ops = {.struct_size = sizeof(planned_all_ops),
                                                     .populate = planned_populate,
                                                     .discard = planned_discard,
                                                     .discard_all = planned_discard_all};

typedef bool (*Change)(Fixture *fixture, GError **error);

static bool change_populate(Fixture *fixture, GError **error)
{
    return source_populate(fixture->manager, 9 * BLOCK, 8 * BLOCK, 1, error);
}

static bool change_discard(Fixture *fixture, GError **error)
{
    return source_discard(fixture->manager, 17 * BLOCK, 4 * BLOCK, error);
}

static bool change_discard_all(Fixture *fixture, GError **error)
{
    return source_discard_all(fixture->manager, error);
}

static bool change_unregister(Fixture *fixture, GError **error)
{
    if (!pm_discard_manager_unregister(fixture->manager, fixture->listeners[2].handle, error))
        return false;
    fixture->listeners[2].handle = NULL;
    return true;
}

/* Blocks 1, 2, 6 to 8, 17 to 20 and 30 are populated and resident; a and c see all, b a part. */
static void set_up(void)
{
    Fixture *fixture = &plan.fixture;

    memset(&plan, 0, sizeof(plan));
    fixture_init(fixture);
    add(fixture, 0, &planned_ops, 0, N_BLOCKS);
    add(fixture, 1, &planned_all_ops, 8, 11);
    add(fixture, 2, &planned_ops, 0, N_BLOCKS);
    assert_true(plug(fixture, 1, 2) && plug(fixture, 6, 3) && plug(fixture, 17, 4) &&
                plug(fixture, 30, 1));
    for (uint64_t block = 0; block < N_BLOCKS; block++)
        if (is_populated(fixture, block))
            touch(fixture, block, 1);
}

static void tear_down(void)
{
    plan.fail_first = 0;
    plan.fail_second = 0;
    fixture_clear(&plan.fixture);
}

static bool is_quarantined(const Fixture *fixture, uint64_t block)
{
    uint64_t offset;
    uint64_t size;

    return pm_discard_manager_next_quarantined(fixture->manager, block * BLOCK, &offset, &size,
                                               NULL, NULL) &&
           offset == block * BLOCK;
}

static uint64_t resident_in(const Fixture *fixture, uint64_t block)
{
    uint64_t bytes;

    assert_true(pm_ram_resident(fixture->ram, block * BLOCK, BLOCK, &bytes, NULL));
    return bytes;
}

/* Outside quarantine all three views of a block, and its memory, are as @before; inside, it is
 * still populated if it was. */
static void check_blocks(const bool *before)
{
    const Fixture *fixture = &plan.fixture;

    for (uint64_t block = 0; block < N_BLOCKS; block++) {
        assert_int_equal(is_populated(fixture, block), before[block]);
        for (unsigned i = 0; i < N_LISTENERS; i++) {
            const Listener *listener = &fixture->listeners[i];
            bool inside = block * BLOCK >= listener->offset &&
                          block * BLOCK < listener->offset + listener->size;

            if (!is_quarantined(fixture, block))
                assert_int_equal(listener->has[block], inside && before[block]);
        }
        if (!is_quarantined(fixture, block) || before[block])
            assert_int_equal(resident_in(fixture, block), before[block] ? BLOCK : 0);
    }
}

/* One run: the @first and @second call of @change fail. Returns whether it succeeded. */
static bool try_change(Change change, int first, int second)
{
    g_autoptr(GError) error = NULL;
    bool before[N_BLOCKS];
    uint64_t quarantined;
    bool done;

    set_up();
    for (uint64_t block = 0; block < N_BLOCKS; block++)
        before[block] = is_populated(&plan.fixture, block);
    plan.n_calls = 0;
    plan.fail_first = first;
    plan.fail_second = second;
    done = change(&plan.fixture, &error);
    quarantined = pm_discard_manager_get_quarantined(plan.fixture.manager);
    if (done) {
        assert_null(error);
        assert_int_equal(quarantined, 0);
        check_views(&plan.fixture);
    } else {
        /* A second failure can only happen in the rollback. */
        bool met_second = second != 0 && plan.n_calls >= second;

        assert_int_equal(quarantined > 0, met_second);
        assert_true(
            g_error_matches(error, PM_ERROR, met_second ? PM_ERROR_QUARANTINED : PM_ERROR_LIMIT));
        check_blocks(before);
    }
    plan.fail_first = 0;
    plan.fail_second = 0;
    /* If everything is as before, the same change now succeeds. */
    if (!done && quarantined == 0)
        assert_true(change(&plan.fixture, NULL));
    if (quarantined > 0) {
        for (unsigned i = 0; i < N_LISTENERS; i++) {
            memset(plan.fixture.listeners[i].has, 0, sizeof(plan.fixture.listeners[i].has));
            if (plan.fixture.listeners[i].handle != NULL)
                pm_discard_manager_drop(plan.fixture.manager, plan.fixture.listeners[i].handle);
            plan.fixture.listeners[i].handle = NULL;
        }
    }
    tear_down();
    return done;
}

/* Fails call 1, 2, 3, ... until it succeeds, then each pair. @n_calls: the number of calls. */
static void fail_everywhere(Change change, int n_calls)
{
    int first = 1;

    while (first <= n_calls + 1 && !try_change(change, first, 0))
        first++;
    assert_int_equal(first, n_calls + 1);
    for (first = 1; first <= n_calls; first++)
        for (int second = first + 1; second <= first + n_calls; second++)
            assert_false(try_change(change, first, second));
}

static void populate_fails_at_every_call(void **state)
{
    (void)state;
    fail_everywhere(change_populate, 3);
}

static void discard_fails_at_every_call(void **state)
{
    (void)state;
    fail_everywhere(change_discard, 3);
}

static void discard_all_fails_at_every_call(void **state)
{
    (void)state;
    /* a and c drop four runs each, b all at once. */
    fail_everywhere(change_discard_all, 9);
}

static void unregister_fails_at_every_call(void **state)
{
    (void)state;
    fail_everywhere(change_unregister, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(populate_fails_at_every_call),
        cmocka_unit_test(discard_fails_at_every_call),
        cmocka_unit_test(discard_all_fails_at_every_call),
        cmocka_unit_test(unregister_fails_at_every_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
