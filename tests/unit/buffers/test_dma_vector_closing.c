/* SPDX-License-Identifier: MIT */
/* Requests for blocks that are closed, because a discard asks for them or for what shares a region
 * with them. They wait for states, never for times. */
#include "dma_device.h"

#include "buffers/registry_private.h"
#include "util/fork_util.h"
#include "util/source_util.h"

#define LONG_MS     3600000
#define MOST_LEASES ((1u << 20) - 1)

/* A request in a thread of its own: of a block, and of memory that is in no range. */
typedef struct {
    World *world;
    uint64_t block;
    bool is_direct;
    bool bounces_too;
    gint done; /* atomic */
    GError *error;
    GThread *thread;
} Request;

static char elsewhere[BLOCK];

static void *run_request(void *user_data)
{
    Request *request = user_data;
    char *host = host_of(request->world, request->block);
    const struct iovec iov[] = {{host, 512}, {elsewhere, 512}};
    PmDmaVector *vector = vector_new(request->world, (PmDmaVectorConfig){0});
    size_t n_segments;

    if (pm_dma_vector_prepare(vector, iov, request->bounces_too ? 2 : 1, PM_DMA_TO_DEVICE,
                              &request->error))
        request->is_direct = pm_dma_vector_get_segments(vector, &n_segments)[0].address ==
                             (uintptr_t)host + ADDRESS_OFFSET;
    pm_dma_vector_free(vector);
    g_atomic_int_set(&request->done, 1);
    return NULL;
}

/* Or has ended. */
static void let_it_wait(Request *request)
{
    while (pm_registry_get_n_waiting(request->world->registry) == 0 &&
           g_atomic_int_get(&request->done) == 0)
        g_thread_yield();
}

static void start(Request *request)
{
    request->thread = g_thread_new("request", run_request, request);
}

static void join(Request *request)
{
    (void)g_thread_join(request->thread);
    assert_int_equal(pm_registry_get_n_waiting(request->world->registry), 0);
}

static void assert_direct(Request *request)
{
    join(request);
    if (request->error != NULL)
        fail_msg("%s", request->error->message);
    assert_true(request->is_direct);
}

static World *shared_world(uint64_t wait_ms, bool is_plain)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD,
                                .flags = PM_BUFFER_CAN_REPLACE,
                                .wait_ms = wait_ms,
                                .is_plain = is_plain};
    World *world = world_new(&config);

    if (!is_plain)
        assert_true(plug(world, 0, 4, NULL));
    return world;
}

static PmError prepare_now(World *world, uint64_t block)
{
    const struct iovec iov = {host_of(world, block), 512};
    PmDmaVector *vector = vector_new(world, (PmDmaVectorConfig){.flags = PM_DMA_NO_WAIT});
    g_autoptr(GError) error = NULL;

    (void)pm_dma_vector_prepare(vector, &iov, 1, PM_DMA_TO_DEVICE, &error);
    pm_dma_vector_free(vector);
    return error != NULL ? (PmError)error->code : (PmError)0;
}

/* --- between the question and the answer --- */

/* Asked after the registry. */
typedef struct {
    Request request;
    bool objects;
    PmError code_without_waiting;
    PmDmaVector *has_pool; /* gives it back when asked */
    uint64_t n_pool_bytes; /* in use while it waits */
} Other;

static bool ask(void *user_data, uint64_t offset G_GNUC_UNUSED, uint64_t size G_GNUC_UNUSED,
                GError **error)
{
    Other *other = user_data;
    PmBufferRegistry *registry = other->request.world->registry;

    other->code_without_waiting = prepare_now(other->request.world, other->request.block);
    if (other->has_pool != NULL)
        pm_dma_vector_finish(other->has_pool);
    else
        start(&other->request);
    let_it_wait(&other->request);
    other->n_pool_bytes = pm_bounce_pool_get_used(registry->pool);
    if (!other->objects)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_BUSY, "the other one objects");
    return false;
}

