/* SPDX-License-Identifier: MIT */
/* What enters quarantine, what fails in it, and what ends it; and what happens when the host does
 * not free memory. */
#include "discard_util.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <plugmap/log.h>

#include "util/source_util.h"

static void fail_next(Fixture *fixture, unsigned index, int nth, PmError code)
{
    fixture->listeners[index].fail_in = nth;
    fixture->listeners[index].fail_with = code;
}

static void assert_code(GError *error, PmError code)
{
    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    g_error_free(error);
}

static bool try_plug(Fixture *fixture, uint64_t first, uint64_t n_blocks, GError **error)
{
    return source_populate(fixture->manager, first * BLOCK, n_blocks * BLOCK, 0, error);
}

static bool try_unplug(Fixture *fixture, uint64_t first, uint64_t n_blocks, GError **error)
{
    return source_discard(fixture->manager, first * BLOCK, n_blocks * BLOCK, error);
}

static void assert_quarantined(const Fixture *fixture, uint64_t first, uint64_t n_blocks)
{
    uint64_t offset;
    uint64_t size;

    assert_int_equal(pm_discard_manager_get_quarantined(fixture->manager), n_blocks * BLOCK);
    assert_true(
        pm_discard_manager_next_quarantined(fixture->manager, 0, &offset, &size, NULL, NULL));
    assert_int_equal(offset, first * BLOCK);
    assert_int_equal(size, n_blocks * BLOCK);
}

/* Ends every quarantine, so that the fixture can be cleared. */
static void reset(Fixture *fixture)
{
    assert_true(source_discard_all(fixture->manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture->manager), 0);
    assert_int_equal(pm_discard_manager_get_populated(fixture->manager), 0);
    assert_int_equal(resident(fixture), 0);
}

static void a_redo_that_fails_leaves_blocks_populated_and_in_quarantine(void **state)
{
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    add(&fixture, 1, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 0, 8));
    touch(&fixture, 0, 8);
    fail_next(&fixture, 0, 2, PM_ERROR_LIMIT);
    fail_next(&fixture, 1, 1, PM_ERROR_KERNEL);
    assert_false(try_unplug(&fixture, 2, 3, &error));
    assert_non_null(strstr(error->message, "listener b objects"));
    assert_code(error, PM_ERROR_QUARANTINED);
    assert_quarantined(&fixture, 2, 3);
    assert_true(pm_discard_manager_is_populated(fixture.manager, 0, 8 * BLOCK));
    assert_int_equal(resident(&fixture), 8 * BLOCK);
    /* Discarding a block of it, or a range that overlaps it, fails; its neighbors are not affected.
     */
    error = NULL;
    assert_false(try_unplug(&fixture, 4, 1, &error));
    assert_non_null(strstr(error->message, "listener a objects"));
    assert_code(error, PM_ERROR_QUARANTINED);
    error = NULL;
    assert_false(try_unplug(&fixture, 4, 2, &error));
    assert_code(error, PM_ERROR_QUARANTINED);
    assert_true(unplug(&fixture, 5, 3));
    assert_int_equal(resident(&fixture), 5 * BLOCK);
    reset(&fixture);
    fixture_clear(&fixture);
}

