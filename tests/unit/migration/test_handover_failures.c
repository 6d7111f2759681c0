/* SPDX-License-Identifier: MIT */
/* Every call fails once, and either process dies at every call: afterwards exactly one side owns
 * everything. */
#include "handover_world.h"

#include <errno.h>

#include "util/allocation_util.h"
#include "util/backend_util.h"

/* The sides agree on the owner. */
static Side *owner_of(HandoverWorld *world)
{
    assert_true(world->old.owns != world->new.owns);
    return world->new.owns ? &world->new : &world->old;
}

/* Returns false once the fault is past the last call. */
static bool try_failed_call(unsigned nth, int error_number)
{
    HandoverWorld *world = handover_world_new();
    Side *owner;
    bool failed;

    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_IOCTL, nth, error_number);
    handover_run(world);
    pm_fake_kernel_clear_faults(world->fake);
    owner = owner_of(world);
    failed = owner == &world->old;
    assert_true(failed == (owner->error != NULL));
    handover_assert_owner(world, owner);
    handover_world_free(world);
    return failed;
}

static void fail_each_call(int error_number)
{
    unsigned n_failures = 0;
    unsigned n_successes = 0;

    for (unsigned nth = 1; n_successes < 12; nth++)
        if (try_failed_call(nth, error_number)) {
            n_failures++;
            n_successes = 0;
        } else {
            n_successes++;
        }
    assert_true(n_failures >= 4);
}

static void every_call_may_fail_for_lack_of_memory(void **state)
{
    (void)state;
    fail_each_call(ENOMEM);
}

static void every_call_may_fail_with_an_unexpected_error(void **state)
{
    (void)state;
    fail_each_call(EIO);
}

static void every_call_may_fail_as_busy(void **state)
{
    (void)state;
    fail_each_call(EBUSY);
}

/* A dead process owns nothing, whatever its function returned. */
static bool try_death_of_the_new_process(unsigned n_calls)
{
    HandoverWorld *world = handover_world_new();
    bool died;

    world->new.process.dies_after = n_calls;
    handover_run(world);
    died = world->new.process.is_dead;
    world->new.process.dies_after = 0;
    if (died) {
        assert_true(world->old.owns);
        world->new.owns = false;
    }
    handover_assert_owner(world, owner_of(world));
    handover_world_free(world);
    return died;
}

static void old_process_continues_wherever_the_new_one_dies(void **state)
{
    unsigned n_calls = 1;

    (void)state;
    while (try_death_of_the_new_process(n_calls))
        n_calls++;
    assert_true(n_calls > (backend_is_iommufd() ? 3 : 10));
}

/* Where the offer has not arrived, nothing is left. */
static bool try_death_of_the_old_process(unsigned n_calls, unsigned *n_taken_over)
{
    HandoverWorld *world = handover_world_new();
    bool died;

    world->old.process.dies_after = world->old.process.n_calls + n_calls;
    handover_run(world);
    died = world->old.process.is_dead;
    world->old.process.dies_after = 0;
    if (died && world->new.owns) {
        world->old.owns = false;
        (*n_taken_over)++;
        handover_assert_audits(&world->new);
        handover_check_dma(world);
    }
    if (!died)
        handover_assert_owner(world, &world->new);
    handover_world_free(world);
    return died;
}

static void new_process_takes_over_where_the_old_one_dies_after_the_offer(void **state)
{
    unsigned n_taken_over = 0;
    unsigned n_calls = 1;

    (void)state;
    while (try_death_of_the_old_process(n_calls, &n_taken_over))
        n_calls++;
    /* type1 invalidates run by run. */
    assert_int_equal(n_taken_over, backend_is_iommufd() ? 0 : N_SPACES * (1 + N_BLOCKS / 4));
}

static bool try_few_allocations(unsigned n_left)
{
    HandoverWorld *world = handover_world_new();
    bool failed;

    allocations_end_after(n_left);
    handover_run(world);
    allocations_go_on();
    failed = owner_of(world) == &world->old;
    handover_assert_owner(world, owner_of(world));
    handover_world_free(world);
    return failed;
}

static void every_allocation_may_fail(void **state)
{
    unsigned n_left = 0;

    (void)state;
    while (try_few_allocations(n_left))
        n_left++;
    assert_true(n_left > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_may_fail_for_lack_of_memory),
        cmocka_unit_test(every_call_may_fail_with_an_unexpected_error),
        cmocka_unit_test(every_call_may_fail_as_busy),
        cmocka_unit_test(old_process_continues_wherever_the_new_one_dies),
        cmocka_unit_test(new_process_takes_over_where_the_old_one_dies_after_the_offer),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
