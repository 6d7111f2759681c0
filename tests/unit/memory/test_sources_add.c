/* SPDX-License-Identifier: MIT */
/* Adding and removing sources, and the granularity. */
#include "sources_util.h"

#include <limits.h>
#include <string.h>

/* Bitmaps: allocations after the next @n_left fail. */
gpointer __real_g_try_malloc0_n(gsize n_blocks, gsize block_size);
gpointer __wrap_g_try_malloc0_n(gsize n_blocks, gsize block_size);

static unsigned n_left = UINT_MAX;

gpointer __wrap_g_try_malloc0_n(gsize n_blocks, gsize block_size)
{
    if (n_left == 0)
        return NULL;
    n_left--;
    return __real_g_try_malloc0_n(n_blocks, block_size);
}

static void assert_error(GError *error, PmError code, const char *part)
{
    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    if (strstr(error->message, part) == NULL)
        fail_msg("no '%s' in '%s'", part, error->message);
    g_error_free(error);
}

static void adding_a_source_discards_what_it_does_not_have(void **state)
{
    const uint64_t bits = UINT64_C(0xf0f);
    Sources sources;
    PmDiscardSource *source;

    (void)state;
    sources_init_bare(&sources, BLOCK);
    sources.plug = add_source(&sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY);
    assert_true(source_on(sources.plug, 0, 16));
    add(&sources.fixture, 0, &objecting_ops, 0, N_BLOCKS);
    add(&sources.fixture, 1, &plain_ops, 2, 4);
    g_string_truncate(sources.fixture.log, 0);
    source = try_add_source(&sources, "share", BLOCK, 0, &bits, NULL);
    assert_non_null(source);
    assert_log(&sources.fixture, "a~4,4 a~12,4 a-4,4 b-4,2 a-12,4 ");
    assert_populated(&sources, "0,4 8,4 ");
    check_views(&sources.fixture);
    fixture_clear(&sources.fixture);
}

static void removing_a_source_populates_what_only_it_had_discarded(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 4, 8));
    assert_true(source_off(sources.share, 2, 4) && source_off(sources.share, 9, 1));
    add(&sources.fixture, 0, &asking_ops, 0, N_BLOCKS);
    g_string_truncate(sources.fixture.log, 0);
    assert_true(pm_discard_manager_remove_source(sources.fixture.manager, sources.share, NULL));
    assert_log(&sources.fixture, "a?4,2 a?9,1 a+4,2 a+9,1 ");
    assert_populated(&sources, "4,8 ");
    fixture_clear(&sources.fixture);
}

static void removing_the_last_source_populates_everything(void **state)
{
    Sources sources;

    (void)state;
    sources_init_bare(&sources, COARSE);
    sources.plug = add_source(&sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY);
    assert_populated(&sources, "");
    assert_true(pm_discard_manager_remove_source(sources.fixture.manager, sources.plug, NULL));
    assert_populated(&sources, "0,32 ");
    fixture_clear(&sources.fixture);
}

static void a_second_source_of_the_same_name_is_refused(void **state)
{
    Sources sources;
    GError *error = NULL;

    (void)state;
    sources_init(&sources);
    assert_null(try_add_source(&sources, "plug", COARSE, 0, NULL, &error));
    assert_error(error, PM_ERROR_BUSY, "a discard source named plug exists");
    fixture_clear(&sources.fixture);
}

static void a_source_of_another_manager_is_not_removed(void **state)
{
    Sources sources;
    Sources other;
    GError *error = NULL;

    (void)state;
    sources_init(&sources);
    sources_init(&other);
    assert_false(pm_discard_manager_remove_source(sources.fixture.manager, other.plug, &error));
    assert_error(error, PM_ERROR_NOT_FOUND, "not a source of this discard manager");
    assert_source_has(other.plug, "");
    fixture_clear(&other.fixture);
    fixture_clear(&sources.fixture);
}

static void invalid_sources_are_refused(void **state)
{
    static const struct {
        const char *name;
        uint64_t granularity;
        uint64_t flags;
        PmError code;
    } table[] = {
        {NULL, BLOCK, 0, PM_ERROR_INVALID_ARGUMENT},
        {"", BLOCK, 0, PM_ERROR_INVALID_ARGUMENT},
        {"x", 0, 0, PM_ERROR_INVALID_ARGUMENT},
        {"x", 3 * BLOCK, 0, PM_ERROR_INVALID_ARGUMENT},
        {"x", 2048, 0, PM_ERROR_INVALID_ARGUMENT},
        {"x", 2 * SIZE, 0, PM_ERROR_UNALIGNED},
        {"x", BLOCK, 1 << 6, PM_ERROR_INVALID_ARGUMENT},
    };
    Sources sources;
    GError *error = NULL;

    (void)state;
    sources_init(&sources);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        assert_null(try_add_source(&sources, table[i].name, table[i].granularity, table[i].flags,
                                   NULL, &error));
        assert_error(error, table[i].code, "");
        error = NULL;
    }
    fixture_clear(&sources.fixture);
}

