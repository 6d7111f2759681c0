/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the whole stack, with owners that are added and removed and a kernel that fails: mappers
 * on several address spaces follow devices, and whatever fails, the page table equals the plugged
 * blocks, except for blocks reported as unknown.
 *
 * A failed run prints its seed, which reproduces it as the first run. PLUGMAP_TEST_TRACE prints
 * every step and every MAP and UNMAP; PLUGMAP_TEST_FORK is the number of steps per fork(2), 0 for
 * none.
 */
#include "stack_fuzz_check.h"
#include "stack_fuzz_steps.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "util/random_util.h"
#include "util/valgrind_util.h"

#define N_STEPS        100000
#define N_STEPS_A_LIFE 3000
#define N_STEPS_A_LOOK 1000 /* between checks of resident memory */
#define N_STEPS_A_FORK 5000

/* Files that the fake kernel opens on first use and keeps open. */
static bool is_the_fake_kernels(int folder, const char *name)
{
    char target[64] = "";

    return readlinkat(folder, name, target, sizeof(target) - 1) > 0 &&
           (g_str_has_suffix(target, "/maps") || g_str_has_suffix(target, "/pagemap"));
}

static unsigned n_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    unsigned count = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL)
        count += !is_the_fake_kernels(dirfd(folder), entry->d_name);
    (void)closedir(folder);
    return count;
}

static unsigned n_steps_a_fork(void)
{
    const char *given = g_getenv("PLUGMAP_TEST_FORK");

    if (is_under_valgrind())
        return 0;
    return given != NULL ? (unsigned)strtoul(given, NULL, 0) : N_STEPS_A_FORK;
}

static void take_and_check_step(FuzzWorld *world, const FuzzView *before, FuzzView *after)
{
    bool done;

    fuzz_plan_faults(world);
    done = fuzz_take_step(world, before);
    fuzz_look(world, after);
    if (world->traced)
        printf("    %s; %" PRIu64 " unknown, %" PRIu64 " in quarantine\n",
               done ? "done" : "refused", after->n_unknown, after->n_quarantined);
    fuzz_lay_ghosts(world, after);
    fuzz_check_mappings(world, after);
    if (!done)
        fuzz_check_unchanged(world, before, after);
    if (!world->faulty)
        fuzz_check_nothing_lost(world, before, after);
    fuzz_check_memory(world, before, after);
    fuzz_check_budgets(world, after);
    fuzz_check_audits(world, after);
    if (world->step % N_STEPS_A_LOOK == N_STEPS_A_LOOK - 1)
        fuzz_check_resident(world, after);
}

/* Returns the seed of the next run. */
static guint32 live(guint32 seed, unsigned max_steps, unsigned *n_steps)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    guint32 next = g_rand_int(rand);
    FuzzWorld *world = fuzz_world_new(rand, seed);
    g_autofree FuzzView *before = g_new0(FuzzView, 1);
    g_autofree FuzzView *after = g_new0(FuzzView, 1);

    *n_steps = 1 + fuzz_pick(world, N_STEPS_A_LIFE);
    *n_steps = MIN(*n_steps, max_steps);
    world->fork_every = n_steps_a_fork();
    fuzz_look(world, before);
    for (world->step = 0; world->step < *n_steps; world->step++) {
        FuzzView *last = before;

        take_and_check_step(world, before, after);
        before = after;
        after = last;
    }
    fuzz_world_free(world);
    return next;
}

static void mapped_equals_plugged_under_faults(void **state)
{
    guint32 seed = random_seed("stack_fuzz");
    unsigned n_left = random_steps(N_STEPS);
    unsigned n_files_before = n_files();
    unsigned n_steps;

    (void)state;
    while (n_left > 0) {
        guint32 next = live(seed, n_left, &n_steps);

        if (n_files() != n_files_before)
            fail_msg("PLUGMAP_TEST_SEED=%u leaves files open", seed);
        n_left -= n_steps;
        seed = next;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapped_equals_plugged_under_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