static void a_listener_that_reports_a_loss_is_quarantined_at_once(void **state)
{
    static const PmError codes[] = {PM_ERROR_QUARANTINED, PM_ERROR_UNMAP_MISMATCH};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        Fixture fixture;
        GError *errors[3] = {NULL};

        fixture_init(&fixture);
        add(&fixture, 0, &all_ops, 0, N_BLOCKS);
        fail_next(&fixture, 0, 1, codes[i]);
        assert_false(try_plug(&fixture, 4, 2, &errors[0]));
        assert_code(errors[0], PM_ERROR_QUARANTINED);
        assert_quarantined(&fixture, 4, 2);
        assert_true(pm_discard_manager_is_discarded(fixture.manager, 0, SIZE));
        reset(&fixture);

        assert_true(plug(&fixture, 4, 2));
        fail_next(&fixture, 0, 1, codes[i]);
        assert_false(try_unplug(&fixture, 5, 1, &errors[1]));
        assert_code(errors[1], PM_ERROR_QUARANTINED);
        assert_quarantined(&fixture, 5, 1);
        assert_true(pm_discard_manager_is_populated(fixture.manager, 4 * BLOCK, 2 * BLOCK));
        reset(&fixture);

        assert_true(plug(&fixture, 7, 2));
        fail_next(&fixture, 0, 1, codes[i]);
        assert_false(source_discard_all(fixture.manager, &errors[2]));
        assert_code(errors[2], PM_ERROR_QUARANTINED);
        assert_quarantined(&fixture, 7, 2);
        reset(&fixture);
        fixture_clear(&fixture);
    }
}

static void a_listener_that_loses_everything_puts_each_run_into_quarantine(void **state)
{
    Fixture fixture;
    uint64_t offset = 0;
    uint64_t size = 0;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 5, 1));
    assert_true(plug(&fixture, 8, 3));
    fail_next(&fixture, 0, 1, PM_ERROR_UNMAP_MISMATCH);
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 6 * BLOCK);
    for (unsigned i = 0; i < 3; i++)
        assert_true(pm_discard_manager_next_quarantined(fixture.manager, offset + size, &offset,
                                                        &size, NULL, NULL));
    assert_int_equal(offset, 8 * BLOCK);
    assert_int_equal(size, 3 * BLOCK);
    reset(&fixture);
    fixture_clear(&fixture);
}

static void only_the_listeners_part_of_a_range_is_quarantined(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 6, 2);
    touch(&fixture, 4, 6);
    fail_next(&fixture, 0, 1, PM_ERROR_QUARANTINED);
    assert_false(plug(&fixture, 4, 6));
    assert_quarantined(&fixture, 6, 2);
    /* The rest of the range was freed on both sides of it. */
    assert_int_equal(resident(&fixture), 2 * BLOCK);
    assert_true(plug(&fixture, 4, 2));
    assert_true(plug(&fixture, 8, 2));
    reset(&fixture);
    fixture_clear(&fixture);
}

static unsigned count(const char *text, const char *word)
{
    unsigned n_found = 0;

    while ((text = strstr(text, word)) != NULL) {
        n_found++;
        text++;
    }
    return n_found;
}

static void a_message_says_once_how_to_end_quarantine(void **state)
{
    Fixture fixture;
    g_autoptr(GError) first = NULL;
    g_autoptr(GError) later = NULL;
    g_autoptr(GError) all = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    fail_next(&fixture, 0, 1, PM_ERROR_QUARANTINED);
    assert_false(try_plug(&fixture, 4, 2, &first));
    assert_false(try_plug(&fixture, 4, 1, &later));
    fail_next(&fixture, 0, 1, PM_ERROR_QUARANTINED);
    assert_false(source_discard_all(fixture.manager, &all));
    for (unsigned i = 0; i < 3; i++) {
        const char *message = (i == 0 ? first : i == 1 ? later : all)->message;

        assert_int_equal(count(message, "pm_virtio_mem_system_reset()"), 1);
        assert_true(g_str_has_suffix(message, "or have the guest unplug all of it"));
    }
    reset(&fixture);
    fixture_clear(&fixture);
}

static void registering_over_populated_blocks_in_quarantine_fails(void **state)
{
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 4, 4));
    fail_next(&fixture, 0, 1, PM_ERROR_UNMAP_MISMATCH);
    assert_false(unplug(&fixture, 5, 1));
    g_string_truncate(fixture.log, 0);
    assert_false(try_add(&fixture, 1, &plain_ops, 0, N_BLOCKS, &error));
    assert_non_null(strstr(error->message, "listener a objects"));
    assert_code(error, PM_ERROR_QUARANTINED);
    assert_log(&fixture, "");
    /* Next to them it works. */
    assert_true(try_add(&fixture, 1, &plain_ops, 6, 4, NULL));
    assert_log(&fixture, "b+6,2 ");
    reset(&fixture);
    fixture_clear(&fixture);
}

