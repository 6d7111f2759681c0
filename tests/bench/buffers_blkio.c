/* SPDX-License-Identifier: MIT */
/*
 * Requests of a libblkio device, one at a time, reads and writes in turns: with a buffer that is
 * registered, with one that bounces, and with one that is mapped and unmapped for the request.
 * tests/debian13/blkio runs it.
 *
 * buffers_blkio DRIVER PATH [PERCENT]: overwrites the start of the disk, prints a table, and exits
 * 1 if the disk returns other data than was written. PERCENT: of the usual number of requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_util.h"
#include "examples/blkio/device.h"

#define MAX_SIZE   PM_MIB
#define N_REQUESTS 4000 /* of each size and way */

typedef struct {
    Device device;
    unsigned percent;
    PmRam *registered;
    PmRam *elsewhere; /* has the file that a region needs */
} World;

typedef enum {
    REGISTERED,
    POOL,
    MAP,
    N_WAYS
} Way;

static PmRam *make_ram(void)
{
    g_autoptr(GError) error = NULL;
    PmRam *ram = pm_ram_new(PM_RAM_MEMFD, MAX_SIZE, 0, &error);

    if (ram == NULL || !pm_ram_populate(ram, 0, MAX_SIZE, 1, &error))
        bench_die("memory", error);
    return ram;
}

static PmDmaVector *make_vector(const World *world, PmDmaFallback fallback)
{
    const PmDmaVectorConfig config = {.struct_size = sizeof(config),
                                      .max_segments = world->device.max_segments,
                                      .fallback = fallback};
    g_autoptr(GError) error = NULL;
    PmDmaVector *vector = pm_dma_vector_new(world->device.registry, &config, &error);

    if (vector == NULL)
        bench_die("vector", error);
    return vector;
}

static void request(World *world, PmDmaVector *vector, bool reads, PmRam *ram, uint64_t size)
{
    const struct iovec iov = {pm_ram_get_host(ram), size};
    const PmDmaSegment *segments;
    size_t n_segments;
    g_autoptr(GError) error = NULL;

    if (!pm_dma_vector_prepare(vector, &iov, 1, reads ? PM_DMA_FROM_DEVICE : PM_DMA_TO_DEVICE,
                               &error))
        bench_die("request", error);
    segments = pm_dma_vector_get_segments(vector, &n_segments);
    device_execute(&world->device, reads, 0, segments, n_segments);
    pm_dma_vector_finish(vector);
}

/* As much as the request needs, in pages. */
static void request_mapped(World *world, PmDmaVector *vector, bool reads, uint64_t size)
{
    uint64_t page = pm_ram_get_page_size(world->elsewhere);
    uint64_t mapped = (size + page - 1) / page * page;
    g_autoptr(GError) error = NULL;

    if (!pm_buffer_registry_add_ram(world->device.registry, world->elsewhere, 0, mapped, &error))
        bench_die("map", error);
    request(world, vector, reads, world->elsewhere, size);
    if (!pm_buffer_registry_remove_ram(world->device.registry, world->elsewhere, 0, mapped, &error))
        bench_die("unmap", error);
}

static void request_way(World *world, PmDmaVector *vector, Way way, bool reads, uint64_t size)
{
    if (way == MAP)
        request_mapped(world, vector, reads, size);
    else
        request(world, vector, reads, way == POOL ? world->elsewhere : world->registered, size);
}

static bool returns_what_was_written(World *world, PmDmaVector *vector, Way way, uint64_t size)
{
    char *host = pm_ram_get_host(way == REGISTERED ? world->registered : world->elsewhere);
    int pattern = 'a' + (int)way;

    memset(host, pattern, size);
    request_way(world, vector, way, false, size);
    memset(host, 0, size);
    request_way(world, vector, way, true, size);
    return host[0] == pattern && memcmp(host, host + 1, size - 1) == 0;
}

static int compare(gconstpointer a, gconstpointer b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0) - (difference < 0);
}

/* Nanoseconds of a request: the median. In random order, so that all see the same machine, which
 * others may be using, and none is always the one after a map and unmap. */
static void time_requests(World *world, PmDmaVector *const vectors[], uint64_t size,
                          double medians[])
{
    unsigned n = MAX(2, N_REQUESTS * world->percent / 100);
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    GArray *times[N_WAYS];

    for (unsigned way = 0; way < N_WAYS; way++)
        times[way] = g_array_new(FALSE, FALSE, sizeof(double));
    for (unsigned i = 0; i < n * N_WAYS; i++) {
        unsigned way = i < N_WAYS ? i : (unsigned)g_rand_int_range(random, 0, N_WAYS);
        double start = bench_now_ns();
        double ns;

        request_way(world, vectors[way], (Way)way, times[way]->len % 2 == 1, size);
        ns = bench_now_ns() - start;
        g_array_append_val(times[way], ns);
    }
    for (unsigned way = 0; way < N_WAYS; way++) {
        g_array_sort(times[way], compare);
        medians[way] = g_array_index(times[way], double, times[way]->len / 2);
        g_array_unref(times[way]);
    }
}

static bool measure(World *world, uint64_t size)
{
    PmDmaVector *vectors[N_WAYS] = {make_vector(world, PM_DMA_FALLBACK_NONE),
                                    make_vector(world, PM_DMA_FALLBACK_BOUNCE),
                                    make_vector(world, PM_DMA_FALLBACK_NONE)};
    g_autofree char *text = pm_size_format(size);
    double ns[N_WAYS];
    bool right = true;

    for (unsigned way = 0; way < N_WAYS; way++)
        right &= returns_what_was_written(world, vectors[way], (Way)way, size);
    time_requests(world, vectors, size, ns);
    for (unsigned way = 0; way < N_WAYS; way++)
        pm_dma_vector_free(vectors[way]);
    printf("%8s %14.0f %10.0f %10.0f %6.2f %6.2f\n", text, 1e9 / ns[REGISTERED], 1e9 / ns[POOL],
           1e9 / ns[MAP], ns[POOL] / ns[REGISTERED], ns[MAP] / ns[REGISTERED]);
    if (!right)
        (void)fprintf(stderr, "%s: the disk returned other data than was written\n", text);
    return right;
}

int main(int argc, char **argv)
{
    static const uint64_t sizes[] = {512, 4 * PM_KIB, 64 * PM_KIB, PM_MIB};
    World world = {.percent = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 100,
                   .registered = make_ram(),
                   .elsewhere = make_ram()};
    g_autoptr(GError) error = NULL;
    bool right = true;

    if (argc < 3)
        bench_die("usage: buffers_blkio DRIVER PATH [PERCENT]", NULL);
    device_open(&world.device, argv[1], argv[2], 0);
    if (!pm_buffer_registry_add_ram(world.device.registry, world.registered, 0, MAX_SIZE, &error))
        bench_die("registering", error);
    printf("requests per second, and how many times faster registered is\n"
           "%8s %14s %10s %10s %6s %6s\n",
           "size", "registered", "pool", "map", "pool", "map");
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
        right &= measure(&world, sizes[i]);
    if (!pm_buffer_registry_remove_ram(world.device.registry, world.registered, 0, MAX_SIZE,
                                       &error))
        bench_die("unregistering", error);
    device_close(&world.device);
    pm_ram_unref(world.registered);
    pm_ram_unref(world.elsewhere);
    return right ? 0 : 1;
}
