/* SPDX-License-Identifier: MIT */
/*
 * Threads lease buffers and prepare vectors, while others plug, unplug, retry, register buffers,
 * and add and remove RAM, with fewer regions than blocks. What a lease covers keeps its contents
 * and is registered at its addresses for as long as it is held.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include <errno.h>
#include <sys/mman.h>

#include "buffers/registry_private.h"
#include "dma_device.h"
#include "util/random_util.h"
#include "util/source_util.h"

#define N_STEPS    1000
#define MAX_REGION 6
#define LINE       256 /* bytes of each block that a thread writes */
#define LONG_WAIT  60000
#define N_ATTEMPTS 8

typedef struct {
    World *world;
    guint32 seed;
    bool toggles_ram; /* then nothing keeps a vector's memory while it is not in the registry */
    atomic_bool is_over;
    atomic_uint n_granted;
    atomic_uint n_lost;      /* a leased block was discarded */
    atomic_uint n_misplaced; /* or had another address than the back end has for it */
} Shared;

typedef struct {
    Shared *shared;
    unsigned index;
    GRand *random;
} Thread;

static uint32_t below(const Thread *thread, uint32_t bound)
{
    return (uint32_t)g_rand_int_range(thread->random, 0, (gint32)bound);
}

/* --- I/O --- */

/* The thread's own bytes, so that no other thread writes them. */
static char *line_of(const Thread *thread, uint64_t block)
{
    return host_of(thread->shared->world, block) + (size_t)thread->index * LINE;
}

static bool is_mapped_at(const Thread *thread, uint64_t block, uint64_t address)
{
    const Model *model = &thread->shared->world->model;

    /* Not atomic: the lease orders the accesses, which the thread sanitizer checks. */
    return model->addresses == NULL || model->addresses[block] == address;
}

static void use_lease(const Thread *thread, uint64_t block, const PmBufferLease *lease)
{
    char *line = line_of(thread, block);
    char value = (char)(1 + below(thread, 100));
    PmDmaSegment before;
    PmDmaSegment after;

    (void)pm_buffer_lease_next(lease, 0, &before);
    memset(line, value, LINE);
    if (!is_mapped_at(thread, block, before.address))
        atomic_fetch_add(&thread->shared->n_misplaced, 1);
    for (unsigned i = below(thread, 4); i > 0; i--)
        sched_yield();
    (void)pm_buffer_lease_next(lease, 0, &after);
    if (!is_mapped_at(thread, block, after.address) || before.address != after.address)
        atomic_fetch_add(&thread->shared->n_misplaced, 1);
    if (line[0] != value || line[LINE - 1] != value)
        atomic_fetch_add(&thread->shared->n_lost, 1);
}

static void *lease_blocks(void *user_data)
{
    const Thread *thread = user_data;
    Shared *shared = thread->shared;
    PmBufferLease lease;

    while (!atomic_load(&shared->is_over)) {
        uint64_t block = below(thread, N_BLOCKS);

        if (!lease_block(shared->world, block, &lease, NULL))
            continue;
        use_lease(thread, block, &lease);
        pm_buffer_lease_release(&lease);
        atomic_fetch_add(&shared->n_granted, 1);
    }
    return NULL;
}

/* A bounced block is not discarded either: what finish copies back stays until it is read. */
static void use_vector(const Thread *thread, PmDmaVector *vector)
{
    uint64_t block = below(thread, N_BLOCKS);
    char *line = line_of(thread, block);
    const struct iovec iov = {line, LINE};

    if (!pm_dma_vector_prepare(vector, &iov, 1, PM_DMA_TO_DEVICE, NULL))
        return;
    if (!thread->shared->toggles_ram)
        memset(line, 'v', LINE);
    sched_yield();
    if (!thread->shared->toggles_ram && (line[0] != 'v' || line[LINE - 1] != 'v'))
        atomic_fetch_add(&thread->shared->n_lost, 1);
    pm_dma_vector_finish(vector);
}

