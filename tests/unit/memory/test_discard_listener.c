/* SPDX-License-Identifier: MIT */
/* What a listener must have, and what its errors contain. */
#include "discard_util.h"

#include <errno.h>
#include <string.h>

#include "util/source_util.h"

#define NAME "a listener of the test"

static void count_free(void *user_data)
{
    (*(int *)user_data)++;
}

static void listener_without_a_mandatory_callback_or_name_is_rejected(void **state)
{
    static const struct {
        const PmDiscardListenerOps ops;
        const char *name;
        const char *missing;
    } table[] = {
        {{.struct_size = sizeof(PmDiscardListenerOps),
          .discard = listener_discard,
          .free = count_free},
         NAME,
         "must have a populate callback"},
        {{.struct_size = sizeof(PmDiscardListenerOps),
          .populate = listener_discard,
          .free = count_free},
         NAME,
         "must have a discard callback"},
        {{.struct_size = sizeof(PmDiscardListenerOps),
          .populate = listener_discard,
          .discard = listener_discard,
          .free = count_free},
         NULL,
         "must have a name"},
        {{.struct_size = sizeof(PmDiscardListenerOps),
          .populate = listener_discard,
          .discard = listener_discard,
          .free = count_free},
         "",
         "must have a name"},
    };
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;
        int n_freed = 0;

        assert_null(pm_discard_manager_register(fixture.manager, &table[i].ops, &n_freed,
                                                table[i].name, 0, SIZE, &error));
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
        assert_non_null(strstr(error->message, table[i].missing));
        assert_int_equal(n_freed, 1);
    }
    fixture_clear(&fixture);
}

static void listener_without_operations_is_rejected(void **state)
{
    g_autoptr(GError) error = NULL;
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    assert_null(pm_discard_manager_register(fixture.manager, NULL, NULL, NAME, 0, SIZE, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
    fixture_clear(&fixture);
}

/* Fails on demand. */
typedef struct {
    const GError *failure; /* NULL: fail without an error */
    bool at_question;
} Failing;

static Failing failing;

static bool give_failure(GError **error)
{
    if (failing.failure != NULL)
        g_propagate_error(error, g_error_copy(failing.failure));
    return false;
}

static bool question(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data, (void)offset, (void)size;
    return !failing.at_question || give_failure(error);
}

static bool notification(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    (void)user_data, (void)offset, (void)size;
    return failing.at_question || give_failure(error);
}

static bool all_notification(void *user_data, GError **error)
{
    (void)user_data;
    return failing.at_question || give_failure(error);
}

typedef bool (*Change)(Fixture *fixture, GError **error);

static bool change_populate(Fixture *fixture, GError **error)
{
    return source_populate(fixture->manager, BLOCK, BLOCK, 0, error);
}

static bool change_discard(Fixture *fixture, GError **error)
{
    return source_discard(fixture->manager, 0, BLOCK, error);
}

static bool change_discard_all(Fixture *fixture, GError **error)
{
    return source_discard_all(fixture->manager, error);
}

/* The error of each change that a listener fails, when asked and when notified. */
static void check_each_error(const GError *failure, void (*check)(const GError *error))
{
    static const PmDiscardListenerOps ops = {.struct_size = sizeof(ops),
                                             .can_populate = question,
                                             .can_discard = question,
                                             .populate = notification,
                                             .discard = notification,
                                             .discard_all = all_notification};
    static const Change changes[] = {change_populate, change_discard, change_discard_all};

    for (unsigned at_question = 0; at_question < 2; at_question++)
        for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
            g_autoptr(GError) error = NULL;
            PmDiscardListener *listener;
            Fixture fixture;

            fixture_init(&fixture);
            assert_true(plug(&fixture, 0, 1));
            failing = (Failing){.at_question = true};
            listener =
                pm_discard_manager_register(fixture.manager, &ops, NULL, NAME, 0, SIZE, NULL);
            assert_non_null(listener);
            failing = (Failing){failure, at_question != 0};
            assert_false(changes[i](&fixture, &error));
            check(error);
            failing.at_question = true;
            assert_true(pm_discard_manager_unregister(fixture.manager, listener, NULL));
            fixture_clear(&fixture);
        }
}

static void check_refused_by_the_kernel(const GError *error)
{
    g_autoptr(GError) copy = g_error_copy(error);

    assert_true(g_error_matches(copy, PM_ERROR, PM_ERROR_LIMIT));
    assert_string_equal(copy->message, NAME ": no room");
    assert_string_equal(pm_error_get_listener(copy), NAME);
    assert_int_equal(pm_error_get_errno(copy), ENOSPC);
    assert_null(pm_error_get_cause(copy));
}

static void error_names_the_listener_and_keeps_its_code_and_errno(void **state)
{
    g_autoptr(GError) failure = g_error_new(PM_ERROR, PM_ERROR_LIMIT, "no room");

    (void)state;
    pm_error_set_errno(failure, ENOSPC);
    check_each_error(failure, check_refused_by_the_kernel);
}

static void check_foreign(const GError *error)
{
    g_autoptr(GError) copy = g_error_copy(error);

    assert_true(g_error_matches(copy, PM_ERROR, PM_ERROR_LISTENER));
    assert_string_equal(copy->message, NAME ": no disk");
    assert_string_equal(pm_error_get_listener(copy), NAME);
    assert_true(g_error_matches(pm_error_get_cause(copy), G_FILE_ERROR, G_FILE_ERROR_IO));
    assert_string_equal(pm_error_get_cause(copy)->message, "no disk");
}

static void error_of_another_domain_is_kept_as_the_cause(void **state)
{
    g_autoptr(GError) failure = g_error_new(G_FILE_ERROR, G_FILE_ERROR_IO, "no disk");

    (void)state;
    check_each_error(failure, check_foreign);
}

static void check_mute(const GError *error)
{
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_LISTENER));
    assert_string_equal(pm_error_get_listener(error), NAME);
    assert_null(pm_error_get_cause(error));
}