static void a_new_listener_is_not_notified_of_discarded_blocks_in_quarantine(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 4, 1));
    fail_next(&fixture, 0, 1, PM_ERROR_QUARANTINED);
    assert_false(plug(&fixture, 5, 1));
    g_string_truncate(fixture.log, 0);
    assert_true(try_add(&fixture, 1, &all_ops, 0, N_BLOCKS, NULL));
    assert_log(&fixture, "b+4,1 ");
    reset(&fixture);
    fixture_clear(&fixture);
}

static void a_registration_that_fails_to_roll_back_is_quarantined(void **state)
{
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    assert_true(plug(&fixture, 1, 2));
    assert_true(plug(&fixture, 5, 1));
    fail_next(&fixture, 0, 2, PM_ERROR_UNMAP_MISMATCH);
    assert_false(try_add(&fixture, 0, &plain_ops, 0, N_BLOCKS, &error));
    assert_code(error, PM_ERROR_QUARANTINED);
    assert_log(&fixture, "a+1,2 a-1,2 ");
    assert_quarantined(&fixture, 5, 1);
    reset(&fixture);
    /* Not registered: it is not notified. */
    assert_log(&fixture, "");
    fixture_clear(&fixture);
}

static void a_reset_drops_quarantined_blocks_without_discard_all(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&fixture, 1, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 3, 1));
    fail_next(&fixture, 0, 2, PM_ERROR_KERNEL);
    fail_next(&fixture, 1, 1, PM_ERROR_LIMIT);
    assert_false(plug(&fixture, 4, 2));
    assert_quarantined(&fixture, 4, 2);
    g_string_truncate(fixture.log, 0);
    assert_true(source_discard_all(fixture.manager, NULL));
    assert_log(&fixture, "a-3,3 b-all ");
    fixture_clear(&fixture);
}

static void a_failed_reset_ends_no_quarantine(void **state)
{
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    fail_next(&fixture, 0, 1, PM_ERROR_QUARANTINED);
    assert_false(plug(&fixture, 4, 2));
    fail_next(&fixture, 0, 1, PM_ERROR_KERNEL);
    assert_false(source_discard_all(fixture.manager, &error));
    assert_code(error, PM_ERROR_KERNEL);
    assert_quarantined(&fixture, 4, 2);
    reset(&fixture);
    fixture_clear(&fixture);
}

/* They were notified again of all that is plugged. */
static void a_failed_reset_ends_losses_of_listeners_that_dropped_all(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    add(&fixture, 1, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 4, 2));
    fail_next(&fixture, 0, 1, PM_ERROR_UNMAP_MISMATCH);
    assert_false(unplug(&fixture, 5, 1));
    assert_quarantined(&fixture, 5, 1);
    fail_next(&fixture, 1, 1, PM_ERROR_BUSY);
    assert_false(source_discard_all(fixture.manager, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    check_views(&fixture);
    assert_true(unplug(&fixture, 4, 2));
    fixture_clear(&fixture);
}

static void count_warning(GLogLevelFlags level, const char *message, void *user_data)
{
    unsigned *n_warnings = user_data;

    assert_int_equal(level, G_LOG_LEVEL_WARNING);
    assert_non_null(strstr(message, "128K"));
    (*n_warnings)++;
}

static void entering_quarantine_is_logged(void **state)
{
    Fixture fixture;
    unsigned n_warnings = 0;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    pm_log_set_func(count_warning, &n_warnings);
    fail_next(&fixture, 0, 1, PM_ERROR_LIMIT);
    assert_false(plug(&fixture, 4, 2));
    assert_int_equal(n_warnings, 0);
    fail_next(&fixture, 0, 1, PM_ERROR_QUARANTINED);
    assert_false(plug(&fixture, 4, 2));
    assert_int_equal(n_warnings, 1);
    pm_log_set_func(NULL, NULL);
    reset(&fixture);
    fixture_clear(&fixture);
}

/* A fixture with memory that may be locked: the host does not discard locked memory. */
static void init_lockable(Fixture *fixture)
{
    fixture_init(fixture);
    pm_discard_manager_unref(fixture->manager);
    pm_ram_unref(fixture->ram);
    fixture->ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, BLOCK, NULL);
    fixture->manager = manager_with_source(fixture->ram, BLOCK, NULL);
    assert_non_null(fixture->manager);
}

