/* SPDX-License-Identifier: MIT */
/* A snapshot restored into the whole stack: what is plugged is mapped, or nothing is. */
#include "util/backend_util.h"
#include "util/either_kernel.h"
#include "util/stack_util.h"

#include <errno.h>

/* More calls than a load makes: a lost undo must end the sweep. */
#define MAX_CALLS 200

static GBytes *saved_state(void)
{
    g_autoptr(Stack) from = stack_new(NULL);
    GBytes *snapshot;

    assert_int_equal(stack_request(from, VIRTIO_MEM_REQ_PLUG, 0, 3), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(stack_request(from, VIRTIO_MEM_REQ_PLUG, 7, 5), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(stack_request(from, VIRTIO_MEM_REQ_PLUG, 31, 1), VIRTIO_MEM_RESP_ACK);
    snapshot = pm_virtio_mem_save(from->device, NULL);
    assert_non_null(snapshot);
    return snapshot;
}

static void restored_blocks_are_mapped(void **state)
{
    g_autoptr(GBytes) snapshot = saved_state();
    g_autoptr(Stack) to = stack_new(NULL);
    g_autoptr(GError) error = NULL;

    (void)state;
    if (!pm_virtio_mem_load(to->device, snapshot, &error))
        fail_msg("%s", error->message);
    for (unsigned i = 0; i < STACK_N_MAPPERS; i++)
        assert_int_equal(pm_iommu_get_n_mappings(to->iommus[i]), 9);
    stack_check(to);
}

static void restored_blocks_can_be_unplugged(void **state)
{
    g_autoptr(GBytes) snapshot = saved_state();
    g_autoptr(Stack) to = stack_new(NULL);

    (void)state;
    assert_true(pm_virtio_mem_load(to->device, snapshot, NULL));
    assert_int_equal(stack_request(to, VIRTIO_MEM_REQ_UNPLUG, 8, 3), VIRTIO_MEM_RESP_ACK);
    stack_check(to);
    assert_int_equal(stack_request(to, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0), VIRTIO_MEM_RESP_ACK);
    stack_check(to);
}

static void load_survives_every_failing_map(void **state)
{
    static const int errors[] = {ENOMEM, ENOSPC, EFAULT};
    g_autoptr(GBytes) snapshot = saved_state();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_autoptr(Stack) to = stack_new(NULL);
        unsigned nth = 0;
        bool loaded;

        do {
            Snapshot before;

            assert_true(nth < MAX_CALLS);
            stack_snapshot(to, &before);
            before.resident = 0; /* what MAP has faulted in stays */
            either_fail(to->kernel, PM_FAKE_CALL_MAP, ++nth, errors[i]);
            loaded = pm_virtio_mem_load(to->device, snapshot, NULL);
            either_clear_faults(to->kernel);
            if (!loaded) {
                Snapshot after;

                stack_snapshot(to, &after);
                after.resident = 0;
                assert_memory_equal(&after, &before, sizeof(after));
            }
        } while (!loaded);
        assert_int_equal(nth - 1, STACK_N_MAPPERS * 9);
        stack_check(to);
    }
}

static void limit_that_the_snapshot_exceeds_maps_nothing(void **state)
{
    PmFakeConfig config;
    g_autoptr(Stack) to = NULL;
    g_autoptr(GBytes) snapshot = NULL;
    g_autoptr(GError) error = NULL;

    (void)state;
    either_needs_fake("root's locked memory is not limited, and other tests need it so");
    pm_fake_config_init(&config);
    config.memlock_limit = 8 * STACK_BLOCK;
    snapshot = saved_state();
    to = stack_new(&config);
    assert_false(pm_virtio_mem_load(to->device, snapshot, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_LOCKED_MEMORY));
    assert_int_equal(pm_virtio_mem_get_plugged_size(to->device), 0);
    for (unsigned i = 0; i < STACK_N_MAPPERS; i++)
        assert_int_equal(pm_iommu_get_n_mappings(to->iommus[i]), 0);
    assert_int_equal(either_pinned(to->kernel), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restored_blocks_are_mapped),
        cmocka_unit_test(restored_blocks_can_be_unplugged),
        cmocka_unit_test(load_survives_every_failing_map),
        cmocka_unit_test(limit_that_the_snapshot_exceeds_maps_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
