/* SPDX-License-Identifier: MIT */
/*
 * Random plugs, unplugs, buffers, leases, limits and failures, beside a model of what is plugged,
 * leased and registered. After each step the back end's regions are the registry's, of plugged
 * blocks only, and as many as there can be. PLUGMAP_TEST_SEED repeats a sequence.
 */
#include "registry_world.h"

#include <sys/mman.h>

#include "util/random_util.h"
#include "util/source_util.h"

#define N_SEQUENCES 400
#define N_STEPS     120
#define N_BUFFERS   3
#define N_LEASES    3

typedef struct {
    World *world;
    GRand *random;
    uint64_t max_regions; /* 0: no limit */
    bool can_replace;
    bool plugged[N_BLOCKS];
    bool has_faults;
    bool was_faulty; /* something may be refused that would fit */
    char *buffers[N_BUFFERS];
    bool registered[N_BUFFERS];
    PmBufferLease leases[N_LEASES];
    int leased[N_LEASES]; /* a block, or -1 */
} Run;

static uint32_t below(Run *run, uint32_t bound)
{
    return (uint32_t)g_rand_int_range(run->random, 0, (gint32)bound);
}

static bool all(const Run *run, uint64_t first, uint64_t n, bool plugged)
{
    for (uint64_t i = first; i < first + n; i++)
        if (run->plugged[i] != plugged)
            return false;
    return true;
}

/* Whether a lease is on one of the blocks. Shared regions extend what an unplug touches. */
static bool is_leased(const Run *run, uint64_t first, uint64_t n)
{
    for (unsigned i = 0; i < N_LEASES; i++)
        if (run->leased[i] >= 0 && (uint64_t)run->leased[i] >= first &&
            (uint64_t)run->leased[i] < first + n)
            return true;
    return false;
}

static bool has_lease(const Run *run)
{
    return is_leased(run, 0, N_BLOCKS);
}

static void set_plugged(Run *run, uint64_t first, uint64_t n, bool plugged)
{
    for (uint64_t i = first; i < first + n; i++)
        run->plugged[i] = plugged;
}

/* --- steps --- */

static void change(Run *run, bool plugging)
{
    uint64_t first = below(run, N_BLOCKS);
    uint64_t n = 1 + below(run, (uint32_t)MIN(4, N_BLOCKS - first));
    bool faulty = run->world->model.fail_unmap_in > 0 || run->world->model.fail_map_in > 0;
    bool done;

    if (!all(run, first, n, !plugging))
        return;
    done = plugging ? plug(run->world, first, n, NULL) : unplug(run->world, first, n, NULL);
    if (plugging)
        assert_true(done);
    else if (is_leased(run, first, n))
        assert_false(done);
    else if (!faulty && !(run->can_replace && has_lease(run)))
        assert_true(done);
    if (done)
        set_plugged(run, first, n, plugging);
}

static void unplug_all(Run *run)
{
    bool done = source_discard_all(run->world->manager, NULL);

    if (has_lease(run))
        assert_false(done);
    if (done)
        set_plugged(run, 0, N_BLOCKS, false);
}

static void toggle_buffer(Run *run)
{
    PmBufferRegistry *registry = run->world->registry;
    unsigned i = below(run, N_BUFFERS);

    if (run->registered[i])
        run->registered[i] = !pm_buffer_registry_unregister(registry, run->buffers[i], BLOCK, NULL);
    else
        run->registered[i] =
            pm_buffer_registry_register(registry, run->buffers[i], BLOCK, -1, 0, NULL);
}

static void toggle_lease(Run *run)
{
    unsigned i = below(run, N_LEASES);
    unsigned block = below(run, N_BLOCKS);

    if (run->leased[i] >= 0) {
        pm_buffer_lease_release(&run->leases[i]);
        run->leased[i] = -1;
        return;
    }
    if (lease_block(run->world, block, &run->leases[i], NULL))
        run->leased[i] = (int)block;
}

static void toggle_ram(Run *run)
{
    World *world = run->world;

    if (pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL)) {
        assert_false(has_lease(run));
        assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, NULL));
    }
}

static void inject(Run *run)
{
    unsigned *fail_in =
        below(run, 2) ? &run->world->model.fail_map_in : &run->world->model.fail_unmap_in;

    if (!run->has_faults)
        return;
    *fail_in = 1 + below(run, 4);
    run->was_faulty = true;
}

/* --- after each step --- */

/* Nobody is refused for nothing. */
static void assert_full(Run *run)
{
    PmBufferRegistryStats stats = stats_of(run->world);

    if (run->max_regions != 0)
        assert_true(stats.n_regions <= run->max_regions);
    if (run->was_faulty || stats.refused_bytes == 0)
        return;
    assert_true(run->max_regions != 0);
    assert_int_equal(stats.n_regions, run->max_regions);
}

static void check(Run *run)
{
    unsigned n_buffers = 0;

    for (uint64_t i = 0; i < N_BLOCKS; i++)
        assert_int_equal(is_plugged(run->world, i), run->plugged[i]);
    for (unsigned i = 0; i < N_BUFFERS; i++)
        n_buffers += run->registered[i];
    assert_consistent_with(run->world, n_buffers);
    assert_full(run);
}

static void step(Run *run)
{
    switch (below(run, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        change(run, true);
        break;
    case 4:
    case 5:
        change(run, false);
        break;
    case 6:
        toggle_buffer(run);
        break;
    case 7:
    case 8:
        toggle_lease(run);
        break;
    case 9:
        (void)use_block(run->world, below(run, N_BLOCKS), 1 + below(run, 6));
        break;
    case 10:
        inject(run);
        break;
    default:
        if (below(run, 8) == 0)
            unplug_all(run);
        else if (below(run, 4) == 0)
            toggle_ram(run);
        else
            (void)pm_buffer_registry_retry(run->world->registry, NULL);
    }
}

static void end_leases(Run *run)
{
    for (unsigned i = 0; i < N_LEASES; i++)
        if (run->leased[i] >= 0)
            pm_buffer_lease_release(&run->leases[i]);
}

static void run_sequence(GRand *random)
{
    Run run = {.random = random, .leased = {-1, -1, -1}};
    WorldConfig config = {.ram_kind = PM_RAM_MEMFD};

    run.max_regions = below(&run, 3) == 0 ? 0 : 1 + below(&run, 12);
    run.can_replace = below(&run, 2) == 0;
    run.has_faults = below(&run, 2) == 0;
    config.max_regions = run.max_regions;
    config.flags = run.can_replace ? PM_BUFFER_CAN_REPLACE : 0;
    run.world = world_new(&config);
    for (unsigned i = 0; i < N_BUFFERS; i++)
        run.buffers[i] =
            mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < N_STEPS; i++) {
        step(&run);
        check(&run);
    }
    end_leases(&run);
    world_free(run.world);
    for (unsigned i = 0; i < N_BUFFERS; i++)
        munmap(run.buffers[i], BLOCK);
}

static void regions_are_what_is_plugged_after_every_step(void **state)
{
    g_autoptr(GRand) random = random_new("registry");
    unsigned n = random_steps(N_SEQUENCES);

    (void)state;
    for (unsigned i = 0; i < n; i++)
        run_sequence(random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_are_what_is_plugged_after_every_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