static bool accept(void *user_data G_GNUC_UNUSED, uint64_t offset G_GNUC_UNUSED,
                   uint64_t size G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
    return true;
}

static const PmDiscardListenerOps other_ops = {
    .struct_size = sizeof(other_ops),
    .can_discard = ask,
    .populate = accept,
    .discard = accept,
};

/* Unplugs block 0 or all, with the request meanwhile. */
static bool unplug_meanwhile(Other *other, bool all)
{
    World *world = other->request.world;
    PmDiscardListener *listener =
        pm_discard_manager_register(world->manager, &other_ops, other, "other", 0, SIZE, NULL);
    bool done = all ? source_discard_all(world->manager, NULL) : unplug(world, 0, 1, NULL);

    assert_int_equal(other->code_without_waiting, PM_ERROR_BUSY);
    pm_discard_manager_drop(world->manager, listener);
    return done;
}

static void a_neighbor_waits_until_another_listener_objects(void **state)
{
    World *world = shared_world(0, false);
    Other other = {.request = {.world = world, .block = 2}, .objects = true};

    (void)state;
    assert_false(unplug_meanwhile(&other, false));
    assert_direct(&other.request);
    assert_regions(world, "0+4");
    world_free(world);
}

static void a_neighbor_waits_until_the_region_is_smaller(void **state)
{
    World *world = shared_world(0, false);
    Other other = {.request = {.world = world, .block = 2}};

    (void)state;
    assert_true(unplug_meanwhile(&other, false));
    assert_direct(&other.request);
    assert_regions(world, "1+3");
    world_free(world);
}

static void a_neighbor_waits_until_the_discard_has_failed(void **state)
{
    World *world = shared_world(0, false);
    Other other = {.request = {.world = world, .block = 2}};

    (void)state;
    world->model.fail_unmap_in = 1;
    assert_false(unplug_meanwhile(&other, false));
    assert_direct(&other.request);
    assert_regions(world, "0+4");
    world_free(world);
}

static void assert_not_populated(bool all)
{
    World *world = shared_world(0, false);
    Other other = {.request = {.world = world, .block = 0}};

    assert_true(unplug_meanwhile(&other, all));
    join(&other.request);
    assert_code(&other.request.error, PM_ERROR_NOT_POPULATED, "is discarded");
    world_free(world);
}

static void a_block_that_is_discarded_is_not_populated(void **state)
{
    (void)state;
    assert_not_populated(false);
}

static void a_block_that_is_discarded_with_all_is_not_populated(void **state)
{
    (void)state;
    assert_not_populated(true);
}

/* It waited for the pool first, and then has a slot when it finds the block closed. */
static void a_request_has_no_bounce_memory_while_it_waits(void **state)
{
    World *world = shared_world(0, false);
    Other other = {.request = {.world = world, .block = 2, .bounces_too = true}};
    PmBouncePool *pool = world->registry->pool;
    static char large[64 * PM_MIB];
    const struct iovec iov = {large, sizeof(large)};

    (void)state;
    other.has_pool = vector_new(world, (PmDmaVectorConfig){0});
    assert_true(pm_dma_vector_prepare(other.has_pool, &iov, 1, PM_DMA_FROM_DEVICE, NULL));
    start(&other.request);
    while (pm_bounce_pool_get_n_waiting(pool) == 0)
        g_thread_yield();
    assert_true(unplug_meanwhile(&other, false));
    assert_direct(&other.request);
    assert_int_equal(other.n_pool_bytes, 0);
    pm_dma_vector_free(other.has_pool);
    world_free(world);
}

/* --- while leases are waited for --- */

typedef struct {
    World *world;
    bool removes; /* all; otherwise unplugs block 0 */
    bool succeeded;
    gint done; /* atomic */
    GThread *thread;
} Closer;

static void *run_closer(void *user_data)
{
    Closer *closer = user_data;
    World *world = closer->world;

    closer->succeeded =
        closer->removes ? pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL)
                        : unplug(world, 0, 1, NULL);
    g_atomic_int_set(&closer->done, 1);
    return NULL;
}

