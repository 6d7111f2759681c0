/* SPDX-License-Identifier: MIT */
/* A follower that fails: at every call of every operation, and while an operation is undone. */
#include "follower_util.h"

#include <plugmap/log.h>

/* Domain 1 (endpoints 8 and 9, three mappings), domain 2 (endpoint 10, two mappings), bypass domain
 * 3 (endpoint 11), and endpoints 12 and 13 in none. */
static void fill(World *world)
{
    for (uint32_t id = 11; id <= 13; id++)
        add_endpoint(world->iommu, id);
    attach(world->iommu, 1, 8);
    attach(world->iommu, 1, 9);
    attach(world->iommu, 2, 10);
    attach_bypass(world->iommu, 3, 11);
    map(world->iommu, 1, 0 * PAGE, PAGE, 0x1000);
    map(world->iommu, 1, 2 * PAGE, 3 * PAGE, 0x5000);
    map(world->iommu, 1, 7 * PAGE, PAGE, 0x9000);
    map(world->iommu, 2, 1 * PAGE, PAGE, 0x2000);
    map(world->iommu, 2, UINT64_MAX - PAGE + 1, PAGE, 0x3000);
}

typedef bool (*Operation)(World *world, GError **error);

static bool attach_new(World *world, GError **error)
{
    return pm_guest_iommu_attach(world->iommu, 4, false, 12, error);
}

static bool attach_second(World *world, GError **error)
{
    return pm_guest_iommu_attach(world->iommu, 1, false, 12, error);
}

static bool move_one_of_two(World *world, GError **error)
{
    return pm_guest_iommu_attach(world->iommu, 2, false, 8, error);
}

static bool move_the_last(World *world, GError **error)
{
    return pm_guest_iommu_attach(world->iommu, 1, false, 10, error);
}

static bool move_the_last_to_a_new_domain(World *world, GError **error)
{
    return pm_guest_iommu_attach(world->iommu, 5, true, 10, error);
}

static bool move_from_bypass(World *world, GError **error)
{
    return pm_guest_iommu_attach(world->iommu, 2, false, 11, error);
}

static bool detach_one_of_two(World *world, GError **error)
{
    return pm_guest_iommu_detach(world->iommu, 1, 8, error);
}

static bool detach_the_last(World *world, GError **error)
{
    return pm_guest_iommu_detach(world->iommu, 2, 10, error);
}

static bool add_mapping(World *world, GError **error)
{
    return try_map(world->iommu, 1, PAGE, 2 * PAGE - 1, 0, error);
}

static bool unmap_three(World *world, GError **error)
{
    return pm_guest_iommu_unmap(world->iommu, 1, 0, UINT64_MAX, error);
}

static bool unmap_the_last_two(World *world, GError **error)
{
    return pm_guest_iommu_unmap(world->iommu, 1, PAGE, 9 * PAGE, error);
}

static bool unmap_up_to_the_last_address(World *world, GError **error)
{
    return pm_guest_iommu_unmap(world->iommu, 2, PAGE, UINT64_MAX, error);
}

static bool toggle_bypass(World *world, GError **error)
{
    bool bypass = pm_guest_iommu_get_bypass(world->iommu);
    bool done = pm_guest_iommu_set_bypass(world->iommu, !bypass, error);

    assert_true(pm_guest_iommu_get_bypass(world->iommu) == (done ? !bypass : bypass));
    return done;
}

static bool add_an_endpoint(World *world, GError **error)
{
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint), .endpoint = 7, .device = "0000:00:07.0"};

    return pm_guest_iommu_add_endpoint(world->iommu, &endpoint, error);
}

static bool remove_the_last(World *world, GError **error)
{
    return pm_guest_iommu_remove_endpoint(world->iommu, 10, error);
}

