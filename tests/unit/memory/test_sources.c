/* SPDX-License-Identifier: MIT */
/* Several sources: what is populated, and what listeners are notified of. */
#include "sources_util.h"

#include <string.h>

static void without_sources_everything_is_populated(void **state)
{
    Sources sources;

    (void)state;
    sources_init_bare(&sources, COARSE);
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    assert_log(&sources.fixture, "a+0,32 ");
    assert_populated(&sources, "0,32 ");
    fixture_clear(&sources.fixture);
}

static void populated_is_what_all_sources_have_populated(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_populated(&sources, "");
    assert_true(source_on(sources.plug, 4, 8));
    assert_true(source_off(sources.share, 5, 2));
    assert_populated(&sources, "4,1 7,5 ");
    assert_source_has(sources.plug, "4,8 ");
    assert_source_has(sources.share, "0,5 7,25 ");
    assert_false(pm_discard_manager_is_populated(sources.fixture.manager, 4 * BLOCK, 4 * BLOCK));
    assert_true(pm_discard_manager_is_discarded(sources.fixture.manager, 5 * BLOCK, 2 * BLOCK));
    assert_true(pm_discard_source_is_populated(sources.plug, 5 * BLOCK, BLOCK));
    assert_true(pm_discard_source_is_discarded(sources.share, 5 * BLOCK, BLOCK));
    fixture_clear(&sources.fixture);
}

static void getters_return_what_the_source_was_added_with(void **state)
{
    Sources sources;
    uint64_t offset;
    uint64_t size;

    (void)state;
    sources_init(&sources);
    assert_ptr_equal(pm_discard_source_get_manager(sources.plug), sources.fixture.manager);
    assert_string_equal(pm_discard_source_get_name(sources.plug), "plug");
    assert_int_equal(pm_discard_source_get_granularity(sources.plug), COARSE);
    assert_true(source_off(sources.share, 3, 2));
    assert_true(pm_discard_source_next_discarded(sources.share, 0, UINT64_MAX, &offset, &size));
    assert_true(offset == 3 * BLOCK && size == 2 * BLOCK);
    assert_false(pm_discard_source_next_discarded(sources.share, 5 * BLOCK, SIZE, &offset, &size));
    fixture_clear(&sources.fixture);
}

static void listeners_are_notified_of_runs_that_all_others_have_populated(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_off(sources.share, 5, 2) && source_off(sources.share, 9, 1));
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&sources.fixture, 1, &plain_ops, 6, 4);
    assert_true(source_on(sources.plug, 4, 8));
    assert_log(&sources.fixture, "a+4,1 a+7,2 b+7,2 a+10,2 ");
    check_views(&sources.fixture);
    assert_true(source_off(sources.plug, 4, 8));
    assert_log(&sources.fixture, "a-4,1 a-7,2 b-7,2 a-10,2 ");
    fixture_clear(&sources.fixture);
}

static void all_listeners_are_asked_about_all_runs_before_the_first_notification(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_off(sources.share, 5, 2));
    add(&sources.fixture, 0, &asking_ops, 0, N_BLOCKS);
    add(&sources.fixture, 1, &objecting_ops, 0, N_BLOCKS);
    assert_true(source_on(sources.plug, 4, 4));
    assert_log(&sources.fixture, "a?4,1 a?7,1 a+4,1 b+4,1 a+7,1 b+7,1 ");
    assert_true(source_off(sources.plug, 4, 4));
    assert_log(&sources.fixture, "b~4,1 b~7,1 a-4,1 b-4,1 a-7,1 b-7,1 ");
    fixture_clear(&sources.fixture);
}

static void a_change_that_others_do_not_agree_with_notifies_nobody(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    assert_true(source_off(sources.share, 4, 4));
    assert_true(source_on(sources.plug, 4, 4));
    assert_true(source_off(sources.plug, 4, 4));
    assert_true(source_on(sources.share, 4, 4));
    assert_log(&sources.fixture, "");
    fixture_clear(&sources.fixture);
}

static void a_listener_that_registers_is_notified_of_what_all_have_populated(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 4, 8) && source_off(sources.share, 6, 1));
    add(&sources.fixture, 0, &plain_ops, 5, 4);
    assert_log(&sources.fixture, "a+5,1 a+7,2 ");
    fixture_clear(&sources.fixture);
}

static bool see_old_state(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Listener *listener = user_data;

    (void)error;
    assert_true(pm_discard_manager_is_discarded(listener->manager, offset, size));
    assert_true(pm_discard_source_is_discarded(listener->source, 4 * BLOCK, COARSE));
    return true;
}

