/* SPDX-License-Identifier: MIT */
/*
 * Several sources: fails each call to a listener, then also each call of the rollback. After one
 * failure everything is as before; after two, what differs is in quarantine, and nothing else.
 */
#include "sources_util.h"

#include <string.h>

typedef struct {
    Sources sources;
    int n_calls;
    int fail_first;
    int fail_second; /* 0: none */
} Plan;

typedef struct {
    bool merged[N_BLOCKS];
    bool plug[N_BLOCKS];
    bool share[N_BLOCKS];
    uint64_t granularity;
} State;

/* cmocka runs one test at a time. */
static Plan plan;

static bool call_fails(GError **error)
{
    plan.n_calls++;
    if (plan.n_calls != plan.fail_first && plan.n_calls != plan.fail_second)
        return false;
    g_set_error(error, PM_ERROR, PM_ERROR_LIMIT, "planned");
    return true;
}

static bool ask(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data;
    assert_true(offset % BLOCK == 0 && size % BLOCK == 0 && size > 0);
    return !call_fails(error);
}

static bool planned_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    return !call_fails(error) && plain_ops.populate(user_data, offset, size, error);
}

static bool planned_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    return !call_fails(error) && plain_ops.discard(user_data, offset, size, error);
}

static const PmDiscardListenerOps planned_ops = {
    .struct_size = sizeof(planned_ops),
    .can_populate = ask,
    .can_discard = ask,
    .populate = planned_populate,
    .discard = planned_discard,
};

/* Blocks 4 to 15 and 24 to 27 are plugged and resident; 5, 6, 9 and 25 not shared. */
static void set_up(void)
{
    Sources *sources = &plan.sources;

    memset(&plan, 0, sizeof(plan));
    sources_init(sources);
    assert_true(source_on(sources->plug, 4, 12) && source_on(sources->plug, 24, 4));
    touch(&sources->fixture, 4, 12);
    touch(&sources->fixture, 24, 4);
    assert_true(source_off(sources->share, 5, 2) && source_off(sources->share, 9, 1) &&
                source_off(sources->share, 25, 1));
    add(&sources->fixture, 0, &planned_ops, 0, N_BLOCKS);
    add(&sources->fixture, 1, &planned_ops, 6, 20);
}

static bool plug_with_holes(GError **error)
{
    return pm_discard_source_populate(plan.sources.plug, 16 * BLOCK, 8 * BLOCK, 0, 1, error);
}

static bool unplug_with_holes(GError **error)
{
    return pm_discard_source_discard(plan.sources.plug, 4 * BLOCK, 12 * BLOCK, 0, error);
}

static bool share_mixed(GError **error)
{
    return pm_discard_source_populate(plan.sources.share, 0, 11 * BLOCK, PM_DISCARD_CHANGE_MIXED, 0,
                                      error);
}

static bool unshare_mixed(GError **error)
{
    return pm_discard_source_discard(plan.sources.share, 0, 26 * BLOCK, PM_DISCARD_CHANGE_MIXED,
                                     error);
}

static bool add_third(GError **error)
{
    const uint64_t bits = ~((UINT64_C(3) << 7) | (UINT64_C(1) << 12) | (UINT64_C(1) << 27));

    return try_add_source(&plan.sources, "third", BLOCK, 0, &bits, error) != NULL;
}

static bool remove_share(GError **error)
{
    if (!pm_discard_manager_remove_source(plan.sources.fixture.manager, plan.sources.share, error))
        return false;
    plan.sources.share = NULL;
    return true;
}

static bool remove_plug(GError **error)
{
    if (!pm_discard_manager_remove_source(plan.sources.fixture.manager, plan.sources.plug, error))
        return false;
    plan.sources.plug = NULL;
    return true;
}

static bool discard_all_plugged(GError **error)
{
    return pm_discard_source_discard_all(plan.sources.plug, error);
}

static bool discard_all_shared(GError **error)
{
    return pm_discard_source_discard_all(plan.sources.share, error);
}

static State look(void)
{
    const Sources *sources = &plan.sources;
    State state = {.granularity = pm_discard_manager_get_granularity(sources->fixture.manager)};

    for (uint64_t block = 0; block < N_BLOCKS; block++) {
        state.merged[block] = is_populated(&sources->fixture, block);
        state.plug[block] = pm_discard_source_is_populated(sources->plug, block * BLOCK, BLOCK);
        state.share[block] = pm_discard_source_is_populated(sources->share, block * BLOCK, BLOCK);
    }
    return state;
}

static bool is_quarantined(uint64_t block)
{
    uint64_t offset;
    uint64_t size;

    return pm_discard_manager_next_quarantined(plan.sources.fixture.manager, block * BLOCK, &offset,
                                               &size, NULL, NULL) &&
           offset == block * BLOCK;
}