static const Operation operations[] = {
    attach_new,        attach_second,    move_one_of_two,
    move_the_last,     move_from_bypass, move_the_last_to_a_new_domain,
    detach_one_of_two, detach_the_last,  add_mapping,
    unmap_three,       toggle_bypass,    unmap_up_to_the_last_address,
    add_an_endpoint,   remove_the_last,  unmap_the_last_two,
};

static World *new_world(bool bypass)
{
    void *state;
    World *world;

    (void)world_setup_followed(&state);
    world = state;
    fill(world);
    assert_true(pm_guest_iommu_set_bypass(world->iommu, bypass, NULL));
    assert_follows(world->iommu, &world->follower);
    return world;
}

static void free_world(World *world)
{
    void *state = world;

    (void)world_teardown(&state);
}

/* Call @n_before + 1 of the operation fails. Returns whether it has that many. */
static bool fail_once(Operation operation, unsigned n_before, bool bypass)
{
    World *world = new_world(bypass);
    g_autofree char *before = table_text(world->iommu);
    GError *error = NULL;
    bool done;

    follower_fail(&world->follower, n_before, 1, PM_ERROR_LIMIT);
    done = operation(world, &error);
    if (!done) {
        g_autofree char *after = table_text(world->iommu);

        assert_error(&error, PM_ERROR_LIMIT, "failure 1 of the follower");
        assert_string_equal(before, after);
        assert_follows(world->iommu, &world->follower);
        /* Nothing is left of it. */
        follower_succeed(&world->follower);
        assert_true(operation(world, NULL));
    }
    assert_follows(world->iommu, &world->follower);
    free_world(world);
    return !done;
}

static void a_failure_at_any_call_leaves_everything_as_before(void **state)
{
    unsigned n_failures = 0;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        for (int bypass = 0; bypass <= 1; bypass++) {
            for (unsigned n = 0; fail_once(operations[i], n, bypass != 0); n++)
                n_failures++;
        }
    }
    assert_in_range(n_failures, 40, 80);
}

/* Call @n_before + 1 and the @n_more after @n_between others fail. */
static bool fail_to_undo(Operation operation, unsigned n_before, unsigned n_calls, bool bypass,
                         bool *lost)
{
    World *world = new_world(bypass);
    g_autofree char *before = table_text(world->iommu);
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;
    bool done;

    follower_fail(&world->follower, n_before, n_calls, PM_ERROR_LIMIT);
    done = operation(world, &error);
    after = table_text(world->iommu);
    assert_follows(world->iommu, &world->follower);
    if (!done) {
        *lost = strcmp(before, after) != 0;
        assert_int_equal(error->code, *lost ? PM_ERROR_QUARANTINED : PM_ERROR_LIMIT);
        assert_true((strstr(error->message, "undoing failed, too") != NULL) == *lost);
    }
    follower_succeed(&world->follower);
    free_world(world);
    return !done;
}

static void after_a_failure_to_undo_the_table_is_what_the_follower_has(void **state)
{
    unsigned n_lost = 0;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        for (unsigned n_calls = 2; n_calls <= 6; n_calls++) {
            for (int bypass = 0; bypass <= 1; bypass++) {
                bool lost = false;

                for (unsigned n = 0; fail_to_undo(operations[i], n, n_calls, bypass != 0, &lost);
                     n++) {
                    n_lost += lost;
                    lost = false;
                }
            }
        }
    }
    assert_in_range(n_lost, 50, 500);
}

static void unmap_says_which_mappings_are_lost(void **state)
{
    World *world = *state;
    PmGuestMapping mapping;
    GError *error = NULL;

    fill(world);
    follower_fail(&world->follower, 2, 3, PM_ERROR_LOCKED_MEMORY);
    assert_false(unmap_three(world, &error));
    assert_error(&error, PM_ERROR_QUARANTINED,
                 "unmapping 0x7000-0x7fff in domain 1 failed: failure 1 of the follower; undoing "
                 "failed, too (mapping 0x0-0xfff in domain 1 failed: failure 2 of the follower): "
                 "2 mappings of domain 1 lost, the first at 0x0");
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, 0, &mapping));
    assert_int_equal(mapping.iova, 7 * PAGE);
    assert_follows(world->iommu, &world->follower);
    /* The addresses are free again. */
    follower_succeed(&world->follower);
    map(world->iommu, 1, 0, PAGE, 0);
    assert_follows(world->iommu, &world->follower);
}

