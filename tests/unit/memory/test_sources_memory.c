/* SPDX-License-Identifier: MIT */
/* The host fails to free the memory of one of several runs: what was freed before has lost its
 * contents, and nothing else has. */
#include "sources_util.h"

#include "util/locked_page.h"

/* Blocks in quarantine: "4,4 ". */
static void assert_quarantined(const Sources *sources, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    uint64_t offset = 0;
    uint64_t size = 0;

    while (pm_discard_manager_next_quarantined(sources->fixture.manager, offset + size, &offset,
                                               &size, NULL, NULL))
        g_string_append_printf(text, "%d,%d ", (int)(offset / BLOCK), (int)(size / BLOCK));
    assert_string_equal(text->str, expected);
}

/* Private memory, of which a locked page is not freed. Nobody frees it without a source. */
static char *init(Sources *sources, uint64_t granularity)
{
    Fixture *fixture = &sources->fixture;

    sources_init_bare(sources, COARSE);
    pm_discard_manager_unref(fixture->manager);
    pm_ram_unref(fixture->ram);
    fixture->ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, BLOCK, NULL);
    fixture->manager = pm_discard_manager_new(fixture->ram, granularity, NULL);
    assert_non_null(fixture->manager);
    return pm_ram_get_host(fixture->ram);
}

static void of_a_mixed_discard_only_what_was_freed_is_lost(void **state)
{
    Sources sources;
    char *host = init(&sources, COARSE);
    GError *error = NULL;

    (void)state;
    lock_page(host + 12 * BLOCK);
    sources.plug = add_source(&sources, "plug", COARSE,
                              PM_DISCARD_SOURCE_FREES_MEMORY | PM_DISCARD_SOURCE_KEEP_CONTENTS);
    assert_true(source_on(sources.plug, 4, 4) && source_on(sources.plug, 12, 4) &&
                source_on(sources.plug, 20, 4));
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    g_string_truncate(sources.fixture.log, 0);
    assert_false(pm_discard_source_discard(sources.plug, 0, SIZE, PM_DISCARD_CHANGE_MIXED, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    g_clear_error(&error);
    assert_log(&sources.fixture, "a-4,4 a-12,4 a-20,4 a+20,4 a+12,4 a+4,4 ");
    assert_source_has(sources.plug, "4,4 12,4 20,4 ");
    assert_quarantined(&sources, "4,4 ");
    unlock_page(host + 12 * BLOCK);
    assert_true(pm_discard_source_discard_all(sources.plug, NULL));
    assert_quarantined(&sources, "");
    fixture_clear(&sources.fixture);
}

static void a_discard_of_one_run_that_the_host_refuses_loses_nothing(void **state)
{
    Sources sources;
    char *host = init(&sources, COARSE);
    GError *error = NULL;

    (void)state;
    sources.plug = add_source(&sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY);
    sources.share = add_source(&sources, "share", BLOCK, PM_DISCARD_SOURCE_POPULATED);
    assert_true(source_on(sources.plug, 4, 4) && source_off(sources.share, 5, 1));
    lock_page(host + 5 * BLOCK);
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    assert_false(pm_discard_source_discard(sources.plug, 4 * BLOCK, COARSE, 0, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    g_clear_error(&error);
    assert_quarantined(&sources, "");
    check_views(&sources.fixture);
    unlock_page(host + 5 * BLOCK);
    assert_true(source_off(sources.plug, 4, 4));
    fixture_clear(&sources.fixture);
}

static void a_source_that_frees_nothing_of_what_it_has_discarded_is_not_added(void **state)
{
    const uint64_t bits = UINT64_C(0xffffff0f);
    Sources sources;
    char *host = init(&sources, COARSE);
    GError *error = NULL;

    (void)state;
    lock_page(host + 5 * BLOCK);
    assert_null(
        try_add_source(&sources, "plug", BLOCK, PM_DISCARD_SOURCE_FREES_MEMORY, &bits, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    g_clear_error(&error);
    assert_quarantined(&sources, "");
    assert_populated(&sources, "0,32 ");
    assert_int_equal(pm_discard_manager_get_granularity(sources.fixture.manager), COARSE);
    unlock_page(host + 5 * BLOCK);
    assert_non_null(
        try_add_source(&sources, "plug", BLOCK, PM_DISCARD_SOURCE_FREES_MEMORY, &bits, NULL));
    fixture_clear(&sources.fixture);
}

static void what_a_new_source_freed_before_it_failed_is_lost(void **state)
{
    const uint64_t bits = UINT64_C(0xff0fff0f);
    Sources sources;
    char *host = init(&sources, BLOCK);
    GError *error = NULL;

    (void)state;
    lock_page(host + 21 * BLOCK);
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    assert_null(
        try_add_source(&sources, "plug", BLOCK, PM_DISCARD_SOURCE_FREES_MEMORY, &bits, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    g_clear_error(&error);
    check_views(&sources.fixture);
    assert_populated(&sources, "0,32 ");
    assert_quarantined(&sources, "4,4 ");
    unlock_page(host + 21 * BLOCK);
    fixture_clear(&sources.fixture);
}

/* Half of a coarse block. */
static void the_finer_granularity_stays_if_contents_were_lost(void **state)
{
    const uint64_t bits = UINT64_C(0xffffffcc);
    Sources sources;
    char *host = init(&sources, COARSE);

    (void)state;
    lock_page(host + 4 * BLOCK);
    assert_null(
        try_add_source(&sources, "plug", BLOCK, PM_DISCARD_SOURCE_FREES_MEMORY, &bits, NULL));
    assert_quarantined(&sources, "0,2 ");
    assert_int_equal(pm_discard_manager_get_granularity(sources.fixture.manager), BLOCK);
    unlock_page(host + 4 * BLOCK);
    fixture_clear(&sources.fixture);
}

/* The host frees it later: only a source that frees memory can end this. */
static void what_is_stuck_survives_a_discard_all_that_frees_nothing(void **state)
{
    Sources sources;
    char *host = init(&sources, COARSE);

    (void)state;
    sources.plug = add_source(&sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY);
    sources.share = add_source(&sources, "share", BLOCK, PM_DISCARD_SOURCE_POPULATED);
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    lock_page(host + 4 * BLOCK);
    sources.fixture.listeners[0].fail_in = 1;
    sources.fixture.listeners[0].fail_with = PM_ERROR_LIMIT;
    assert_false(source_on(sources.plug, 4, 4));
    assert_quarantined(&sources, "4,4 ");
    assert_true(pm_discard_source_discard_all(sources.share, NULL));
    assert_quarantined(&sources, "4,4 ");
    unlock_page(host + 4 * BLOCK);
    assert_true(pm_discard_source_discard_all(sources.plug, NULL));
    assert_quarantined(&sources, "");
    fixture_clear(&sources.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_mixed_discard_only_what_was_freed_is_lost),
        cmocka_unit_test(a_discard_of_one_run_that_the_host_refuses_loses_nothing),
        cmocka_unit_test(a_source_that_frees_nothing_of_what_it_has_discarded_is_not_added),
        cmocka_unit_test(what_a_new_source_freed_before_it_failed_is_lost),
        cmocka_unit_test(the_finer_granularity_stays_if_contents_were_lost),
        cmocka_unit_test(what_is_stuck_survives_a_discard_all_that_frees_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
