/* SPDX-License-Identifier: MIT */
/* Differential fuzzing of the whole stack, with failing system calls, against an array of bools. */
#include "util/either_kernel.h"
#include "util/stack_util.h"

#include <errno.h>
#include <string.h>

#include "util/random_util.h"

#define N_STEPS 200000

typedef struct {
    Stack *stack;
    GRand *rand;
    bool plugged[STACK_N_BLOCKS];
    bool quarantined[STACK_N_BLOCKS];
} Life;

static bool all_are(const bool *blocks, bool value, uint64_t first, uint64_t n_blocks)
{
    for (uint64_t i = first; i < first + n_blocks; i++)
        if (blocks[i] != value)
            return false;
    return true;
}

static void set_all(bool *blocks, bool value, uint64_t first, uint64_t n_blocks)
{
    for (uint64_t i = first; i < first + n_blocks; i++)
        blocks[i] = value;
}

static unsigned n_plugged(const Life *life)
{
    unsigned n_blocks = 0;

    for (unsigned i = 0; i < STACK_N_BLOCKS; i++)
        n_blocks += life->plugged[i];
    return n_blocks;
}

/* One request in four has a failing system call. */
static bool plan_a_fault(Life *life)
{
    uint64_t nth = (uint64_t)g_rand_int_range(life->rand, 1, 8);

    either_clear_faults(life->stack->kernel);
    switch (g_rand_int_range(life->rand, 0, 12)) {
    case 0:
        either_fail(life->stack->kernel, PM_FAKE_CALL_MAP, nth, ENOMEM);
        return true;
    case 1:
        either_fail(life->stack->kernel, PM_FAKE_CALL_UNMAP, (nth + 3) / 4, EINVAL);
        return true;
    case 2:
        either_fail(life->stack->kernel, PM_FAKE_CALL_MAP, nth, ENOSPC);
        either_fail(life->stack->kernel, PM_FAKE_CALL_UNMAP, 1, EINVAL);
        return true;
    default:
        return false;
    }
}

/* Only blocks of a request with a fault may be added to quarantine. */
static void read_quarantine(Life *life, bool may_grow, uint64_t first, uint64_t n_blocks)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(life->stack->device);
    bool now[STACK_N_BLOCKS] = {false};
    uint64_t offset = 0;
    uint64_t size = 0;
    char *listener;
    char *reason;

    while (pm_discard_manager_next_quarantined(manager, offset + size, &offset, &size, &listener,
                                               &reason)) {
        assert_non_null(listener);
        assert_non_null(reason);
        g_free(listener);
        g_free(reason);
        set_all(now, true, offset / STACK_BLOCK, size / STACK_BLOCK);
    }
    for (uint64_t i = 0; i < STACK_N_BLOCKS; i++)
        if (now[i] && !life->quarantined[i])
            assert_true(may_grow && i >= first && i < first + n_blocks);
    memcpy(life->quarantined, now, sizeof(now));
}

static void check_answer(Life *life, int answer, bool legal, bool too_much, bool faulty,
                         bool quarantined)
{
    if (too_much) {
        assert_int_equal(answer, VIRTIO_MEM_RESP_NACK);
    } else if (!legal) {
        assert_int_equal(answer, VIRTIO_MEM_RESP_ERROR);
    } else if (quarantined) {
        assert_int_equal(answer, VIRTIO_MEM_RESP_BUSY);
        assert_int_equal(pm_virtio_mem_last_refusal(life->stack->device, NULL),
                         PM_REFUSAL_QUARANTINE);
    } else if (!faulty) {
        assert_int_equal(answer, VIRTIO_MEM_RESP_ACK);
    } else {
        assert_true(answer == VIRTIO_MEM_RESP_ACK || answer == VIRTIO_MEM_RESP_BUSY);
    }
}

static void plug_or_unplug(Life *life, bool plug)
{
    uint64_t first = (uint64_t)g_rand_int_range(life->rand, 0, STACK_N_BLOCKS);
    uint16_t n_blocks =
        (uint16_t)g_rand_int_range(life->rand, 1, (gint32)MIN(STACK_N_BLOCKS - first, 12) + 1);
    bool faulty = plan_a_fault(life);
    bool legal = all_are(life->plugged, !plug, first, n_blocks);
    bool quarantined = !all_are(life->quarantined, false, first, n_blocks);
    bool too_much = plug && n_plugged(life) + n_blocks > STACK_N_BLOCKS;
    int answer = stack_request(life->stack, plug ? VIRTIO_MEM_REQ_PLUG : VIRTIO_MEM_REQ_UNPLUG,
                               first, n_blocks);

    check_answer(life, answer, legal, too_much, faulty, quarantined);
    if (answer == VIRTIO_MEM_RESP_ACK)
        set_all(life->plugged, plug, first, n_blocks);
    read_quarantine(life, faulty, first, n_blocks);
}

static void unplug_everything(Life *life, bool reset)
{
    bool faulty = plan_a_fault(life);
    bool done =
        reset ? pm_virtio_mem_system_reset(life->stack->device, NULL)
              : stack_request(life->stack, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0) == VIRTIO_MEM_RESP_ACK;

    assert_true(done || faulty);
    if (done)
        set_all(life->plugged, false, 0, STACK_N_BLOCKS);
    read_quarantine(life, faulty && !done, 0, STACK_N_BLOCKS);
}

static void compare(Life *life)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(life->stack->device);

    for (uint64_t i = 0; i < STACK_N_BLOCKS; i++)
        assert_int_equal(pm_discard_manager_is_populated(manager, i * STACK_BLOCK, STACK_BLOCK),
                         life->plugged[i]);
    if (all_are(life->quarantined, false, 0, STACK_N_BLOCKS))
        stack_check(life->stack);
}

static void mapped_equals_plugged_under_failing_calls(void **state)
{
    g_autoptr(Stack) stack = stack_new(NULL);
    g_autoptr(GRand) rand = random_new("stack_random");
    Life life = {.stack = stack, .rand = rand};
    unsigned n_steps = random_steps(N_STEPS);

    (void)state;
    for (unsigned step = 0; step < n_steps; step++) {
        switch (g_rand_int_range(rand, 0, 40)) {
        case 0:
            unplug_everything(&life, false);
            break;
        case 1:
            unplug_everything(&life, true);
            break;
        default:
            plug_or_unplug(&life, g_rand_boolean(rand));
        }
        compare(&life);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapped_equals_plugged_under_failing_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
