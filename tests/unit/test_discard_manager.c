/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <plugmap/discard_manager.h>
#include <plugmap/size.h>

#include "random_util.h"

#define BLOCK       (64 * PM_KIB)
#define N_BLOCKS    32
#define SIZE        (N_BLOCKS * BLOCK)
#define N_LISTENERS 3

/* A listener that keeps its own idea of what is populated, and can be told to fail. */
typedef struct {
    PmDiscardManager *manager;
    PmDiscardListener *handle;
    uint64_t offset;
    uint64_t size;
    bool has[N_BLOCKS];
    GString *log; /* shared by all: «a+3,2» is populate of blocks 3 and 4 for listener a */
    char name;
    int fail_in; /* the n-th call from now on fails; 0: none */
    PmError fail_with;
    bool refuse_question; /* can_populate says no */
} Listener;

typedef struct {
    PmRam *ram;
    PmDiscardManager *manager;
    GString *log;
    Listener listeners[N_LISTENERS];
} Fixture;

static bool fails_now(Listener *listener, GError **error)
{
    if (listener->fail_in == 0 || --listener->fail_in > 0)
        return false;
    g_set_error(error, PM_ERROR, (gint)listener->fail_with, "listener %c objects", listener->name);
    return true;
}

static void record(Listener *listener, char what, uint64_t offset, uint64_t size)
{
    g_string_append_printf(listener->log, "%c%c%d,%d ", listener->name, what, (int)(offset / BLOCK),
                           (int)(size / BLOCK));
}

static void set_blocks(Listener *listener, uint64_t offset, uint64_t size, bool value)
{
    assert_true(offset % BLOCK == 0 && size % BLOCK == 0 && size > 0);
    assert_true(offset >= listener->offset && offset + size <= listener->offset + listener->size);
    for (uint64_t i = offset / BLOCK; i < (offset + size) / BLOCK; i++) {
        /* Never told twice. */
        assert_int_equal(listener->has[i], !value);
        listener->has[i] = value;
    }
}

static bool can_populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    record(listener, '?', offset, size);
    if (!listener->refuse_question)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_LIMIT, "listener %c has no room", listener->name);
    return false;
}

static bool populate(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    if (fails_now(listener, error))
        return false;
    record(listener, '+', offset, size);
    set_blocks(listener, offset, size, true);
    return true;
}

static bool discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    if (fails_now(listener, error))
        return false;
    record(listener, '-', offset, size);
    set_blocks(listener, offset, size, false);
    return true;
}

static bool discard_all(void *user_data, GError **error)
{
    Listener *listener = user_data;

    if (fails_now(listener, error))
        return false;
    g_string_append_printf(listener->log, "%c-all ", listener->name);
    memset(listener->has, 0, sizeof(listener->has));
    return true;
}

static const PmDiscardListenerOps plain_ops = {.populate = populate, .discard = discard};
static const PmDiscardListenerOps asking_ops = {
    .can_populate = can_populate, .populate = populate, .discard = discard};
static const PmDiscardListenerOps all_ops = {
    .populate = populate, .discard = discard, .discard_all = discard_all};

static void fixture_init(Fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    assert_non_null(fixture->ram);
    fixture->manager = pm_discard_manager_new(fixture->ram, BLOCK, NULL);
    assert_non_null(fixture->manager);
    fixture->log = g_string_new(NULL);
}

static bool try_add(Fixture *fixture, unsigned index, const PmDiscardListenerOps *ops,
                    uint64_t first, uint64_t n_blocks, GError **error)
{
    Listener *listener = &fixture->listeners[index];

    listener->manager = fixture->manager;
    listener->log = fixture->log;
    listener->name = (char)('a' + index);
    listener->offset = first * BLOCK;
    listener->size = n_blocks * BLOCK;
    listener->handle =
        pm_discard_manager_register(fixture->manager, ops, listener, "a listener of the test",
                                    listener->offset, listener->size, error);
    return listener->handle != NULL;
}

static void add(Fixture *fixture, unsigned index, const PmDiscardListenerOps *ops, uint64_t first,
                uint64_t n_blocks)
{
    assert_true(try_add(fixture, index, ops, first, n_blocks, NULL));
}

static void fixture_clear(Fixture *fixture)
{
    for (unsigned i = 0; i < N_LISTENERS; i++) {
        Listener *listener = &fixture->listeners[i];

        listener->fail_in = 0;
        if (listener->handle != NULL)
            assert_true(pm_discard_manager_unregister(fixture->manager, listener->handle, NULL));
        for (unsigned block = 0; block < N_BLOCKS; block++)
            assert_false(listener->has[block]);
    }
    pm_discard_manager_unref(fixture->manager);
    pm_ram_unref(fixture->ram);
    g_string_free(fixture->log, TRUE);
}

