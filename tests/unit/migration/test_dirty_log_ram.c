/* SPDX-License-Identifier: MIT */
/* RAM that a dirty log has, or had, and discard managers that are made later. */
#include "dirty_world.h"

#include <string.h>

/* --- a manager that is made later --- */

static void assert_manager_is_refused(PmRam *ram)
{
    g_autoptr(GError) error = NULL;

    assert_null(pm_discard_manager_new(ram, PM_MIB, &error));
    assert_non_null(error);
    assert_non_null(strstr(error->message, "a dirty log does not support a discard manager of 4M"));
    dirty_world_assert_error(&error, PM_ERROR_BUSY, "pm_dirty_log_remove_ram()");
}

static void plain_ram_of_a_log_gets_no_manager(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PM_MIB, 0, NULL);
    g_autoptr(PmDiscardManager) manager = NULL;

    assert_true(pm_dirty_log_add_ram(world->log, ram, NULL));
    assert_manager_is_refused(ram);
    assert_true(pm_dirty_log_remove_ram(world->log, ram, NULL));
    manager = pm_discard_manager_new(ram, PM_MIB, NULL);
    assert_non_null(manager);
    assert_true(pm_dirty_log_add_ram(world->log, ram, NULL));
}

static void every_log_of_plain_ram_excludes_a_manager(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(PmDirtyLog) second = pm_dirty_log_new();
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PM_MIB, 0, NULL);
    g_autoptr(PmDiscardManager) manager = NULL;

    assert_true(pm_dirty_log_add_ram(world->log, ram, NULL));
    assert_true(pm_dirty_log_add_ram(second, ram, NULL));
    pm_dirty_log_free(g_steal_pointer(&world->log));
    assert_manager_is_refused(ram);
    pm_dirty_log_free(g_steal_pointer(&second));
    manager = pm_discard_manager_new(ram, PM_MIB, NULL);
    assert_non_null(manager);
}

/* --- removed RAM --- */

static void removed_ram_is_not_read_and_counts_as_new_when_added_again(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(GError) error = NULL;
    uint64_t bitmap[N_WORDS] = {0};

    dirty_world_plug(world, 0, 2);
    dirty_world_assert(world, world->ram, "0-31", "0-31");
    assert_true(pm_dirty_log_remove_ram(world->log, world->ram, NULL));
    assert_false(pm_dirty_log_read(world->log, world->ram, PAGE, bitmap, NULL, &error));
    dirty_world_assert_error(&error, PM_ERROR_NOT_FOUND, "add it first");
    assert_false(pm_dirty_log_remove_ram(world->log, world->ram, &error));
    dirty_world_assert_error(&error, PM_ERROR_NOT_FOUND, "does not have the RAM");
    dirty_world_plug(world, 2, 1);
    dirty_world_unplug(world, 0, 1);
    assert_true(pm_dirty_log_add_ram(world->log, world->ram, NULL));
    dirty_world_assert(world, world->ram, "16-47", "16-47");
    dirty_world_assert(world, world->plain, "0-99", "0-99");
}

/* A listener would prevent it. */
static void removed_ram_may_get_a_finer_source(void **state)
{
    DirtyWorld *world = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, 4 * PM_MIB, 0, NULL);
    g_autoptr(PmDiscardManager) manager = pm_discard_manager_new(ram, PM_MIB, NULL);
    const PmDiscardSourceConfig finer = {
        .struct_size = sizeof(finer),
        .name = "finer",
        .granularity = PAGE,
        .flags = PM_DISCARD_SOURCE_POPULATED,
    };

    assert_true(pm_dirty_log_add_ram(world->log, ram, NULL));
    assert_null(pm_discard_manager_add_source(manager, &finer, NULL));
    assert_true(pm_dirty_log_remove_ram(world->log, ram, NULL));
    assert_non_null(pm_discard_manager_add_source(manager, &finer, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_ram_of_a_log_gets_no_manager, dirty_world_bare,
                                        dirty_world_teardown),
        cmocka_unit_test_setup_teardown(every_log_of_plain_ram_excludes_a_manager, dirty_world_bare,
                                        dirty_world_teardown),
        cmocka_unit_test_setup_teardown(removed_ram_is_not_read_and_counts_as_new_when_added_again,
                                        dirty_world_setup, dirty_world_teardown),
        cmocka_unit_test_setup_teardown(removed_ram_may_get_a_finer_source, dirty_world_bare,
                                        dirty_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