static void lock_block(const Fixture *fixture, uint64_t block)
{
    char *host = pm_ram_get_host(fixture->ram);

    /* The sanitizers make mlock() do nothing. */
    if (syscall(SYS_mlock, host + block * BLOCK, BLOCK) != 0) {
        print_error("skipped: this process may not lock 64 KiB (ulimit -l)\n");
        skip();
    }
}

static void unlock_block(const Fixture *fixture, uint64_t block)
{
    char *host = pm_ram_get_host(fixture->ram);

    assert_int_equal(syscall(SYS_munlock, host + block * BLOCK, BLOCK), 0);
}

static void memory_that_is_not_freed_fails_a_discard_and_listeners_are_renotified(void **state)
{
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    init_lockable(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&fixture, 1, &plain_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 2, 4));
    g_string_truncate(fixture.log, 0);
    lock_block(&fixture, 3);
    assert_false(try_unplug(&fixture, 3, 1, &error));
    assert_code(error, PM_ERROR_MEMORY);
    assert_log(&fixture, "a-3,1 b-3,1 b+3,1 a+3,1 ");
    assert_true(pm_discard_manager_is_populated(fixture.manager, 2 * BLOCK, 4 * BLOCK));
    check_views(&fixture);
    unlock_block(&fixture, 3);
    assert_true(unplug(&fixture, 3, 1));
    fixture_clear(&fixture);
}

static void memory_that_is_not_freed_fails_a_reset_and_listeners_are_renotified(void **state)
{
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    init_lockable(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    add(&fixture, 1, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 2, 1));
    assert_true(plug(&fixture, 5, 2));
    g_string_truncate(fixture.log, 0);
    lock_block(&fixture, 5);
    assert_false(source_discard_all(fixture.manager, &error));
    assert_code(error, PM_ERROR_MEMORY);
    assert_log(&fixture, "a-2,1 a-5,2 b-all b+5,2 b+2,1 a+5,2 a+2,1 ");
    assert_int_equal(pm_discard_manager_get_populated(fixture.manager), 3 * BLOCK);
    check_views(&fixture);
    unlock_block(&fixture, 5);
    reset(&fixture);
    fixture_clear(&fixture);
}

