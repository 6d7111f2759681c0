/* SPDX-License-Identifier: MIT */
/* Bounce pool: who gets memory, when it grows, and what happens if registering it fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/plugmap.h>

#include "buffers/bounce_pool.h"
#include "memory/ram_private.h"
#include "util/iommu_fixture.h"

#define UNIT PM_BOUNCE_UNIT

/* Where the device sees what is registered. */
#define SHIFT UINT64_C(0x100000000000)

typedef struct {
    PmBouncePool *pool;
    unsigned n_maps;
    unsigned n_unmaps;
    uint64_t mapped;
    bool fail_map;
    bool fail_unmap;
    bool is_in_call;
    PmRam *ram; /* the chunk that was mapped last */
} World;

static void enter(World *world)
{
    assert_false(__atomic_exchange_n(&world->is_in_call, true, __ATOMIC_ACQUIRE));
}

static void leave(World *world)
{
    __atomic_store_n(&world->is_in_call, false, __ATOMIC_RELEASE);
}

static bool map(void *user_data, PmRam *ram, uint64_t *address, GError **error)
{
    World *world = user_data;
    bool failed = world->fail_map;

    enter(world);
    assert_true(pm_ram_get_fd(ram, NULL) >= 0);
    world->n_maps++;
    if (failed) {
        g_set_error(error, PM_ERROR, PM_ERROR_LIMIT, "no region left");
    } else {
        world->ram = pm_ram_ref(ram);
        world->mapped += pm_ram_get_size(ram);
        *address = (uintptr_t)pm_ram_get_host(ram) + SHIFT;
    }
    leave(world);
    return !failed;
}

static bool unmap(void *user_data, PmRam *ram, GError **error)
{
    World *world = user_data;
    bool failed = world->fail_unmap;

    enter(world);
    world->n_unmaps++;
    if (failed) {
        g_set_error(error, PM_ERROR, PM_ERROR_KERNEL, "device is asleep");
    } else {
        world->mapped -= pm_ram_get_size(ram);
        pm_ram_unref(ram);
    }
    leave(world);
    return !failed;
}

static World *world_new(uint64_t size, uint64_t limit)
{
    World *world = g_new0(World, 1);
    const PmBouncePoolConfig config = {
        .size = size, .limit = limit, .map = map, .unmap = unmap, .user_data = world};

    world->pool = pm_bounce_pool_new(&config);
    return world;
}