static void listener_that_sets_no_error_is_named(void **state)
{
    (void)state;
    check_each_error(NULL, check_mute);
}

/* The failing call does not call the listener. */
static void quarantine_error_names_the_listener(void **state)
{
    g_autoptr(GError) error = NULL;
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    add(&fixture, 0, &all_ops, 0, N_BLOCKS);
    fixture.listeners[0].fail_in = 1;
    fixture.listeners[0].fail_with = PM_ERROR_QUARANTINED;
    assert_false(plug(&fixture, 3, 1));
    assert_false(source_populate(fixture.manager, 3 * BLOCK, BLOCK, 0, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    assert_string_equal(pm_error_get_listener(error), "a listener of the test");
    assert_true(source_discard_all(fixture.manager, NULL));
    fixture_clear(&fixture);
}

static void error_without_a_listener_names_none(void **state)
{
    g_autoptr(GError) foreign = g_error_new(G_FILE_ERROR, G_FILE_ERROR_IO, "no disk");
    g_autoptr(GError) error = NULL;
    Fixture fixture;

    (void)state;
    fixture_init(&fixture);
    assert_false(source_discard(fixture.manager, 1, BLOCK, &error));
    assert_null(pm_error_get_listener(error));
    assert_null(pm_error_get_cause(error));
    assert_null(pm_error_get_listener(foreign));
    assert_null(pm_error_get_cause(foreign));
    assert_null(pm_error_get_listener(NULL));
    assert_null(pm_error_get_cause(NULL));
    fixture_clear(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listener_without_a_mandatory_callback_or_name_is_rejected),
        cmocka_unit_test(listener_without_operations_is_rejected),
        cmocka_unit_test(error_names_the_listener_and_keeps_its_code_and_errno),
        cmocka_unit_test(error_of_another_domain_is_kept_as_the_cause),
        cmocka_unit_test(listener_that_sets_no_error_is_named),
        cmocka_unit_test(quarantine_error_names_the_listener),
        cmocka_unit_test(error_without_a_listener_names_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