static bool plug(Fixture *fixture, uint64_t first, uint64_t n_blocks)
{
    return pm_discard_manager_populate(fixture->manager, first * BLOCK, n_blocks * BLOCK, false,
                                       NULL);
}

static bool unplug(Fixture *fixture, uint64_t first, uint64_t n_blocks)
{
    return pm_discard_manager_discard(fixture->manager, first * BLOCK, n_blocks * BLOCK, NULL);
}

static void assert_log(Fixture *fixture, const char *expected)
{
    assert_string_equal(fixture->log->str, expected);
    g_string_truncate(fixture->log, 0);
}

static bool is_populated(const Fixture *fixture, uint64_t block)
{
    return pm_discard_manager_is_populated(fixture->manager, block * BLOCK, BLOCK);
}

/* Every registered listener has just what is populated in its range. */
static void check_views(const Fixture *fixture)
{
    for (unsigned i = 0; i < N_LISTENERS; i++) {
        const Listener *listener = &fixture->listeners[i];

        if (listener->handle == NULL)
            continue;
        for (uint64_t block = 0; block < N_BLOCKS; block++) {
            bool inside = block * BLOCK >= listener->offset &&
                          block * BLOCK < listener->offset + listener->size;

            assert_int_equal(listener->has[block], inside && is_populated(fixture, block));
        }
    }
}

static uint64_t resident(const Fixture *fixture)
{
    uint64_t bytes;

    assert_true(pm_ram_resident(fixture->ram, 0, SIZE, &bytes, NULL));
    return bytes;
}

static void touch(Fixture *fixture, uint64_t first, uint64_t n_blocks)
{
    assert_true(pm_ram_populate(fixture->ram, first * BLOCK, n_blocks * BLOCK, NULL));
}

static void listeners_are_asked_then_told_in_order_of_registration(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &asking_ops, 0, N_BLOCKS);
    add(&fixture, 1, &asking_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 2, 3));
    assert_log(&fixture, "a?2,3 b?2,3 a+2,3 b+2,3 ");
    assert_true(unplug(&fixture, 3, 1));
    assert_log(&fixture, "a-3,1 b-3,1 ");
    check_views(&fixture);
    fixture_clear(&fixture);
}

static bool sees_nothing_populated(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    const Listener *listener = user_data;

    (void)error;
    assert_false(pm_discard_manager_is_populated(listener->manager, offset, size));
    assert_true(pm_discard_manager_is_discarded(listener->manager, offset, size));
    return true;
}

static void blocks_count_as_populated_only_when_all_have_agreed(void **state)
{
    static const PmDiscardListenerOps ops = {.populate = sees_nothing_populated,
                                             .discard = discard};
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 0, 4));
    assert_true(pm_discard_manager_is_populated(fixture.manager, 0, 4 * BLOCK));
    memset(fixture.listeners[0].has, true, 4);
    fixture_clear(&fixture);
}

static void notifications_are_clipped_to_each_listeners_range(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, 4);
    add(&fixture, 1, &plain_ops, 4, 4);
    add(&fixture, 2, &plain_ops, 20, 4);
    assert_true(plug(&fixture, 2, 8));
    assert_log(&fixture, "a+2,2 b+4,4 ");
    assert_true(unplug(&fixture, 3, 2));
    assert_log(&fixture, "a-3,1 b-4,1 ");
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void a_late_listener_is_told_every_populated_run(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 5, 1));
    assert_true(plug(&fixture, 8, 4));
    add(&fixture, 0, &plain_ops, 2, 8);
    assert_log(&fixture, "a+2,1 a+5,1 a+8,2 ");
    check_views(&fixture);
    assert_true(pm_discard_manager_unregister(fixture.manager, fixture.listeners[0].handle, NULL));
    fixture.listeners[0].handle = NULL;
    assert_log(&fixture, "a-2,1 a-5,1 a-8,2 ");
    fixture_clear(&fixture);
}

static void a_registration_that_is_objected_to_fails_and_is_undone(void **state)
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

static void a_refused_question_is_asked_before_anyone_is_told(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&fixture, 1, &asking_ops, 0, N_BLOCKS);
    fixture.listeners[1].refuse_question = true;
    assert_false(plug(&fixture, 0, 1));
    assert_log(&fixture, "b?0,1 ");
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void a_populate_that_is_objected_to_is_undone_in_reverse_order(void **state)
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
    /* What a listener may have faulted in has gone back. */
    assert_int_equal(resident(&fixture), 0);
    check_views(&fixture);
    assert_true(plug(&fixture, 4, 2));
    fixture_clear(&fixture);
}