static uint64_t resident_in(uint64_t block)
{
    uint64_t bytes;

    assert_true(pm_ram_resident(plan.sources.fixture.ram, block * BLOCK, BLOCK, &bytes, NULL));
    return bytes;
}

/* Memory is resident where it is plugged, whether it is shared or not. */
static void check_as_before(const State *before)
{
    const Fixture *fixture = &plan.sources.fixture;
    State after = look();

    assert_memory_equal(&after, before, sizeof(after));
    for (uint64_t block = 0; block < N_BLOCKS; block++) {
        for (unsigned i = 0; i < 2; i++) {
            const Listener *listener = &fixture->listeners[i];
            bool inside = block * BLOCK >= listener->offset &&
                          block * BLOCK < listener->offset + listener->size;

            if (!is_quarantined(block))
                assert_int_equal(listener->has[block], inside && before->merged[block]);
        }
        if (!is_quarantined(block))
            assert_int_equal(resident_in(block), before->plug[block] ? BLOCK : 0);
    }
}

static void tear_down(bool forget)
{
    Fixture *fixture = &plan.sources.fixture;

    for (unsigned i = 0; forget && i < 2; i++) {
        memset(fixture->listeners[i].has, 0, sizeof(fixture->listeners[i].has));
        pm_discard_manager_drop(fixture->manager, fixture->listeners[i].handle);
        fixture->listeners[i].handle = NULL;
    }
    fixture_clear(fixture);
}

typedef bool (*Change)(GError **error);

/* One run: the @first and @second call of @change fail. Returns whether it succeeded. */
static bool try_change(Change change, int first, int second)
{
    g_autoptr(GError) error = NULL;
    uint64_t quarantined;
    State before;
    bool done;

    set_up();
    before = look();
    plan.n_calls = 0;
    plan.fail_first = first;
    plan.fail_second = second;
    done = change(&error);
    quarantined = pm_discard_manager_get_quarantined(plan.sources.fixture.manager);
    if (done) {
        assert_int_equal(quarantined, 0);
        check_views(&plan.sources.fixture);
    } else {
        /* A second failure can only happen in the rollback. */
        bool met_second = second != 0 && plan.n_calls >= second;

        assert_int_equal(quarantined > 0, met_second);
        assert_true(
            g_error_matches(error, PM_ERROR, met_second ? PM_ERROR_QUARANTINED : PM_ERROR_LIMIT));
        assert_string_equal(pm_error_get_listener(error), "a listener of the test");
        check_as_before(&before);
    }
    plan.fail_first = 0;
    plan.fail_second = 0;
    if (!done && quarantined == 0) {
        /* If everything is as before, the same change now succeeds. */
        assert_true(change(NULL));
        check_views(&plan.sources.fixture);
    }
    tear_down(quarantined > 0);
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

/* Two calls for each run and listener: a question and a notification. */
#define FAILURE_TEST(change, n_calls)                                                              \
    static void change##_fails_at_every_call(void **state)                                         \
    {                                                                                              \
        (void)state;                                                                               \
        fail_everywhere(change, n_calls);                                                          \
    }

FAILURE_TEST(plug_with_holes, 4)
FAILURE_TEST(unplug_with_holes, 10)
FAILURE_TEST(share_mixed, 8)
FAILURE_TEST(unshare_mixed, 14)
FAILURE_TEST(add_third, 10)
FAILURE_TEST(remove_share, 12)
FAILURE_TEST(remove_plug, 8)
FAILURE_TEST(discard_all_plugged, 16)
FAILURE_TEST(discard_all_shared, 16)

static void a_failed_change_is_undone_run_by_run_in_reverse(void **state)
{
    (void)state;
    set_up();
    g_string_truncate(plan.sources.fixture.log, 0);
    /* After the questions about three runs, the last run's second listener. */
    plan.n_calls = 0;
    plan.fail_first = 10;
    assert_false(unplug_with_holes(NULL));
    assert_log(&plan.sources.fixture, "a-4,1 a-7,2 b-7,2 a-10,6 a+10,6 b+7,2 a+7,2 a+4,1 ");
    plan.fail_first = 0;
    tear_down(false);
}

#define TEST(change) cmocka_unit_test(change##_fails_at_every_call)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plug_with_holes),    TEST(unplug_with_holes),
        TEST(share_mixed),        TEST(unshare_mixed),
        TEST(add_third),          TEST(remove_share),
        TEST(remove_plug),        TEST(discard_all_plugged),
        TEST(discard_all_shared), cmocka_unit_test(a_failed_change_is_undone_run_by_run_in_reverse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
