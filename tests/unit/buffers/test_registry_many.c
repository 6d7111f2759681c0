/* SPDX-License-Identifier: MIT */
/*
 * Thousands of blocks, and the 509 regions that libblkio's vhost-user driver has: what can be
 * registered is, never more, and the calls of the back end are proportional to the changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>

#include <plugmap/plugmap.h>

#include "util/random_util.h"
#include "util/source_util.h"

#define N_REGIONS 509
#define N_BLOCKS  UINT64_C(4096)
#define BLOCK     (64 * PM_KIB)
#define SIZE      (N_BLOCKS * BLOCK)
#define N_BUFFERS 10000
#define PAGE      UINT64_C(4096)

/* How many calls a change may make: a region is split in two, and two others are merged. */
#define MAX_CALLS 8

typedef struct {
    uint64_t n_regions;
    uint64_t max_regions;
    uint64_t n_bytes;
    uint64_t n_calls;
} Count;

static bool map(void *user_data, PmBufferRegion *region, GError **error G_GNUC_UNUSED)
{
    Count *count = user_data;

    count->n_calls++;
    count->n_regions++;
    count->max_regions = MAX(count->max_regions, count->n_regions);
    count->n_bytes += region->size;
    return true;
}

static bool unmap(void *user_data, const PmBufferRegion *region, GError **error G_GNUC_UNUSED)
{
    Count *count = user_data;

    count->n_calls++;
    count->n_regions--;
    count->n_bytes -= region->size;
    return true;
}

typedef struct {
    Count count;
    PmRam *ram;
    PmDiscardManager *manager;
    PmBufferRegistry *registry;
    uint64_t order[N_BLOCKS]; /* in which the blocks are plugged */
} World;

static PmBufferRegistry *registry_new(Count *count, uint64_t max_regions, uint64_t flags)
{
    const PmBufferBackend backend = {
        .struct_size = sizeof(backend),
        .max_regions = max_regions,
        .flags = flags,
        .map = map,
        .unmap = unmap,
    };
    const PmBufferRegistryConfig config = {
        .struct_size = sizeof(config),
        .name = "many buffers",
        .backend = &backend,
        .user_data = count,
    };

    return pm_buffer_registry_new(&config, NULL);
}

static World *world_new(uint64_t flags)
{
    World *world = g_new0(World, 1);

    world->ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    assert_non_null(world->ram);
    world->manager = manager_with_source(world->ram, BLOCK, NULL);
    assert_non_null(world->manager);
    world->registry = registry_new(&world->count, N_REGIONS, flags);
    assert_non_null(world->registry);
    assert_true(pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, NULL));
    for (uint64_t i = 0; i < N_BLOCKS; i++)
        world->order[i] = i;
    return world;
}

static void world_free(World *world)
{
    pm_buffer_registry_free(world->registry);
    assert_int_equal(world->count.n_regions, 0);
    assert_true(world->count.max_regions <= N_REGIONS);
    pm_discard_manager_unref(world->manager);
    pm_ram_unref(world->ram);
    g_free(world);
}

static void shuffle(World *world)
{
    g_autoptr(GRand) random = random_new("registry_many");

    for (uint64_t i = N_BLOCKS - 1; i > 0; i--) {
        uint64_t other = (uint64_t)g_rand_int_range(random, 0, (gint32)i + 1);
        uint64_t block = world->order[i];

        world->order[i] = world->order[other];
        world->order[other] = block;
    }
}

/* Blocks order[@first], order[@first + @step] ... */
static void plug(World *world, uint64_t first, uint64_t step)
{
    for (uint64_t i = first; i < N_BLOCKS; i += step)
        assert_true(source_populate(world->manager, world->order[i] * BLOCK, BLOCK, 0, NULL));
}

static void unplug(World *world, uint64_t first, uint64_t step)
{
    for (uint64_t i = first; i < N_BLOCKS; i += step)
        assert_true(source_discard(world->manager, world->order[i] * BLOCK, BLOCK, NULL));
}

/* Of all that was plugged and unplugged, in @n_changes. */
static void assert_registered(World *world, uint64_t n_blocks, uint64_t n_changes)
{
    PmBufferRegistryStats stats = {.struct_size = sizeof(stats)};

    assert_true(pm_buffer_registry_get_stats(world->registry, &stats, NULL));
    assert_int_equal(stats.registered_bytes, world->count.n_bytes);
    assert_int_equal(stats.n_regions, world->count.n_regions);
    assert_int_equal(stats.registered_bytes, n_blocks * BLOCK);
    if (stats.refused_bytes > 0)
        assert_int_equal(stats.n_regions, N_REGIONS);
    assert_true(world->count.n_calls <= n_changes * MAX_CALLS);
}