static void *prepare_vectors(void *user_data)
{
    const Thread *thread = user_data;
    const World *world = thread->shared->world;
    PmDmaVector *vectors[] = {
        vector_new(world, (PmDmaVectorConfig){.alignment = 1}),
        vector_new(world,
                   (PmDmaVectorConfig){.fallback = world->fake != NULL ? PM_DMA_FALLBACK_MAP
                                                                       : PM_DMA_FALLBACK_NONE}),
    };

    while (!atomic_load(&thread->shared->is_over))
        use_vector(thread, vectors[below(thread, 2)]);
    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++)
        pm_dma_vector_free(vectors[i]);
    return NULL;
}

/* --- control --- */

static void *control(void *user_data)
{
    const Thread *thread = user_data;
    PmBufferRegistry *registry = thread->shared->world->registry;
    char *buffer = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    PmBufferRegistryStats stats = {.struct_size = sizeof(stats)};
    PmBufferRun run = {.struct_size = sizeof(run)};

    while (!atomic_load(&thread->shared->is_over)) {
        (void)pm_buffer_registry_register(registry, buffer, BLOCK, -1, 0, NULL);
        (void)pm_buffer_registry_retry(registry, NULL);
        (void)pm_buffer_registry_get_stats(registry, &stats, NULL);
        (void)pm_buffer_registry_next(registry, NULL, &run, NULL);
        (void)pm_buffer_registry_unregister(registry, buffer, BLOCK, NULL);
        sched_yield();
    }
    (void)pm_buffer_registry_unregister(registry, buffer, BLOCK, NULL);
    munmap(buffer, BLOCK);
    return NULL;
}

/* The manager's thread. Nobody leases what it has not plugged, so failures are of leases. */
static void change(const Thread *thread)
{
    World *world = thread->shared->world;
    uint64_t first = below(thread, N_BLOCKS);
    uint64_t n = 1 + below(thread, (uint32_t)MIN(3, N_BLOCKS - first));

    switch (below(thread, 16)) {
    case 0:
        (void)source_discard_all(world->manager, NULL);
        break;
    case 1:
        if (thread->shared->toggles_ram &&
            pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, NULL) &&
            !pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, NULL))
            atomic_fetch_add(&thread->shared->n_lost, 1);
        break;
    default:
        if (pm_discard_manager_is_discarded(world->manager, first * BLOCK, n * BLOCK))
            (void)plug(world, first, n, NULL);
        else
            (void)unplug(world, first, n, NULL);
    }
}

static void run_threads(Shared *shared)
{
    static void *(*const run[])(void *) = {lease_blocks, lease_blocks, prepare_vectors, control};
    Thread threads[G_N_ELEMENTS(run) + 1];
    pthread_t handles[G_N_ELEMENTS(run)];
    unsigned n_steps = random_steps(N_STEPS);

    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = (Thread){shared, i, g_rand_new_with_seed(shared->seed + i)};
    for (unsigned i = 0; i < G_N_ELEMENTS(run); i++)
        assert_int_equal(pthread_create(&handles[i], NULL, run[i], &threads[i]), 0);
    /* As many changes as leases, whichever thread runs more often. */
    for (unsigned i = 0; i < n_steps || atomic_load(&shared->n_granted) < n_steps; i++) {
        change(&threads[G_N_ELEMENTS(run)]);
        sched_yield();
    }
    atomic_store(&shared->is_over, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(run); i++)
        pthread_join(handles[i], NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        g_rand_free(threads[i].random);
}

static void run_on(const WorldConfig *config, bool toggles_ram)
{
    uint64_t addresses[N_BLOCKS] = {0};
    Shared shared = {
        .world = world_new(config),
        .seed = random_seed("registry_threads"),
        .toggles_ram = toggles_ram,
    };

    if (!config->on_iommu)
        model_use_new_addresses(shared.world, addresses);
    run_threads(&shared);
    assert_int_equal(atomic_load(&shared.n_lost), 0);
    assert_int_equal(atomic_load(&shared.n_misplaced), 0);
    assert_no_mistake(shared.world);
    (void)pm_buffer_registry_retry(shared.world->registry, NULL);
    assert_true(pm_discard_manager_get_quarantined(shared.world->manager) == 0);
    world_free(shared.world);
}

static void leases_hold_while_regions_are_evicted(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .max_regions = MAX_REGION, .wait_ms = 1};

    (void)state;
    run_on(&config, false);
    run_on(&config, true);
}

