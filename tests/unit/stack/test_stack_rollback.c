/* SPDX-License-Identifier: MIT */
/* Fails the first system call, then the second, ... until the request succeeds; each failure must
 * roll back completely. */
#include "util/either_kernel.h"
#include "util/mapper_util.h"
#include "util/stack_util.h"

#include <errno.h>
#include <string.h>

/* More calls than any request here makes: a lost undo must end the sweep, not prolong it.
 */
#define MAX_CALLS 100

/* Fails call after call until the response is ACK. Returns the number of failures. */
static unsigned fail_every_call(Stack *stack, PmFakeCall call, int error_number, uint16_t type,
                                uint64_t first, uint16_t n_blocks)
{
    unsigned nth = 0;
    int answer;

    do {
        Snapshot before;

        assert_true(nth < MAX_CALLS);
        stack_snapshot(stack, &before);
        either_fail(stack->kernel, call, ++nth, error_number);
        answer = stack_request(stack, type, first, n_blocks);
        either_clear_faults(stack->kernel);
        if (answer != VIRTIO_MEM_RESP_ACK) {
            assert_int_equal(answer, VIRTIO_MEM_RESP_BUSY);
            stack_check_unchanged(stack, &before);
        }
    } while (answer != VIRTIO_MEM_RESP_ACK);
    stack_check(stack);
    return nth - 1;
}

static PmRefusal refusal_of_failed_map(int error_number)
{
    g_autoptr(Stack) stack = stack_new(NULL);

    either_fail(stack->kernel, PM_FAKE_CALL_MAP, 1, error_number);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 0, 1), VIRTIO_MEM_RESP_BUSY);
    return pm_virtio_mem_last_refusal(stack->device, NULL);
}

static void plug_survives_every_failing_map(void **state)
{
    static const int errors[] = {ENOMEM, ENOSPC, EFAULT, EEXIST, EINVAL, EPERM};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_autoptr(Stack) stack = stack_new(NULL);

        assert_int_equal(
            fail_every_call(stack, PM_FAKE_CALL_MAP, errors[i], VIRTIO_MEM_REQ_PLUG, 3, 7),
            STACK_N_MAPPERS * 7);
    }
}

static void unplug_survives_every_failing_unmap(void **state)
{
    g_autoptr(Stack) stack = stack_new(NULL);

    (void)state;
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 0, 20), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(
        fail_every_call(stack, PM_FAKE_CALL_UNMAP, EINVAL, VIRTIO_MEM_REQ_UNPLUG, 3, 7),
        STACK_N_MAPPERS);
}

static void unplug_all_survives_every_failing_unmap(void **state)
{
    g_autoptr(Stack) stack = stack_new(NULL);

    (void)state;
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 0, 4), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 9, 5), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(
        fail_every_call(stack, PM_FAKE_CALL_UNMAP, EINVAL, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0),
        STACK_N_MAPPERS);
    assert_int_equal(pm_virtio_mem_get_plugged_size(stack->device), 0);
}

static void a_system_reset_survives_every_failing_unmap(void **state)
{
    g_autoptr(Stack) stack = stack_new(NULL);
    unsigned nth = 0;
    bool done;

    (void)state;
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 5, 9), VIRTIO_MEM_RESP_ACK);
    do {
        Snapshot before;

        assert_true(nth < MAX_CALLS);
        stack_snapshot(stack, &before);
        either_fail(stack->kernel, PM_FAKE_CALL_UNMAP, ++nth, EINVAL);
        done = pm_virtio_mem_system_reset(stack->device, NULL);
        either_clear_faults(stack->kernel);
        if (!done)
            stack_check_unchanged(stack, &before);
    } while (!done);
    assert_int_equal(nth - 1, STACK_N_MAPPERS);
    stack_check(stack);
    assert_int_equal(pm_virtio_mem_get_plugged_size(stack->device), 0);
}

static void a_second_mapper_survives_every_failing_call_of_its_replay(void **state)
{
    g_autoptr(Stack) stack = stack_new(NULL);
    unsigned nth = 0;
    bool added;

    (void)state;
    assert_true(pm_mapper_remove(stack->mappers[1], STACK_ADDRESS, NULL));
    for (uint64_t block = 0; block < STACK_N_BLOCKS; block += 4)
        assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, block, 2), VIRTIO_MEM_RESP_ACK);
    do {
        assert_true(nth < MAX_CALLS);
        either_fail(stack->kernel, PM_FAKE_CALL_MAP, ++nth, ENOMEM);
        added = mapper_add_all(stack->mappers[1], STACK_ADDRESS, stack->ram, PM_MAPPER_OVERCOMMIT,
                               NULL);
        either_clear_faults(stack->kernel);
        if (!added) {
            assert_int_equal(either_n_mappings(stack->kernel, 1, stack->iommus[1]), 0);
            assert_int_equal(pm_iommu_get_n_mappings(stack->iommus[1]), 0);
            assert_true(pm_mapper_audit(stack->mappers[0], NULL, NULL, NULL));
        }
    } while (!added);
    assert_int_equal(nth - 1, STACK_N_BLOCKS / 2);
    stack_check(stack);
}