/* --- without shared regions --- */

static void without_sharing_as_many_blocks_as_regions_are_registered(void **state)
{
    World *world = world_new(0);

    (void)state;
    plug(world, 0, 1);
    assert_registered(world, N_REGIONS, N_BLOCKS);
    assert_int_equal(world->count.n_calls, N_REGIONS);
    unplug(world, 0, 2);
    assert_registered(world, N_REGIONS, N_BLOCKS * 3 / 2);
    unplug(world, 1, 2);
    assert_registered(world, 0, N_BLOCKS * 2);
    world_free(world);
}

static void without_sharing_random_blocks_are_registered(void **state)
{
    World *world = world_new(0);

    (void)state;
    shuffle(world);
    plug(world, 0, 1);
    assert_registered(world, N_REGIONS, N_BLOCKS);
    unplug(world, 0, 2);
    assert_registered(world, N_REGIONS, N_BLOCKS * 3 / 2);
    world_free(world);
}

/* --- with shared regions --- */

static void adjacent_blocks_are_all_registered(void **state)
{
    World *world = world_new(PM_BUFFER_CAN_REPLACE);

    (void)state;
    plug(world, 0, 1);
    assert_registered(world, N_BLOCKS, N_BLOCKS);
    world_free(world);
}

/* They cannot share; once those between are plugged, too, all can. */
static void every_second_block_needs_a_region(void **state)
{
    World *world = world_new(PM_BUFFER_CAN_REPLACE);

    (void)state;
    plug(world, 0, 2);
    assert_registered(world, N_REGIONS, N_BLOCKS / 2);
    plug(world, 1, 2);
    assert_registered(world, N_BLOCKS, N_BLOCKS);
    world_free(world);
}

static void blocks_plugged_at_random_are_all_registered_in_the_end(void **state)
{
    World *world = world_new(PM_BUFFER_CAN_REPLACE);

    (void)state;
    shuffle(world);
    plug(world, 0, 1);
    assert_registered(world, N_BLOCKS, N_BLOCKS);
    world_free(world);
}

/* Every eighth block is missing then: 512 runs, of which 509 are registered. */
static void runs_beyond_the_limit_are_refused(void **state)
{
    World *world = world_new(PM_BUFFER_CAN_REPLACE);

    (void)state;
    plug(world, 0, 1);
    unplug(world, 7, 8);
    assert_registered(world, UINT64_C(7) * N_REGIONS, N_BLOCKS + N_BLOCKS / 8);
    world_free(world);
}

/* --- buffers --- */

static void ten_thousand_buffers_are_registered(void **state)
{
    Count count = {0};
    PmBufferRegistry *registry = registry_new(&count, 0, 0);
    char *memory =
        mmap(NULL, N_BUFFERS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    PmBufferLease lease;

    (void)state;
    for (uint64_t i = 0; i < N_BUFFERS; i++)
        assert_true(pm_buffer_registry_register(registry, memory + i * 7919 % N_BUFFERS * PAGE,
                                                PAGE, -1, 0, NULL));
    assert_int_equal(count.n_calls, N_BUFFERS);
    assert_true(pm_buffer_lease_acquire(registry, memory, N_BUFFERS * PAGE, &lease, NULL));
    pm_buffer_lease_release(&lease);
    for (uint64_t i = 0; i < N_BUFFERS; i++)
        assert_true(pm_buffer_registry_unregister(registry, memory + i * PAGE, PAGE, NULL));
    assert_int_equal(count.n_calls, 2 * N_BUFFERS);
    assert_int_equal(count.n_regions, 0);
    pm_buffer_registry_free(registry);
    munmap(memory, N_BUFFERS * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_sharing_as_many_blocks_as_regions_are_registered),
        cmocka_unit_test(without_sharing_random_blocks_are_registered),
        cmocka_unit_test(adjacent_blocks_are_all_registered),
        cmocka_unit_test(every_second_block_needs_a_region),
        cmocka_unit_test(blocks_plugged_at_random_are_all_registered_in_the_end),
        cmocka_unit_test(runs_beyond_the_limit_are_refused),
        cmocka_unit_test(ten_thousand_buffers_are_registered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