static void bits_past_the_last_granule_are_ignored(void **state)
{
    const uint64_t bits = UINT64_MAX;
    Sources sources;

    (void)state;
    sources_init_bare(&sources, COARSE);
    assert_non_null(try_add_source(&sources, "share", BLOCK, 0, &bits, NULL));
    assert_populated(&sources, "0,32 ");
    fixture_clear(&sources.fixture);
}

static void a_new_source_frees_the_memory_that_it_has_discarded(void **state)
{
    const uint64_t bits = 1;
    Sources sources;

    (void)state;
    sources_init_bare(&sources, COARSE);
    touch(&sources.fixture, 0, N_BLOCKS);
    assert_non_null(
        try_add_source(&sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY, &bits, NULL));
    assert_int_equal(resident(&sources.fixture), COARSE);
    fixture_clear(&sources.fixture);
}

static void a_new_source_keeps_contents_that_arrived_earlier(void **state)
{
    Sources sources;

    (void)state;
    sources_init_bare(&sources, COARSE);
    touch(&sources.fixture, 0, N_BLOCKS);
    (void)add_source(&sources, "plug", COARSE,
                     PM_DISCARD_SOURCE_FREES_MEMORY | PM_DISCARD_SOURCE_KEEP_CONTENTS);
    assert_int_equal(resident(&sources.fixture), SIZE);
    assert_populated(&sources, "");
    fixture_clear(&sources.fixture);
}

/* --- granularity --- */

static uint64_t granularity_of(const Sources *sources)
{
    return pm_discard_manager_get_granularity(sources->fixture.manager);
}

static void a_finer_source_refines_the_granularity(void **state)
{
    Sources sources;

    (void)state;
    sources_init_bare(&sources, COARSE);
    sources.plug = add_source(&sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY);
    assert_true(source_on(sources.plug, 4, 4) && source_on(sources.plug, 12, 8));
    assert_int_equal(granularity_of(&sources), COARSE);
    sources.share = add_source(&sources, "share", BLOCK, PM_DISCARD_SOURCE_POPULATED);
    assert_int_equal(granularity_of(&sources), BLOCK);
    assert_populated(&sources, "4,4 12,8 ");
    fixture_clear(&sources.fixture);
}

static void the_granularity_becomes_coarser_when_the_finest_source_is_removed(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 4, 4) && source_off(sources.share, 5, 1));
    assert_true(pm_discard_manager_remove_source(sources.fixture.manager, sources.share, NULL));
    assert_int_equal(granularity_of(&sources), COARSE);
    assert_populated(&sources, "4,4 ");
    fixture_clear(&sources.fixture);
}

static void the_granularity_does_not_change_while_a_listener_is_registered(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&sources.fixture, 1, &plain_ops, 4, 8);
    assert_true(pm_discard_manager_remove_source(sources.fixture.manager, sources.share, NULL));
    assert_int_equal(granularity_of(&sources), BLOCK);
    assert_true(pm_discard_manager_unregister(sources.fixture.manager,
                                              sources.fixture.listeners[1].handle, NULL));
    sources.fixture.listeners[1].handle = NULL;
    assert_int_equal(granularity_of(&sources), BLOCK);
    assert_true(pm_discard_manager_unregister(sources.fixture.manager,
                                              sources.fixture.listeners[0].handle, NULL));
    sources.fixture.listeners[0].handle = NULL;
    assert_int_equal(granularity_of(&sources), COARSE);
    fixture_clear(&sources.fixture);
}

static void the_granularity_becomes_coarser_when_the_last_listener_is_dropped(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    assert_true(pm_discard_manager_remove_source(sources.fixture.manager, sources.share, NULL));
    assert_int_equal(granularity_of(&sources), BLOCK);
    pm_discard_manager_drop(sources.fixture.manager, sources.fixture.listeners[0].handle);
    sources.fixture.listeners[0].handle = NULL;
    assert_int_equal(granularity_of(&sources), COARSE);
    fixture_clear(&sources.fixture);
}

static void a_source_finer_than_what_a_listener_knows_is_refused(void **state)
{
    Sources sources;
    GError *error = NULL;

    (void)state;
    sources_init_bare(&sources, COARSE);
    sources.plug = add_source(&sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY);
    assert_true(source_on(sources.plug, 4, 4));
    add(&sources.fixture, 0, &asking_ops, 4, 8);
    g_string_truncate(sources.fixture.log, 0);
    assert_null(try_add_source(&sources, "share", BLOCK, 0, NULL, &error));
    assert_string_equal(pm_error_get_listener(error), "a listener of the test");
    assert_error(error, PM_ERROR_BUSY, "a listener of the test follows blocks of 256K");
    assert_log(&sources.fixture, "");
    assert_int_equal(granularity_of(&sources), COARSE);
    assert_populated(&sources, "4,4 ");
    fixture_clear(&sources.fixture);
}

