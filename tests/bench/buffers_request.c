/* SPDX-License-Identifier: MIT */
/*
 * What it costs to set up a request (pm_dma_vector_prepare() and pm_dma_vector_finish(), a read and
 * a write) for a buffer that is registered, that bounces, and that is mapped
 * and unmapped for the request, on the fake kernel.
 *
 * buffers_request: prints a table, and exits 1 if registered is slower than the pool at any size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <plugmap/fake.h>

#include "bench_util.h"
#include "kernel-uapi/virtio_mem.h"

#define ADDRESS  (UINT64_C(1) << 40)
#define BLOCK    (2 * PM_MIB)
#define N_BLOCKS UINT64_C(32)
#define N_TRIES  25
#define BYTES    (64 * PM_MIB) /* per measurement, at most */
#define MAX_RUNS 4000
#define MAP_RUNS 200 /* with map and unmap */

typedef struct {
    PmKernel *kernel;
    PmIommu *iommu;
    PmRam *ram;
    PmVirtioMem *device;
    PmBufferRegistry *registry;
    char *buffer; /* is not registered */
} World;

static void open_iommu(World *world)
{
    GError *error = NULL;
    PmType1Config config = {.struct_size = sizeof(config), .has_group = true, .group = 1};

    world->kernel = pm_fake_kernel_new(NULL, &error);
    config.kernel = world->kernel;
    world->iommu = world->kernel != NULL ? pm_iommu_type1_new(&config, &error) : NULL;
    if (world->iommu == NULL)
        bench_die("fake kernel", error);
}

static void plug(World *world)
{
    GError *error = NULL;
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .address = ADDRESS,
                                .block_size = BLOCK,
                                .requested_size = N_BLOCKS * BLOCK};

    world->ram = pm_ram_new(PM_RAM_ANONYMOUS, N_BLOCKS * BLOCK, BLOCK, &error);
    config.ram = world->ram;
    world->device = world->ram != NULL ? pm_virtio_mem_new(&config, &error) : NULL;
    if (world->device == NULL)
        bench_die("device", error);
    bench_request(world->device, PM_VIRTIO_MEM_PLUG, 0, N_BLOCKS);
    memset(pm_ram_get_host(world->ram), 1, N_BLOCKS * BLOCK);
}

static void make_registry(World *world)
{
    GError *error = NULL;
    const PmBufferRegistryConfig config = {
        .struct_size = sizeof(config), .name = "the buffers", .iommu = world->iommu};

    world->registry = pm_buffer_registry_new(&config, &error);
    if (world->registry == NULL ||
        !pm_buffer_registry_add_ram(world->registry, world->ram, 0, N_BLOCKS * BLOCK, &error))
        bench_die("registry", error);
}

static void world_free(World *world)
{
    pm_buffer_registry_free(world->registry);
    pm_virtio_mem_free(world->device);
    pm_ram_unref(world->ram);
    pm_iommu_unref(world->iommu);
    pm_kernel_unref(world->kernel);
    free(world->buffer);
}

/* Nanoseconds of one request. */
static double time_requests(PmDmaVector *vector, void *host, uint64_t size, uint64_t n_runs)
{
    const struct iovec iov = {host, size};
    GError *error = NULL;
    double start = bench_thread_ns();

    for (uint64_t i = 0; i < n_runs; i++) {
        if (!pm_dma_vector_prepare(vector, &iov, 1,
                                   i % 2 == 0 ? PM_DMA_TO_DEVICE : PM_DMA_FROM_DEVICE, &error))
            bench_die("request", error);
        pm_dma_vector_finish(vector);
    }
    return (bench_thread_ns() - start) / (double)n_runs;
}

static PmDmaVector *make_vector(const World *world, PmDmaFallback fallback)
{
    const PmDmaVectorConfig config = {.struct_size = sizeof(config), .fallback = fallback};
    GError *error = NULL;
    PmDmaVector *vector = pm_dma_vector_new(world->registry, &config, &error);

    if (vector == NULL)
        bench_die("vector", error);
    return vector;
}

typedef struct {
    double registered;
    double pool;
    double map;
} Times;

/* The best of several, which take turns, so that all see the same machine. Each takes less than a
 * millisecond where it can, so that some are not interrupted on a busy machine. */
static Times measure(const World *world, uint64_t size)
{
    PmDmaVector *registered = make_vector(world, PM_DMA_FALLBACK_NONE);
    PmDmaVector *pool = make_vector(world, PM_DMA_FALLBACK_BOUNCE);
    PmDmaVector *map = make_vector(world, PM_DMA_FALLBACK_MAP);
    uint64_t n_runs = MIN(BYTES / size, MAX_RUNS);
    char *host = pm_ram_get_host(world->ram);
    Times best = {G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE};

    for (unsigned i = 0; i < N_TRIES; i++) {
        best.registered = MIN(best.registered, time_requests(registered, host, size, n_runs));
        best.pool = MIN(best.pool, time_requests(pool, world->buffer, size, n_runs));
        best.map = MIN(best.map, time_requests(map, world->buffer, size, MIN(n_runs, MAP_RUNS)));
    }
    pm_dma_vector_free(registered);
    pm_dma_vector_free(pool);
    pm_dma_vector_free(map);
    return best;
}

int main(void)
{
    static const uint64_t sizes[] = {512, 4 * PM_KIB, 64 * PM_KIB, PM_MIB};
    World world = {.buffer = aligned_alloc(BLOCK, BLOCK)};
    bool met = true;

    if (world.buffer == NULL)
        bench_die("no memory for a buffer", NULL);
    memset(world.buffer, 1, BLOCK);
    open_iommu(&world);
    plug(&world);
    make_registry(&world);
    printf("%8s %14s %10s %10s %6s %6s\n", "size", "registered/ns", "pool/ns", "map/ns", "pool",
           "map");
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Times times = measure(&world, sizes[i]);
        g_autofree char *size = pm_size_format(sizes[i]);

        printf("%8s %14.0f %10.0f %10.0f %6.1f %6.1f\n", size, times.registered, times.pool,
               times.map, times.pool / times.registered, times.map / times.registered);
        met &= times.registered <= times.pool;
    }
    world_free(&world);
    if (!met)
        fprintf(stderr, "a registered buffer is slower than the bounce pool\n");
    return met ? 0 : 1;
}