static void blocks_count_as_populated_once_all_listeners_agreed(void **state)
{
    const PmDiscardListenerOps ops = {
        .struct_size = sizeof(ops), .populate = see_old_state, .discard = listener_discard};
    Sources sources;

    (void)state;
    sources_init(&sources);
    sources.fixture.listeners[0].source = sources.plug;
    assert_true(source_off(sources.share, 5, 1));
    add(&sources.fixture, 0, &ops, 0, N_BLOCKS);
    assert_true(source_on(sources.plug, 4, 4));
    assert_populated(&sources, "4,1 6,2 ");
    pm_discard_manager_drop(sources.fixture.manager, sources.fixture.listeners[0].handle);
    sources.fixture.listeners[0].handle = NULL;
    fixture_clear(&sources.fixture);
}

/* --- mixed ranges --- */

static void a_mixed_range_is_refused(void **state)
{
    Sources sources;
    g_autoptr(GError) error = NULL;

    (void)state;
    sources_init(&sources);
    assert_true(source_off(sources.share, 5, 2));
    assert_false(pm_discard_source_populate(sources.share, 4 * BLOCK, 4 * BLOCK, 0, 0, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
    assert_non_null(strstr(error->message, "not wholly discarded"));
    assert_false(source_off(sources.share, 4, 4));
    assert_source_has(sources.share, "0,5 7,25 ");
    fixture_clear(&sources.fixture);
}

static void of_a_mixed_range_the_rest_is_changed_if_the_caller_says_so(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 4, 8) && source_off(sources.share, 5, 2));
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    g_string_truncate(sources.fixture.log, 0);
    assert_true(pm_discard_source_discard(sources.share, 3 * BLOCK, 6 * BLOCK,
                                          PM_DISCARD_CHANGE_MIXED, NULL));
    assert_log(&sources.fixture, "a-4,1 a-7,2 ");
    assert_source_has(sources.share, "0,3 9,23 ");
    assert_true(pm_discard_source_populate(sources.share, 2 * BLOCK, 5 * BLOCK,
                                           PM_DISCARD_CHANGE_MIXED, 0, NULL));
    assert_log(&sources.fixture, "a+4,3 ");
    assert_source_has(sources.share, "0,7 9,23 ");
    fixture_clear(&sources.fixture);
}

static void a_conversion_to_the_same_state_notifies_nobody(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 4, 4));
    add(&sources.fixture, 0, &asking_ops, 0, N_BLOCKS);
    g_string_truncate(sources.fixture.log, 0);
    assert_true(pm_discard_source_populate(sources.share, 4 * BLOCK, 4 * BLOCK,
                                           PM_DISCARD_CHANGE_MIXED, 0, NULL));
    assert_log(&sources.fixture, "");
    fixture_clear(&sources.fixture);
}

static void invalid_ranges_and_flags_are_refused(void **state)
{
    static const struct {
        uint64_t offset;
        uint64_t size;
        unsigned flags;
        PmError code;
    } table[] = {
        {0, BLOCK, 0, PM_ERROR_UNALIGNED},
        {BLOCK, COARSE, 0, PM_ERROR_UNALIGNED},
        {0, 0, 0, PM_ERROR_INVALID_ARGUMENT},
        {SIZE, COARSE, 0, PM_ERROR_INVALID_ARGUMENT},
        {SIZE - COARSE, 2 * COARSE, 0, PM_ERROR_INVALID_ARGUMENT},
        {COARSE, UINT64_MAX - COARSE + 1, 0, PM_ERROR_INVALID_ARGUMENT},
        {0, COARSE, 1 << 5, PM_ERROR_INVALID_ARGUMENT},
    };
    Sources sources;

    (void)state;
    sources_init(&sources);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) populate = NULL;
        g_autoptr(GError) discard = NULL;

        assert_false(pm_discard_source_populate(sources.plug, table[i].offset, table[i].size,
                                                table[i].flags, 0, &populate));
        assert_false(pm_discard_source_discard(sources.plug, table[i].offset, table[i].size,
                                               table[i].flags, &discard));
        assert_int_equal(populate->code, table[i].code);
        assert_int_equal(discard->code, table[i].code);
    }
    fixture_clear(&sources.fixture);
}

/* --- memory --- */

static void leaving_a_source_frees_memory_only_if_it_says_so(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 4, 4));
    touch(&sources.fixture, 4, 4);
    assert_true(source_off(sources.share, 5, 1));
    assert_int_equal(resident(&sources.fixture), 4 * BLOCK);
    assert_true(source_off(sources.plug, 4, 4));
    assert_int_equal(resident(&sources.fixture), 0);
    fixture_clear(&sources.fixture);
}