static void leases_hold_while_regions_are_replaced(void **state)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .max_regions = MAX_REGION, .flags = PM_BUFFER_CAN_REPLACE};

    (void)state;
    run_on(&config, true);
}

static void leases_hold_while_mappings_are_evicted(void **state)
{
    const WorldConfig config = {
        .ram_kind = PM_RAM_MEMFD, .on_iommu = true, .entry_limit = MAX_REGION, .wait_ms = 1};

    (void)state;
    run_on(&config, false);
    run_on(&config, true);
}

/* --- waiting --- */

typedef struct {
    World *world;
    PmDmaVector *vector;
} Finisher;

/* Once the block is closed, uses the registry, and then releases the block. */
static void *finish_when_closed(void *user_data)
{
    const Finisher *finisher = user_data;
    PmLease lease;
    PmBufferRegistryStats stats = {.struct_size = sizeof(stats)};

    while (pm_lease_hold(finisher->world->registry->leases, &lease, host_of(finisher->world, 2), 1,
                         NULL) == PM_LEASE_GRANTED) {
        pm_lease_release(&lease);
        sched_yield();
    }
    (void)pm_buffer_registry_get_stats(finisher->world->registry, &stats, NULL);
    pm_dma_vector_finish(finisher->vector);
    return NULL;
}

/* To unmap takes the registry's lock. */
static void an_unplug_that_waits_lets_a_mapped_request_finish(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD, .on_iommu = true, .wait_ms = LONG_WAIT};
    World *world = world_new(&config);
    static char other; /* is mapped for the request */
    const struct iovec iov[] = {{host_of(world, 2), BLOCK}, {&other, 1}};
    Finisher finisher = {.world = world};
    pthread_t thread;

    (void)state;
    finisher.vector = vector_new(world, (PmDmaVectorConfig){.fallback = PM_DMA_FALLBACK_MAP});
    pm_fake_kernel_fail(world->fake, PM_FAKE_CALL_MAP, 1, ENOSPC);
    assert_true(plug(world, 2, 1, NULL));
    assert_true(pm_dma_vector_prepare(finisher.vector, iov, 2, PM_DMA_TO_DEVICE, NULL));
    assert_int_equal(pthread_create(&thread, NULL, finish_when_closed, &finisher), 0);
    assert_true(unplug(world, 2, 1, NULL));
    pthread_join(thread, NULL);
    assert_int_equal(pm_iommu_get_n_mappings(world->iommu), 1); /* the bounce pool */
    pm_dma_vector_free(finisher.vector);
    world_free(world);
}

/* --- removing --- */

typedef struct {
    World *world;
    char *buffer;
    atomic_uint *n_removed;
} Remover;

static void *unregister(void *user_data)
{
    const Remover *remover = user_data;

    if (pm_buffer_registry_unregister(remover->world->registry, remover->buffer, BLOCK, NULL))
        atomic_fetch_add(remover->n_removed, 1);
    return NULL;
}

static void of_two_threads_that_unregister_a_buffer_one_succeeds(void **state)
{
    const WorldConfig config = {.ram_kind = PM_RAM_MEMFD};
    World *world = world_new(&config);
    char *buffer = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t threads[2];

    (void)state;
    for (unsigned i = 0; i < N_ATTEMPTS; i++) {
        atomic_uint n_removed = 0;
        Remover remover = {world, buffer, &n_removed};

        assert_true(pm_buffer_registry_register(world->registry, buffer, BLOCK, -1, 0, NULL));
        for (unsigned j = 0; j < 2; j++)
            assert_int_equal(pthread_create(&threads[j], NULL, unregister, &remover), 0);
        for (unsigned j = 0; j < 2; j++)
            pthread_join(threads[j], NULL);
        assert_int_equal(atomic_load(&n_removed), 1);
    }
    munmap(buffer, BLOCK);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leases_hold_while_regions_are_evicted),
        cmocka_unit_test(leases_hold_while_regions_are_replaced),
        cmocka_unit_test(leases_hold_while_mappings_are_evicted),
        cmocka_unit_test(an_unplug_that_waits_lets_a_mapped_request_finish),
        cmocka_unit_test(of_two_threads_that_unregister_a_buffer_one_succeeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
