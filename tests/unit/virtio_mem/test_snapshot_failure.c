/* SPDX-License-Identifier: MIT */
/* Loading a snapshot fails at each point, and changes nothing. */
#include <sys/mman.h>

#include "snapshot_followers.h"
#include "util/allocation_util.h"
#include "util/fork_util.h"

#define MAX_CALLS 100

static void assert_fails(Destination *to, GBytes *snapshot, PmError code)
{
    g_autoptr(GBytes) before = save(to->device);
    g_autoptr(GError) error = NULL;

    n_calls = 0;
    assert_false(pm_virtio_mem_load(to->device, snapshot, &error));
    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    assert_state(to->device, before);
}

static void failure_at_every_call_of_a_listener_is_undone(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    fill(to->device);
    for (unsigned nth = 1; nth <= 9; nth++) {
        fail_first = nth;
        assert_fails(to, snapshot, PM_ERROR_LIMIT);
        check_followers(to);
        assert_int_equal(pm_discard_manager_get_quarantined(pm_virtio_mem_get_manager(to->device)),
                         0);
        for (uint64_t block = 0; block < SMALL_BLOCKS; block++)
            assert_int_equal(*block_at(to->device, block), block + 1);
    }
    fail_first = 10;
    n_calls = 0;
    assert_loads(to->device, snapshot);
    assert_int_equal(n_calls, 9);
    check_followers(to);
}

/* The second call that fails is one of the rollback. */
static void what_is_not_undone_is_in_quarantine_until_a_reset(void **state)
{
    g_autoptr(GBytes) snapshot = small_snapshot();
    unsigned n_quarantined = 0;

    (void)state;
    for (unsigned first = 1; first <= 9; first++)
        for (unsigned second = first + 1; second < 2 * first; second++) {
            g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
            PmDiscardManager *manager = pm_virtio_mem_get_manager(to->device);

            fail_first = first;
            fail_second = second;
            assert_fails(to, snapshot, PM_ERROR_QUARANTINED);
            for (uint64_t block = 0; block < SMALL_BLOCKS; block++) {
                bool held = false;
                uint64_t offset = SMALL_REGION;
                uint64_t size;

                for (unsigned i = 0; i < N_FOLLOWERS; i++)
                    held = held || to->followers[i].has[block];
                pm_discard_manager_next_quarantined(manager, block * SMALL_BLOCK, &offset, &size,
                                                    NULL, NULL);
                assert_int_equal(offset == block * SMALL_BLOCK, held);
                n_quarantined += held ? 1 : 0;
            }
            fail_first = fail_second = 0;
            assert_fails(to, snapshot, PM_ERROR_QUARANTINED);
            assert_true(pm_virtio_mem_system_reset(to->device, NULL));
            assert_int_equal(pm_discard_manager_get_quarantined(manager), 0);
            check_followers(to);
            assert_loads(to->device, snapshot);
        }
    assert_true(n_quarantined > 0);
}

static void objection_of_a_listener_notifies_nobody(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    to->followers[N_FOLLOWERS - 1].refuses = true;
    assert_fails(to, snapshot, PM_ERROR_LOCKED_MEMORY);
    assert_int_equal(n_calls, 0);
}

static void error_of_a_listener_names_it(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();
    g_autoptr(GError) error = NULL;

    (void)state;
    fail_first = 2;
    assert_false(pm_virtio_mem_load(to->device, snapshot, &error));
    assert_string_equal(pm_error_get_listener(error), "follower");
}

static void prefault_that_fails_notifies_nobody(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, SMALL_REGION, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    g_autoptr(GBytes) snapshot = small_snapshot();
    Destination to = {0};

    (void)state;
    config.prefault_threads = 2;
    to.device = device_with(&config);
    add_followers(&to);
    assert_int_equal(mprotect(block_at(to.device, 5), SMALL_BLOCK, PROT_READ), 0);
    assert_fails(&to, snapshot, PM_ERROR_MEMORY);
    assert_int_equal(n_calls, 0);
    assert_int_equal(mprotect(block_at(to.device, 5), SMALL_BLOCK, PROT_READ | PROT_WRITE), 0);
    assert_loads(to.device, snapshot);
    check_followers(&to);
    remove_followers(&to);
    pm_virtio_mem_free(to.device);
}

static void device_with_plugged_blocks_is_busy(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();
    g_autoptr(GError) error = NULL;

    (void)state;
    request_size(to->device, 2);
    plug_blocks(to->device, 1, 2);
    assert_fails(to, snapshot, PM_ERROR_BUSY);
    assert_false(pm_virtio_mem_load(to->device, snapshot, &error));
    assert_part(error, "the device at 0x140000000 has 8K plugged");
    assert_int_equal(n_calls, 0);
    check_followers(to);
}

static void every_failing_allocation_changes_nothing(void **state)
{
    g_autoptr(Destination) to = destination_new(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();
    unsigned n_failures = 0;
    bool loaded = false;

    (void)state;
    do {
        g_autoptr(GBytes) before = save(to->device);
        g_autoptr(GError) error = NULL;

        assert_true(n_failures < MAX_CALLS);
        allocations_end_after(n_failures);
        loaded = pm_virtio_mem_load(to->device, snapshot, &error);
        allocations_go_on();
        if (loaded)
            break;
        n_failures++;
        assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
        assert_state(to->device, before);
        check_followers(to);
    } while (!loaded);
    assert_true(n_failures > 0);
    assert_state(to->device, snapshot);
}

static void saving_without_memory_fails(void **state)
{
    g_autoptr(PmVirtioMem) from = small_source();
    g_autoptr(GError) error = NULL;

    (void)state;
    allocations_end_after(0);
    assert_null(pm_virtio_mem_save(from, &error));
    allocations_go_on();
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
}

static bool load_in_child(void *user_data)
{
    PmVirtioMem *device = user_data;
    g_autoptr(GBytes) snapshot = pm_virtio_mem_save(device, NULL);
    GError *error = NULL;
    bool done = pm_virtio_mem_load(device, snapshot, &error);

    return is_refused(done, error);
}

static void forked_child_is_refused(void **state)
{
    g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);

    (void)state;
    for (unsigned i = 0; i < n_ways_to_fork; i++)
        assert_child(ways_to_fork[i], load_in_child, device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_at_every_call_of_a_listener_is_undone),
        cmocka_unit_test(what_is_not_undone_is_in_quarantine_until_a_reset),
        cmocka_unit_test(objection_of_a_listener_notifies_nobody),
        cmocka_unit_test(error_of_a_listener_names_it),
        cmocka_unit_test(prefault_that_fails_notifies_nobody),
        cmocka_unit_test(device_with_plugged_blocks_is_busy),
        cmocka_unit_test(every_failing_allocation_changes_nothing),
        cmocka_unit_test(saving_without_memory_fails),
        cmocka_unit_test(forked_child_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