static void world_free(World *world)
{
    assert_int_equal(pm_bounce_pool_get_used(world->pool), 0);
    assert_int_equal(pm_bounce_pool_get_size(world->pool), world->mapped);
    assert_true(pm_bounce_pool_free(world->pool, NULL));
    assert_true(world->mapped == 0 || world->fail_unmap);
    g_free(world);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

static PmBounceSlot take(World *world, uint64_t size)
{
    PmBounceSlot slot = {0};
    GError *error = NULL;

    (void)pm_bounce_pool_take(world->pool, size, PM_BOUNCE_GROW, &slot, &error);
    assert_null(error);
    assert_non_null(slot.chunk);
    assert_true(slot.size >= size);
    assert_int_equal(slot.address - (uintptr_t)slot.host, SHIFT);
    return slot;
}

static bool try_to_take(World *world, uint64_t size, PmBounceEffort effort)
{
    PmBounceSlot slot;

    if (!pm_bounce_pool_take(world->pool, size, effort, &slot, NULL))
        return false;
    pm_bounce_pool_put(world->pool, &slot);
    return true;
}

static void a_pool_registers_nothing_until_it_is_needed(void **state)
{
    g_autoptr(World) world = world_new(4 * UNIT, 8 * UNIT);
    PmBounceSlot slot;

    (void)state;
    assert_int_equal(world->n_maps, 0);
    assert_false(try_to_take(world, 1, PM_BOUNCE_NOW));
    assert_int_equal(world->n_maps, 0);
    slot = take(world, 1);
    assert_int_equal(world->mapped, 4 * UNIT);
    pm_bounce_pool_put(world->pool, &slot);
    assert_true(try_to_take(world, 4 * UNIT, PM_BOUNCE_NOW));
    assert_int_equal(world->n_maps, 1);
}

static void slots_do_not_overlap_and_are_reused(void **state)
{
    g_autoptr(World) world = world_new(4 * UNIT, 4 * UNIT);
    PmBounceSlot first = take(world, UNIT);
    PmBounceSlot second = take(world, 2 * UNIT - 1);
    PmBounceSlot third = take(world, UNIT);

    (void)state;
    assert_int_equal(second.address, first.address + UNIT);
    assert_int_equal(third.address, second.address + 2 * UNIT);
    pm_bounce_pool_put(world->pool, &first);
    pm_bounce_pool_put(world->pool, &third);
    assert_false(try_to_take(world, 2 * UNIT, PM_BOUNCE_GROW));
    pm_bounce_pool_put(world->pool, &second);
    assert_true(try_to_take(world, 4 * UNIT, PM_BOUNCE_NOW));
}

static void a_pool_grows_while_it_is_in_use(void **state)
{
    g_autoptr(World) world = world_new(2 * UNIT, 9 * UNIT);
    PmBounceSlot slots[9];

    (void)state;
    for (unsigned i = 0; i < 9; i++)
        slots[i] = take(world, UNIT);
    assert_int_equal(world->n_maps, 4); /* 2, 2, 4, and the last one */
    assert_int_equal(world->mapped, 9 * UNIT);
    assert_false(try_to_take(world, 1, PM_BOUNCE_GROW));
    assert_int_equal(world->n_maps, 4);
    for (unsigned i = 0; i < 9; i++)
        pm_bounce_pool_put(world->pool, &slots[i]);
}

static void a_large_request_adds_what_it_needs(void **state)
{
    g_autoptr(World) world = world_new(UNIT, 64 * UNIT);
    PmBounceSlot slot = take(world, 20 * UNIT + 1);

    (void)state;
    assert_int_equal(world->mapped, 21 * UNIT);
    pm_bounce_pool_put(world->pool, &slot);
}

static void idle_chunks_make_room_for_a_larger_one(void **state)
{
    g_autoptr(World) world = world_new(2 * UNIT, 8 * UNIT);
    PmBounceSlot small = take(world, 2 * UNIT);
    PmBounceSlot other = take(world, 2 * UNIT);
    PmBounceSlot large;

    (void)state;
    pm_bounce_pool_put(world->pool, &small);
    assert_false(try_to_take(world, 7 * UNIT, PM_BOUNCE_GROW));
    pm_bounce_pool_put(world->pool, &other);
    large = take(world, 8 * UNIT);
    assert_int_equal(world->mapped, 8 * UNIT);
    pm_bounce_pool_put(world->pool, &large);
}

static void a_request_larger_than_the_limit_fails(void **state)
{
    g_autoptr(World) world = world_new(UNIT, 4 * UNIT);
    g_autoptr(GError) error = NULL;
    PmBounceSlot slot;

    (void)state;
    assert_false(pm_bounce_pool_take(world->pool, 4 * UNIT + 1, PM_BOUNCE_WAIT, &slot, &error));
    assert_error(&error, PM_ERROR_LIMIT, "bounce pool, which has at most 16K");
    assert_false(pm_bounce_pool_take(world->pool, UINT64_MAX, PM_BOUNCE_WAIT, &slot, &error));
    assert_error(&error, PM_ERROR_LIMIT, "bounce pool, which has at most 16K");
    assert_null(slot.chunk);
}

static void a_request_that_must_not_wait_fails(void **state)
{
    g_autoptr(World) world = world_new(2 * UNIT, 2 * UNIT);
    g_autoptr(GError) error = NULL;
    PmBounceSlot held = take(world, UNIT);
    PmBounceSlot slot;

    (void)state;
    assert_false(pm_bounce_pool_take(world->pool, 2 * UNIT, PM_BOUNCE_GROW, &slot, &error));
    assert_error(&error, PM_ERROR_BUSY,
                 "no room for 8K in the bounce pool, of which 4K of 8K are in use");
    assert_int_equal(pm_bounce_pool_get_n_waiting(world->pool), 0);
    pm_bounce_pool_put(world->pool, &held);
}

static void chunks_have_the_alignment(void **state)
{
    World *world = g_new0(World, 1);
    const PmBouncePoolConfig config = {.size = UNIT,
                                       .limit = 5 * UNIT,
                                       .alignment = 4 * UNIT,
                                       .map = map,
                                       .unmap = unmap,
                                       .user_data = world};
    PmBounceSlot slot;

    (void)state;
    world->pool = pm_bounce_pool_new(&config);
    slot = take(world, 5 * UNIT);
    assert_int_equal(world->mapped, 8 * UNIT);
    pm_bounce_pool_put(world->pool, &slot);
    world_free(world);
}

static void a_pool_in_use_is_not_freed(void **state)
{
    g_autoptr(World) world = world_new(UNIT, UNIT);
    PmBounceSlot slot = take(world, 1);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_false(pm_bounce_pool_free(world->pool, &error));
    assert_error(&error, PM_ERROR_BUSY, "4K of the bounce pool are in use");
    pm_bounce_pool_put(world->pool, &slot);
}

/* --- failures --- */

static void a_chunk_that_fails_to_register_leaves_nothing(void **state)
{
    g_autoptr(World) world = world_new(2 * UNIT, 4 * UNIT);
    g_autoptr(GError) error = NULL;
    PmBounceSlot slot;

    (void)state;
    world->fail_map = true;
    assert_false(pm_bounce_pool_take(world->pool, UNIT, PM_BOUNCE_WAIT, &slot, &error));
    assert_error(&error, PM_ERROR_LIMIT, "no region left");
    assert_int_equal(pm_bounce_pool_get_size(world->pool), 0);
    world->fail_map = false;
    assert_true(try_to_take(world, UNIT, PM_BOUNCE_GROW));
}

/* Instead of waiting for what never happens. */
static void a_request_fails_with_the_registration_of_the_chunk_that_it_needs(void **state)
{
    g_autoptr(World) world = world_new(2 * UNIT, 8 * UNIT);
    PmBounceSlot held = take(world, UNIT);
    g_autoptr(GError) error = NULL;
    PmBounceSlot slot;

    (void)state;
    world->fail_map = true;
    assert_false(pm_bounce_pool_take(world->pool, 3 * UNIT, PM_BOUNCE_WAIT, &slot, &error));
    assert_error(&error, PM_ERROR_LIMIT, "no region left");
    assert_true(try_to_take(world, UNIT, PM_BOUNCE_NOW));
    pm_bounce_pool_put(world->pool, &held);
}

static void a_chunk_that_fails_to_unregister_stays_in_use(void **state)
{
    g_autoptr(World) world = world_new(2 * UNIT, 3 * UNIT);
    g_autoptr(GError) error = NULL;
    PmBounceSlot slot;

    (void)state;
    assert_true(try_to_take(world, UNIT, PM_BOUNCE_GROW));
    world->fail_unmap = true;
    assert_false(pm_bounce_pool_take(world->pool, 3 * UNIT, PM_BOUNCE_WAIT, &slot, &error));
    assert_error(&error, PM_ERROR_KERNEL, "device is asleep");
    assert_true(try_to_take(world, 2 * UNIT, PM_BOUNCE_NOW));
    world->fail_unmap = false;
    assert_true(try_to_take(world, 3 * UNIT, PM_BOUNCE_GROW));
}

static void find_words(GLogLevelFlags level, const char *message, void *user_data)
{
    if (level == G_LOG_LEVEL_WARNING && strstr(message, "pool: device is asleep") != NULL)
        ++*(unsigned *)user_data;
}

static void memory_that_stays_registered_is_left_to_who_has_it_registered(void **state)
{
    World *world = world_new(UNIT, UNIT);
    PmBounceSlot slot = take(world, 1);
    unsigned n_found = 0;

    (void)state;
    pm_bounce_pool_put(world->pool, &slot);
    world->fail_unmap = true;
    pm_log_set_func(find_words, &n_found);
    assert_true(pm_bounce_pool_free(world->pool, NULL));
    pm_log_set_func(NULL, NULL);
    assert_int_equal(n_found, 1);
    assert_true(g_atomic_ref_count_compare(&world->ram->references, 1));
    pm_ram_unref(world->ram);
    g_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_registers_nothing_until_it_is_needed),
        cmocka_unit_test(slots_do_not_overlap_and_are_reused),
        cmocka_unit_test(a_pool_grows_while_it_is_in_use),
        cmocka_unit_test(a_large_request_adds_what_it_needs),
        cmocka_unit_test(idle_chunks_make_room_for_a_larger_one),
        cmocka_unit_test(a_request_larger_than_the_limit_fails),
        cmocka_unit_test(a_request_that_must_not_wait_fails),
        cmocka_unit_test(chunks_have_the_alignment),
        cmocka_unit_test(a_pool_in_use_is_not_freed),
        cmocka_unit_test(a_chunk_that_fails_to_register_leaves_nothing),
        cmocka_unit_test(a_request_fails_with_the_registration_of_the_chunk_that_it_needs),
        cmocka_unit_test(a_chunk_that_fails_to_unregister_stays_in_use),
        cmocka_unit_test(memory_that_stays_registered_is_left_to_who_has_it_registered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