static void a_manager_made_with_a_fine_granularity_takes_fine_sources_later(void **state)
{
    Sources sources;

    (void)state;
    sources_init_bare(&sources, BLOCK);
    sources.plug = add_source(&sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY);
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    (void)add_source(&sources, "share", BLOCK, PM_DISCARD_SOURCE_POPULATED);
    fixture_clear(&sources.fixture);
}

/* Bitmaps of the source, and of the finer blocks. */
static void lack_of_memory_for_a_source_changes_nothing(void **state)
{
    Sources sources;
    unsigned n_allocations = 0;

    (void)state;
    sources_init_bare(&sources, COARSE);
    sources.plug = add_source(&sources, "plug", COARSE, PM_DISCARD_SOURCE_FREES_MEMORY);
    assert_true(source_on(sources.plug, 4, 4));
    for (;; n_allocations++) {
        GError *error = NULL;

        n_left = n_allocations;
        sources.share =
            try_add_source(&sources, "share", BLOCK, PM_DISCARD_SOURCE_POPULATED, NULL, &error);
        n_left = UINT_MAX;
        if (sources.share != NULL)
            break;
        assert_error(error, PM_ERROR_MEMORY, "cannot allocate");
        assert_int_equal(granularity_of(&sources), COARSE);
        assert_populated(&sources, "4,4 ");
    }
    assert_int_equal(n_allocations, 5);
    fixture_clear(&sources.fixture);
}

static void changes_allocate_nothing_that_can_fail(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    n_left = 0;
    assert_true(source_on(sources.plug, 0, N_BLOCKS));
    assert_true(source_off(sources.share, 3, 9));
    assert_true(pm_discard_source_discard_all(sources.plug, NULL));
    n_left = UINT_MAX;
    fixture_clear(&sources.fixture);
}

/* --- quarantine --- */

static void while_something_is_in_quarantine_no_source_is_added_or_removed(void **state)
{
    Sources sources;
    GError *error = NULL;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 4, 4));
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    sources.fixture.listeners[0].fail_in = 1;
    sources.fixture.listeners[0].fail_with = PM_ERROR_QUARANTINED;
    assert_false(source_off(sources.share, 4, 1));
    assert_null(try_add_source(&sources, "other", BLOCK, 0, NULL, &error));
    assert_error(error, PM_ERROR_QUARANTINED, "a listener of the test");
    error = NULL;
    assert_false(pm_discard_manager_remove_source(sources.fixture.manager, sources.share, &error));
    assert_error(error, PM_ERROR_QUARANTINED, "a listener of the test");
    assert_true(pm_discard_source_discard_all(sources.plug, NULL));
    assert_non_null(try_add_source(&sources, "other", BLOCK, 0, NULL, NULL));
    fixture_clear(&sources.fixture);
}

static void no_source_changes_a_block_in_quarantine(void **state)
{
    Sources sources;

    (void)state;
    sources_init(&sources);
    assert_true(source_on(sources.plug, 4, 4));
    add(&sources.fixture, 0, &plain_ops, 0, N_BLOCKS);
    sources.fixture.listeners[0].fail_in = 1;
    sources.fixture.listeners[0].fail_with = PM_ERROR_QUARANTINED;
    assert_false(source_off(sources.share, 5, 1));
    assert_int_equal(pm_discard_manager_get_quarantined(sources.fixture.manager), BLOCK);
    assert_false(source_off(sources.plug, 4, 4));
    assert_false(source_off(sources.share, 5, 1));
    assert_true(source_off(sources.share, 6, 1));
    assert_true(pm_discard_source_discard_all(sources.plug, NULL));
    fixture_clear(&sources.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding_a_source_discards_what_it_does_not_have),
        cmocka_unit_test(removing_a_source_populates_what_only_it_had_discarded),
        cmocka_unit_test(removing_the_last_source_populates_everything),
        cmocka_unit_test(a_second_source_of_the_same_name_is_refused),
        cmocka_unit_test(a_source_of_another_manager_is_not_removed),
        cmocka_unit_test(invalid_sources_are_refused),
        cmocka_unit_test(bits_past_the_last_granule_are_ignored),
        cmocka_unit_test(a_new_source_frees_the_memory_that_it_has_discarded),
        cmocka_unit_test(a_new_source_keeps_contents_that_arrived_earlier),
        cmocka_unit_test(a_finer_source_refines_the_granularity),
        cmocka_unit_test(the_granularity_becomes_coarser_when_the_finest_source_is_removed),
        cmocka_unit_test(the_granularity_does_not_change_while_a_listener_is_registered),
        cmocka_unit_test(the_granularity_becomes_coarser_when_the_last_listener_is_dropped),
        cmocka_unit_test(a_source_finer_than_what_a_listener_knows_is_refused),
        cmocka_unit_test(a_manager_made_with_a_fine_granularity_takes_fine_sources_later),
        cmocka_unit_test(lack_of_memory_for_a_source_changes_nothing),
        cmocka_unit_test(changes_allocate_nothing_that_can_fail),
        cmocka_unit_test(while_something_is_in_quarantine_no_source_is_added_or_removed),
        cmocka_unit_test(no_source_changes_a_block_in_quarantine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