static void memory_not_freed_after_an_objection_is_quarantined_until_freed(void **state)
{
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    init_lockable(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    touch(&fixture, 3, 2);
    lock_block(&fixture, 3);
    fail_next(&fixture, 0, 1, PM_ERROR_LIMIT);
    assert_false(try_plug(&fixture, 3, 1, &error));
    assert_non_null(strstr(error->message, "listener a objects"));
    assert_non_null(strstr(error->message, "cannot discard 64K"));
    assert_non_null(strstr(error->message, "until the host frees the memory"));
    assert_code(error, PM_ERROR_QUARANTINED);
    assert_quarantined(&fixture, 3, 1);
    /* Not populated while it has its old contents. */
    error = NULL;
    assert_false(try_plug(&fixture, 3, 1, &error));
    assert_non_null(strstr(error->message, "because of the host"));
    assert_non_null(strstr(error->message, "until the host frees the memory"));
    assert_null(strstr(error->message, "pm_virtio_mem_system_reset()"));
    assert_code(error, PM_ERROR_QUARANTINED);
    assert_true(plug(&fixture, 4, 1));
    unlock_block(&fixture, 3);
    /* Any later discard retries. */
    assert_true(unplug(&fixture, 4, 1));
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    assert_int_equal(resident(&fixture), 0);
    assert_true(plug(&fixture, 3, 1));
    fixture_clear(&fixture);
}

static bool object_without_a_word(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data, (void)offset, (void)size, (void)error;
    return false;
}

static void a_listener_that_fails_without_an_error_is_named(void **state)
{
    static const PmDiscardListenerOps ops = {.struct_size = sizeof(ops),
                                             .populate = object_without_a_word,
                                             .discard = object_without_a_word};
    Fixture fixture;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &ops, 0, N_BLOCKS);
    assert_false(try_plug(&fixture, 0, 1, &error));
    assert_non_null(strstr(error->message, "a listener of the test"));
    assert_code(error, PM_ERROR_LISTENER);
    fixture_clear(&fixture);
}

static void unregistering_a_listener_ends_its_losses(void **state)
{
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    assert_true(plug(&fixture, 4, 2));
    fail_next(&fixture, 0, 1, PM_ERROR_UNMAP_MISMATCH);
    assert_false(unplug(&fixture, 5, 1));
    assert_quarantined(&fixture, 5, 1);
    assert_true(pm_discard_manager_unregister(fixture.manager, fixture.listeners[0].handle, NULL));
    fixture.listeners[0].handle = NULL;
    assert_int_equal(pm_discard_manager_get_quarantined(fixture.manager), 0);
    assert_true(unplug(&fixture, 4, 2));
    fixture_clear(&fixture);
}

static void unregistering_an_unknown_listener_fails(void **state)
{
    Fixture fixture;
    PmDiscardListener *gone;
    GError *error = NULL;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &plain_ops, 0, N_BLOCKS);
    gone = fixture.listeners[0].handle;
    assert_true(pm_discard_manager_unregister(fixture.manager, gone, NULL));
    fixture.listeners[0].handle = NULL;
    assert_false(pm_discard_manager_unregister(fixture.manager, gone, &error));
    assert_code(error, PM_ERROR_NOT_FOUND);
    fixture_clear(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_redo_that_fails_leaves_blocks_populated_and_in_quarantine),
        cmocka_unit_test(a_listener_that_reports_a_loss_is_quarantined_at_once),
        cmocka_unit_test(a_listener_that_loses_everything_puts_each_run_into_quarantine),
        cmocka_unit_test(only_the_listeners_part_of_a_range_is_quarantined),
        cmocka_unit_test(a_message_says_once_how_to_end_quarantine),
        cmocka_unit_test(registering_over_populated_blocks_in_quarantine_fails),
        cmocka_unit_test(a_new_listener_is_not_notified_of_discarded_blocks_in_quarantine),
        cmocka_unit_test(a_registration_that_fails_to_roll_back_is_quarantined),
        cmocka_unit_test(a_reset_drops_quarantined_blocks_without_discard_all),
        cmocka_unit_test(a_failed_reset_ends_no_quarantine),
        cmocka_unit_test(a_failed_reset_ends_losses_of_listeners_that_dropped_all),
        cmocka_unit_test(entering_quarantine_is_logged),
        cmocka_unit_test(memory_that_is_not_freed_fails_a_discard_and_listeners_are_renotified),
        cmocka_unit_test(memory_that_is_not_freed_fails_a_reset_and_listeners_are_renotified),
        cmocka_unit_test(memory_not_freed_after_an_objection_is_quarantined_until_freed),
        cmocka_unit_test(a_listener_that_fails_without_an_error_is_named),
        cmocka_unit_test(unregistering_a_listener_ends_its_losses),
        cmocka_unit_test(unregistering_an_unknown_listener_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