static void prefault_faults_in_only_what_all_agree_on(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_off(sources.share, 5, 2));
    assert_true(pm_discard_source_populate(sources.plug, 4 * BLOCK, COARSE, 0, 1, NULL));
    assert_int_equal(resident(&sources.fixture), 2 * BLOCK);
    fixture_clear(&sources.fixture);
}

static void contents_that_arrived_earlier_are_kept_if_the_caller_says_so(void **state)
{
    unsigned keep = PM_DISCARD_CHANGE_KEEP_CONTENTS;
    char *host;
    Sources sources;

    (void)state;
    sources_init(&sources);
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    host = pm_ram_get_host(sources.fixture.ram);
    host[4 * BLOCK] = 'x';
    sources.fixture.listeners[0].fail_in = 1;
    assert_false(pm_discard_source_populate(sources.plug, 4 * BLOCK, COARSE, keep, 0, NULL));
    assert_int_equal(host[4 * BLOCK], 'x');
    assert_true(pm_discard_source_populate(sources.plug, 4 * BLOCK, COARSE, keep, 0, NULL));
    assert_int_equal(host[4 * BLOCK], 'x');
    assert_true(pm_discard_source_discard(sources.plug, 4 * BLOCK, COARSE, keep, NULL));
    assert_int_equal(host[4 * BLOCK], 'x');
    sources.fixture.listeners[0].fail_in = 1;
    assert_false(pm_discard_source_populate(sources.plug, 4 * BLOCK, COARSE, 0, 0, NULL));
    assert_int_equal(host[4 * BLOCK], 0);
    fixture_clear(&sources.fixture);
}

/* --- discarding all --- */

static void discard_all_leaves_the_other_sources_as_they_are(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 0, 12) && source_off(sources.share, 5, 2));
    touch(&sources.fixture, 0, N_BLOCKS);
    add(&sources.fixture, 0, &objecting_ops, 0, N_BLOCKS);
    g_string_truncate(sources.fixture.log, 0);
    assert_true(pm_discard_source_discard_all(sources.plug, NULL));
    assert_log(&sources.fixture, "a~0,5 a~7,5 a-0,5 a-7,5 ");
    assert_populated(&sources, "");
    assert_source_has(sources.plug, "");
    assert_source_has(sources.share, "0,5 7,25 ");
    assert_int_equal(resident(&sources.fixture), 0);
    assert_true(source_on(sources.plug, 4, 4));
    assert_populated(&sources, "4,1 7,1 ");
    fixture_clear(&sources.fixture);
}

static void discard_all_of_a_source_that_frees_nothing_frees_nothing(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 0, 4));
    touch(&sources.fixture, 0, 4);
    assert_true(pm_discard_source_discard_all(sources.share, NULL));
    assert_populated(&sources, "");
    assert_source_has(sources.plug, "0,4 ");
    assert_int_equal(resident(&sources.fixture), 4 * BLOCK);
    fixture_clear(&sources.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_sources_everything_is_populated),
        cmocka_unit_test(populated_is_what_all_sources_have_populated),
        cmocka_unit_test(getters_return_what_the_source_was_added_with),
        cmocka_unit_test(listeners_are_notified_of_runs_that_all_others_have_populated),
        cmocka_unit_test(all_listeners_are_asked_about_all_runs_before_the_first_notification),
        cmocka_unit_test(a_change_that_others_do_not_agree_with_notifies_nobody),
        cmocka_unit_test(a_listener_that_registers_is_notified_of_what_all_have_populated),
        cmocka_unit_test(blocks_count_as_populated_once_all_listeners_agreed),
        cmocka_unit_test(a_mixed_range_is_refused),
        cmocka_unit_test(of_a_mixed_range_the_rest_is_changed_if_the_caller_says_so),
        cmocka_unit_test(a_conversion_to_the_same_state_notifies_nobody),
        cmocka_unit_test(invalid_ranges_and_flags_are_refused),
        cmocka_unit_test(leaving_a_source_frees_memory_only_if_it_says_so),
        cmocka_unit_test(prefault_faults_in_only_what_all_agree_on),
        cmocka_unit_test(contents_that_arrived_earlier_are_kept_if_the_caller_says_so),
        cmocka_unit_test(discard_all_leaves_the_other_sources_as_they_are),
        cmocka_unit_test(discard_all_of_a_source_that_frees_nothing_frees_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