static void attach_says_what_ended(void **state)
{
    World *world = *state;
    GError *error = NULL;

    fill(world);
    follower_fail(&world->follower, 1, 2, PM_ERROR_BUSY);
    assert_false(move_the_last(world, &error));
    assert_error(&error, PM_ERROR_QUARANTINED,
                 "undoing failed, too (attaching endpoint 0xa (0000:00:0a.0) to domain 2 failed: "
                 "failure 2 of the follower): endpoint 0xa can do no DMA, and domain 2 has ended "
                 "with its 2 mappings");
    assert_follows(world->iommu, &world->follower);
}

/* --- operations that look at the table --- */

static char *table_in_operation;

static bool look_at_endpoint(void *user_data, uint32_t domain G_GNUC_UNUSED,
                             bool bypass G_GNUC_UNUSED, uint32_t endpoint G_GNUC_UNUSED,
                             const char *device G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
    g_free(table_in_operation);
    table_in_operation = table_text(user_data);
    return true;
}

static bool look_at_mapping(void *user_data, uint32_t domain G_GNUC_UNUSED,
                            const PmGuestMapping *mapping G_GNUC_UNUSED,
                            GError **error G_GNUC_UNUSED)
{
    g_free(table_in_operation);
    table_in_operation = table_text(user_data);
    return true;
}

static void operations_see_the_table_before_the_change(void **state)
{
    const PmGuestIommuOps ops = {
        .struct_size = sizeof(ops),
        .attach = look_at_endpoint,
        .detach = look_at_endpoint,
        .map = look_at_mapping,
        .unmap = look_at_mapping,
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        g_autofree char *before = NULL;
        World *other = new_world(true);

        assert_true(pm_guest_iommu_set_follower(other->iommu, NULL, NULL, NULL));
        assert_true(pm_guest_iommu_set_follower(other->iommu, &ops, other->iommu, NULL));
        before = table_text(other->iommu);
        g_clear_pointer(&table_in_operation, g_free);
        if (operations[i] != toggle_bypass && operations[i] != add_an_endpoint) {
            assert_true(operations[i](other, NULL));
            assert_string_equal(table_in_operation, before);
        }
        free_world(other);
    }
    g_clear_pointer(&table_in_operation, g_free);
}

static void set_follower_replays_endpoints_and_mappings(void **state)
{
    World *world = *state;

    fill(world);
    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    assert_true(pm_guest_iommu_set_follower(world->iommu, NULL, NULL, NULL));
    assert_int_equal(world->follower.lines->len, 0);
    g_string_truncate(world->follower.calls, 0);
    assert_true(pm_guest_iommu_set_follower(world->iommu, &follower_ops, &world->follower, NULL));
    assert_calls(&world->follower,
                 "attach 1 8; attach 1 9; attach 2 10; attach 3 11; attach -1 12; attach -1 13; "
                 "map 1 0x0; map 1 0x2000; map 1 0x7000; map 2 0x1000; map 2 0xfffffffffffff000; ");
    assert_follows(world->iommu, &world->follower);
}

