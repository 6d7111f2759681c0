/* SPDX-License-Identifier: MIT */
#include "discard_util.h"

#include <string.h>

#include "util/source_util.h"

static void listeners_are_asked_then_notified_in_order_of_registration(void **state)
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

static void blocks_count_as_populated_after_all_listeners_succeeded(void **state)
{
    static const PmDiscardListenerOps ops = {.struct_size = sizeof(ops),
                                             .populate = sees_nothing_populated,
                                             .discard = listener_discard};
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

static void a_late_listener_is_notified_of_every_populated_run(void **state)
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
    fixture_clear(&fixture);
}

static void a_listener_that_unregisters_is_notified_of_every_populated_run(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 2, 8);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 5, 1));
    assert_true(plug(&fixture, 8, 4));
    g_string_truncate(fixture.log, 0);
    assert_true(pm_discard_manager_unregister(fixture.manager, fixture.listeners[0].handle, NULL));
    fixture.listeners[0].handle = NULL;
    assert_log(&fixture, "a-2,1 a-5,1 a-8,2 ");
    fixture_clear(&fixture);
}

static void a_discard_may_cut_and_span_what_was_populated(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 2, 3));
    assert_true(plug(&fixture, 5, 4));
    assert_log(&fixture, "a+2,3 a+5,4 ");
    assert_true(unplug(&fixture, 3, 4));
    assert_log(&fixture, "a-3,4 ");
    check_views(&fixture);
    fixture_clear(&fixture);
}

static bool sees_the_memory(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;
    uint64_t bytes;

    assert_true(
        pm_ram_resident(pm_discard_manager_get_ram(listener->manager), offset, size, &bytes, NULL));
    assert_int_equal(bytes, size);
    return listener_discard(user_data, offset, size, error);
}

static bool has_populated(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    (void)error;
    for (uint64_t at = offset; at < offset + size; at += BLOCK)
        listener->has[at / BLOCK] = true;
    return true;
}

static void memory_is_discarded_after_the_last_listener(void **state)
{
    static const PmDiscardListenerOps ops = {
        .struct_size = sizeof(ops), .populate = has_populated, .discard = sees_the_memory};
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &ops, 0, N_BLOCKS);
    add(&fixture, 1, &ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 0, 4));
    touch(&fixture, 0, 4);
    assert_true(unplug(&fixture, 1, 2));
    assert_log(&fixture, "a-1,2 b-1,2 ");
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    fixture_clear(&fixture);
}

static void an_objection_prevents_all_notifications(void **state)
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

static void discard_all_falls_back_to_discarding_runs(void **state)
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
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a-1,2 a-7,3 b-all ");
    assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 0);
    /* All of it, including what was never populated. */
    assert_int_equal(resident(&fixture), 0);
    check_views(&fixture);
    fixture_clear(&fixture);
}

static void invalid_ranges_and_states_are_rejected(void **state)
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

        assert_false(source_populate(fixture.manager, table[i].offset, table[i].size, false,
                                     &populate_error));
        assert_false(
            source_discard(fixture.manager, table[i].offset, table[i].size, &discard_error));
        assert_true(g_error_matches(populate_error, PM_ERROR, (gint)table[i].code));
        assert_true(g_error_matches(discard_error, PM_ERROR, (gint)table[i].code));
        g_error_free(populate_error);
        g_error_free(discard_error);
    }
    fixture_clear(&fixture);
}

static void queries_are_extended_to_blocks_and_bounded(void **state)
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
    assert_null(manager_with_source(fixture.ram, BLOCK, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BUSY));
    g_error_free(error);
    ram = pm_ram_ref(fixture.ram);
    fixture_clear(&fixture);
    next = manager_with_source(ram, BLOCK, NULL);
    assert_non_null(next);
}

static void an_invalid_granularity_is_rejected(void **state)
{
    static const uint64_t refused[] = {0, 1, 2048, 12288, 4 * PM_MIB};
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, 0, NULL);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        assert_null(manager_with_source(ram, refused[i], NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_are_asked_then_notified_in_order_of_registration),
        cmocka_unit_test(blocks_count_as_populated_after_all_listeners_succeeded),
        cmocka_unit_test(notifications_are_clipped_to_each_listeners_range),
        cmocka_unit_test(a_late_listener_is_notified_of_every_populated_run),
        cmocka_unit_test(a_listener_that_unregisters_is_notified_of_every_populated_run),
        cmocka_unit_test(a_discard_may_cut_and_span_what_was_populated),
        cmocka_unit_test(memory_is_discarded_after_the_last_listener),
        cmocka_unit_test(an_objection_prevents_all_notifications),
        cmocka_unit_test(discard_all_falls_back_to_discarding_runs),
        cmocka_unit_test(invalid_ranges_and_states_are_rejected),
        cmocka_unit_test(queries_are_extended_to_blocks_and_bounded),
        cmocka_unit_test(runs_are_maximal_and_clipped),
        cmocka_unit_test(memory_has_one_manager_at_a_time),
        cmocka_unit_test(an_invalid_granularity_is_rejected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