static void a_discard_that_fails_is_redone_and_the_memory_stays(void **state)
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

static void discard_all_falls_back_to_runs_for_who_has_no_call_for_it(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&fixture, 1, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 7, 3));
    touch(&fixture, 0, N_BLOCKS);
    g_string_truncate(fixture.log, 0);
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a-1,2 a-7,3 b-all ");
    assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 0);
    /* All of it, also what was never populated. */
    assert_int_equal(resident(&fixture), 0);
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void discard_all_that_fails_is_redone(void **state)
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
    assert_false(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 5 * BLOCK);
    check_views(&fixture);
    /* In the fallback, too. */
    fixture.listeners[0].fail_in = 2;
    fixture.listeners[0].fail_with = PM_ERROR_KERNEL;
    assert_false(pm_discard_manager_discard_all(fixture.manager, NULL));
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void who_can_be_neither_undone_nor_redone_is_quarantined(void **state)
{
    Fixture fixture;
    uint64_t offset;
    uint64_t size;
    const char *listener;
    const char *reason;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    add(&fixture, 1, &all_ops, 0, N_BLOCKS);
    /* a is told, b objects, and a's undo fails. */
    fixture.listeners[0].fail_in = 2;
    fixture.listeners[0].fail_with = PM_ERROR_KERNEL;
    fixture.listeners[1].fail_in = 1;
    fixture.listeners[1].fail_with = PM_ERROR_LIMIT;
    assert_false(pm_discard_manager_populate(fixture.manager, 4 * BLOCK, 2 * BLOCK, false, &error));
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
    /* Never handed out, neighbours are. */
    assert_false(pm_discard_manager_populate(fixture.manager, 5 * BLOCK, BLOCK, false, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    g_clear_error(&error);
    assert_true(plug(&fixture, 6, 1));
    /* A reset that succeeds ends it. */
    assert_true(pm_discard_manager_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    assert_true(plug(&fixture, 4, 3));
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void memory_in_quarantine_is_not_given_back(void **state)
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

static void a_listener_that_stays_is_told_again_when_its_unregistering_fails(void **state)
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

static void prefault_brings_the_memory_in_and_takes_it_back_on_objection(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    fixture.listeners[0].fail_in = 1;
    fixture.listeners[0].fail_with = PM_ERROR_LIMIT;
    assert_false(pm_discard_manager_populate(fixture.manager, 0, 2 * BLOCK, true, NULL));
    assert_int_equal(resident(&fixture), 0);
    assert_true(pm_discard_manager_populate(fixture.manager, 0, 2 * BLOCK, true, NULL));
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    fixture_clear(&fixture);
}

static void wrong_ranges_and_states_are_refused(void **state)
{
    static const struct {
        uint64_t offset;
        uint64_t size;
        PmError code;
    } table[] = {
        {1, BLOCK, PM_ERROR_UNALIGNED},
        {0, BLOCK / 2, PM_ERROR_UNALIGNED},
        {0, 0, PM_ERROR_INVALID_ARGUMENT},
        {SIZE, BLOCK, PM_ERROR_INVALID_ARGUMENT},
        {SIZE - BLOCK, 2 * BLOCK, PM_ERROR_INVALID_ARGUMENT},
        {BLOCK, -BLOCK, PM_ERROR_INVALID_ARGUMENT},
        {3 * BLOCK, 2 * BLOCK, PM_ERROR_INVALID_ARGUMENT}, /* half of it is populated */
    };
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    assert_true(plug(&fixture, 4, 1));
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        GError *populate_error = NULL;
        GError *discard_error = NULL;

        assert_false(pm_discard_manager_populate(fixture.manager, table[i].offset, table[i].size,
                                                 false, &populate_error));
        assert_false(pm_discard_manager_discard(fixture.manager, table[i].offset, table[i].size,
                                                &discard_error));
        assert_true(g_error_matches(populate_error, PM_ERROR, (gint)table[i].code));
        assert_true(g_error_matches(discard_error, PM_ERROR, (gint)table[i].code));
        g_error_free(populate_error);
        g_error_free(discard_error);
    }
    fixture_clear(&fixture);
}

static void questions_are_widened_to_blocks_and_bounded(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    assert_true(plug(&fixture, 4, 2));
    assert_true(pm_discard_manager_is_populated(fixture.manager, 4 * BLOCK + 1, BLOCK));
    assert_true(pm_discard_manager_is_populated(fixture.manager, 6 * BLOCK - 1, 1));
    assert_false(pm_discard_manager_is_populated(fixture.manager, 6 * BLOCK - 1, 2));
    assert_false(pm_discard_manager_is_populated(fixture.manager, 4 * BLOCK, 0));
    assert_false(pm_discard_manager_is_populated(fixture.manager, SIZE, BLOCK));
    assert_false(pm_discard_manager_is_populated(fixture.manager, 4 * BLOCK, UINT64_MAX));
    assert_true(pm_discard_manager_is_discarded(fixture.manager, 0, 4 * BLOCK));
    assert_false(pm_discard_manager_is_discarded(fixture.manager, 0, 4 * BLOCK + 1));
    fixture_clear(&fixture);
}

static void runs_are_maximal_and_clipped(void **state)
{
    Fixture fixture;
    uint64_t offset;
    uint64_t size;

    (void)state;
    fixture_init(&fixture);
    assert_true(plug(&fixture, 2, 2));
    assert_true(plug(&fixture, 4, 2));
    assert_true(pm_discard_manager_next_populated(fixture.manager, 0, SIZE, &offset, &size));
    assert_true(offset == 2 * BLOCK && size == 4 * BLOCK);
    assert_true(
        pm_discard_manager_next_populated(fixture.manager, 3 * BLOCK, 5 * BLOCK, &offset, &size));
    assert_true(offset == 3 * BLOCK && size == 2 * BLOCK);
    assert_false(
        pm_discard_manager_next_populated(fixture.manager, 6 * BLOCK, SIZE, &offset, &size));
    assert_true(
        pm_discard_manager_next_discarded(fixture.manager, 2 * BLOCK, UINT64_MAX, &offset, &size));
    assert_true(offset == 6 * BLOCK && size == SIZE - 6 * BLOCK);
    fixture_clear(&fixture);
}

static void memory_has_one_manager_at_a_time(void **state)
{
    Fixture fixture;
    GError *error = NULL;
    g_autoptr(PmRam) ram = NULL;
    g_autoptr(PmDiscardManager) next = NULL;

    (void)state;
    fixture_init(&fixture);
    assert_null(pm_discard_manager_new(fixture.ram, BLOCK, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BUSY));
    g_error_free(error);
    ram = pm_ram_ref(fixture.ram);
    fixture_clear(&fixture);
    next = pm_discard_manager_new(ram, BLOCK, NULL);
    assert_non_null(next);
}

static void a_granularity_that_cannot_be_is_refused(void **state)
{
    static const uint64_t refused[] = {0, 1, 2048, 3 * 4096, 4 * PM_MIB};
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, 0, NULL);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        assert_null(pm_discard_manager_new(ram, refused[i], NULL));
}

/* Random changes with random objections, beside an array of bools. */
static void a_random_life_keeps_every_view_equal(void **state)
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

        /* One objection at most, so that the way back never fails. */
        listener->fail_in = g_rand_int_range(rand, 0, 4) == 0;
        listener->fail_with = PM_ERROR_LIMIT;
        for (uint64_t i = first; i < first + n_blocks && !everything; i++)
            legal = legal && model[i] != value;
        if (everything)
            done = pm_discard_manager_discard_all(fixture.manager, NULL);
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
        cmocka_unit_test(listeners_are_asked_then_told_in_order_of_registration),
        cmocka_unit_test(blocks_count_as_populated_only_when_all_have_agreed),
        cmocka_unit_test(notifications_are_clipped_to_each_listeners_range),
        cmocka_unit_test(a_late_listener_is_told_every_populated_run),
        cmocka_unit_test(a_registration_that_is_objected_to_fails_and_is_undone),
        cmocka_unit_test(a_refused_question_is_asked_before_anyone_is_told),
        cmocka_unit_test(a_populate_that_is_objected_to_is_undone_in_reverse_order),
        cmocka_unit_test(a_discard_that_fails_is_redone_and_the_memory_stays),
        cmocka_unit_test(discard_all_falls_back_to_runs_for_who_has_no_call_for_it),
        cmocka_unit_test(discard_all_that_fails_is_redone),
        cmocka_unit_test(who_can_be_neither_undone_nor_redone_is_quarantined),
        cmocka_unit_test(memory_in_quarantine_is_not_given_back),
        cmocka_unit_test(a_listener_that_stays_is_told_again_when_its_unregistering_fails),
        cmocka_unit_test(prefault_brings_the_memory_in_and_takes_it_back_on_objection),
        cmocka_unit_test(wrong_ranges_and_states_are_refused),
        cmocka_unit_test(questions_are_widened_to_blocks_and_bounded),
        cmocka_unit_test(runs_are_maximal_and_clipped),
        cmocka_unit_test(memory_has_one_manager_at_a_time),
        cmocka_unit_test(a_granularity_that_cannot_be_is_refused),
        cmocka_unit_test(a_random_life_keeps_every_view_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