static void each_errno_of_map_has_a_refusal(void **state)
{
    /* In the VM the process has CAP_IPC_LOCK, which a kernel may ignore. */
    PmRefusal no_memory = either_is_real() ? PM_REFUSAL_LOCKED_MEMORY : PM_REFUSAL_MEMORY;

    (void)state;
    assert_int_equal(refusal_of_failed_map(ENOSPC), PM_REFUSAL_LIMIT);
    assert_int_equal(refusal_of_failed_map(ENOMEM), no_memory);
    assert_int_equal(refusal_of_failed_map(EFAULT), PM_REFUSAL_LISTENER);
    assert_int_equal(refusal_of_failed_map(EEXIST), PM_REFUSAL_LISTENER);
    assert_int_equal(refusal_of_failed_map(EINVAL), PM_REFUSAL_LISTENER);
}

/* The MAP of the first mapper's second block fails, and so does the UNMAP that would undo the
 * first.
 */
static void blocks_that_fail_to_unmap_are_quarantined_until_a_reset(void **state)
{
    g_autoptr(Stack) stack = stack_new(NULL);
    PmDiscardManager *manager = pm_virtio_mem_get_manager(stack->device);
    const GError *refusal;

    (void)state;
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 0, 2), VIRTIO_MEM_RESP_ACK);
    either_fail(stack->kernel, PM_FAKE_CALL_MAP, 2, ENOMEM);
    either_fail(stack->kernel, PM_FAKE_CALL_UNMAP, 1, EINVAL);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 4, 2), VIRTIO_MEM_RESP_BUSY);
    assert_int_equal(pm_virtio_mem_last_refusal(stack->device, &refusal), PM_REFUSAL_QUARANTINE);
    assert_non_null(strstr(refusal->message, "ENOMEM"));
    assert_int_equal(pm_error_get_errno(pm_refusal_get_cause(refusal)), ENOMEM);
    assert_int_equal(pm_discard_manager_get_quarantined(manager), STACK_BLOCK);
    assert_false(pm_mapper_audit(stack->mappers[0], NULL, NULL, NULL));

    /* Never reused, while other blocks keep working. */
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 4, 1), VIRTIO_MEM_RESP_BUSY);
    assert_int_equal(pm_virtio_mem_last_refusal(stack->device, NULL), PM_REFUSAL_QUARANTINE);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 6, 1), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_UNPLUG, 0, 1), VIRTIO_MEM_RESP_ACK);

    assert_true(pm_virtio_mem_system_reset(stack->device, NULL));
    assert_int_equal(pm_discard_manager_get_quarantined(manager), 0);
    stack_check(stack);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 4, 2), VIRTIO_MEM_RESP_ACK);
    stack_check(stack);
}

static void a_short_unmap_is_an_error(void **state)
{
    g_autoptr(Stack) stack = stack_new(NULL);
    PmDiscardManager *manager = pm_virtio_mem_get_manager(stack->device);

    (void)state;
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 0, 8), VIRTIO_MEM_RESP_ACK);
    either_shorten_unmap(stack->kernel, 1);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_UNPLUG, 0, 4), VIRTIO_MEM_RESP_BUSY);
    assert_int_equal(pm_virtio_mem_last_refusal(stack->device, NULL), PM_REFUSAL_QUARANTINE);
    assert_int_equal(pm_discard_manager_get_quarantined(manager), 4 * STACK_BLOCK);
    assert_int_equal(pm_virtio_mem_get_plugged_size(stack->device), 8 * STACK_BLOCK);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_UNPLUG, 3, 1), VIRTIO_MEM_RESP_BUSY);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(pm_discard_manager_get_quarantined(manager), 0);
    stack_check(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plug_survives_every_failing_map),
        cmocka_unit_test(unplug_survives_every_failing_unmap),
        cmocka_unit_test(unplug_all_survives_every_failing_unmap),
        cmocka_unit_test(a_system_reset_survives_every_failing_unmap),
        cmocka_unit_test(a_second_mapper_survives_every_failing_call_of_its_replay),
        cmocka_unit_test(each_errno_of_map_has_a_refusal),
        cmocka_unit_test(blocks_that_fail_to_unmap_are_quarantined_until_a_reset),
        cmocka_unit_test(a_short_unmap_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