static void set_follower_that_fails_detaches_all_and_keeps_the_table(void **state)
{
    World *world = *state;
    g_autofree char *before = NULL;
    unsigned n_failures = 0;
    GError *error = NULL;

    fill(world);
    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    assert_true(pm_guest_iommu_set_follower(world->iommu, NULL, NULL, NULL));
    before = table_text(world->iommu);
    for (;; n_failures++) {
        g_autofree char *after = NULL;

        follower_fail(&world->follower, n_failures, 1, PM_ERROR_LIMIT);
        if (pm_guest_iommu_set_follower(world->iommu, &follower_ops, &world->follower, &error))
            break;
        assert_error(&error, PM_ERROR_LIMIT, "failure 1 of the follower");
        assert_int_equal(world->follower.lines->len, 0);
        after = table_text(world->iommu);
        assert_string_equal(before, after);
    }
    assert_int_equal(n_failures, 11);
    assert_follows(world->iommu, &world->follower);
}

static void a_guest_iommu_has_one_follower(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_false(
        pm_guest_iommu_set_follower(world->iommu, &follower_ops, &world->follower, &error));
    assert_error(&error, PM_ERROR_BUSY, "has a follower already");
    assert_true(pm_guest_iommu_set_follower(world->iommu, NULL, NULL, NULL));
    assert_true(pm_guest_iommu_set_follower(world->iommu, NULL, NULL, NULL));
    assert_true(pm_guest_iommu_set_follower(world->iommu, &follower_ops, &world->follower, NULL));
}

static void a_follower_has_all_operations(void **state)
{
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    PmGuestIommuOps ops = follower_ops;
    GError *error = NULL;

    (void)state;
    ops.attach = NULL;
    assert_false(pm_guest_iommu_set_follower(iommu, &ops, NULL, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "set attach, detach, map and unmap");
    ops = follower_ops;
    ops.detach = NULL;
    assert_false(pm_guest_iommu_set_follower(iommu, &ops, NULL, NULL));
    ops = follower_ops;
    ops.map = NULL;
    assert_false(pm_guest_iommu_set_follower(iommu, &ops, NULL, NULL));
    ops = follower_ops;
    ops.unmap = NULL;
    assert_false(pm_guest_iommu_set_follower(iommu, &ops, NULL, NULL));
    ops = follower_ops;
    ops.struct_size = 0;
    assert_false(pm_guest_iommu_set_follower(iommu, &ops, NULL, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "PmGuestIommuOps.struct_size 0");
}

static void count_message(GLogLevelFlags level, const char *message, void *user_data)
{
    assert_int_equal(level, G_LOG_LEVEL_WARNING);
    assert_non_null(strstr(message, "ending the follower of a guest IOMMU: detaching endpoint"));
    ++*(unsigned *)user_data;
}

static void ending_a_follower_logs_failures_and_ends_it(void **state)
{
    World *world = *state;
    unsigned n_messages = 0;

    fill(world);
    pm_log_set_func(count_message, &n_messages);
    follower_fail(&world->follower, 0, 2, PM_ERROR_KERNEL);
    assert_true(pm_guest_iommu_set_follower(world->iommu, NULL, NULL, NULL));
    pm_log_set_func(NULL, NULL);
    assert_int_equal(n_messages, 2);
    g_string_truncate(world->follower.calls, 0);
    attach(world->iommu, 4, 12);
    assert_calls(&world->follower, "");
}

#define FOLLOWER_TEST(name)                                                                        \
    cmocka_unit_test_setup_teardown(name, world_setup_followed, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLLOWER_TEST(a_failure_at_any_call_leaves_everything_as_before),
        FOLLOWER_TEST(after_a_failure_to_undo_the_table_is_what_the_follower_has),
        FOLLOWER_TEST(unmap_says_which_mappings_are_lost),
        FOLLOWER_TEST(attach_says_what_ended),
        FOLLOWER_TEST(operations_see_the_table_before_the_change),
        FOLLOWER_TEST(set_follower_replays_endpoints_and_mappings),
        FOLLOWER_TEST(set_follower_that_fails_detaches_all_and_keeps_the_table),
        FOLLOWER_TEST(a_guest_iommu_has_one_follower),
        FOLLOWER_TEST(a_follower_has_all_operations),
        FOLLOWER_TEST(ending_a_follower_logs_failures_and_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