/* Starts the request once it has closed the blocks. */
static void start_closing(Closer *closer, Request *request)
{
    closer->thread = g_thread_new("closer", run_closer, closer);
    while (prepare_now(closer->world, request->block) != PM_ERROR_BUSY &&
           g_atomic_int_get(&closer->done) == 0)
        g_thread_yield();
    start(request);
    let_it_wait(request);
}

static bool join_closer(Closer *closer)
{
    (void)g_thread_join(closer->thread);
    return closer->succeeded;
}

static void who_has_a_lease_waits_until_the_discard_has_it(void **state)
{
    World *world = shared_world(LONG_MS, false);
    Request request = {.world = world, .block = 2};
    Closer closer = {.world = world};
    PmBufferLease lease;

    (void)state;
    assert_true(lease_block(world, 2, &lease, NULL));
    start_closing(&closer, &request);
    pm_buffer_lease_release(&lease);
    assert_true(join_closer(&closer));
    assert_direct(&request);
    assert_regions(world, "1+3");
    world_free(world);
}

/* Whether it is early enough to wait depends on time, but not its result. */
static void who_has_a_lease_waits_until_the_discard_gives_up(void **state)
{
    World *world = shared_world(200, false);
    Request request = {.world = world, .block = 2};
    Closer closer = {.world = world};
    PmBufferLease lease;

    (void)state;
    assert_true(lease_block(world, 2, &lease, NULL));
    start_closing(&closer, &request);
    assert_false(join_closer(&closer));
    assert_direct(&request);
    pm_buffer_lease_release(&lease);
    world_free(world);
}

static bool free_registry(void *user_data)
{
    World *world = user_data;

    pm_buffer_registry_free(world->registry);
    return true;
}

/* A copy in a forked child does not wait for the threads that wait in the parent. */
static void a_request_waits_until_its_memory_was_removed(void **state)
{
    World *world = shared_world(LONG_MS, true);
    Request request = {.world = world, .block = 2};
    Closer closer = {.world = world};
    PmBufferLease lease;

    (void)state;
    assert_true(lease_block(world, 1, &lease, NULL));
    closer.removes = true;
    start_closing(&closer, &request);
    assert_child(ways_to_fork[0], free_registry, world);
    pm_buffer_lease_release(&lease);
    assert_true(join_closer(&closer));
    join(&request);
    assert_null(request.error);
    assert_false(request.is_direct);
    world_free(world);
}

/* --- what does not end by itself --- */

static void a_block_with_the_most_leases_is_busy(void **state)
{
    World *world = shared_world(0, false);
    Request request = {.world = world, .block = 2};
    PmBufferLease *leases = g_new(PmBufferLease, MOST_LEASES);

    (void)state;
    for (unsigned i = 0; i < MOST_LEASES; i++)
        assert_true(lease_block(world, 2, &leases[i], NULL));
    (void)run_request(&request);
    assert_code(&request.error, PM_ERROR_BUSY, "as many leases");
    for (unsigned i = 0; i < MOST_LEASES; i++)
        pm_buffer_lease_release(&leases[i]);
    g_free(leases);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_neighbor_waits_until_another_listener_objects),
        cmocka_unit_test(a_neighbor_waits_until_the_region_is_smaller),
        cmocka_unit_test(a_neighbor_waits_until_the_discard_has_failed),
        cmocka_unit_test(a_block_that_is_discarded_is_not_populated),
        cmocka_unit_test(a_block_that_is_discarded_with_all_is_not_populated),
        cmocka_unit_test(a_request_has_no_bounce_memory_while_it_waits),
        cmocka_unit_test(who_has_a_lease_waits_until_the_discard_has_it),
        cmocka_unit_test(who_has_a_lease_waits_until_the_discard_gives_up),
        cmocka_unit_test(a_request_waits_until_its_memory_was_removed),
        cmocka_unit_test(a_block_with_the_most_leases_is_busy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
