/* SPDX-License-Identifier: MIT */
/*
 * A libblkio device that reads and writes plugged virtio-mem blocks, without a map and unmap per
 * request, while the blocks around them are plugged and unplugged. libblkio's device is the back
 * end of the buffer registry (device.c). Some buffers are elsewhere, and bounce.
 *
 *     qemu-storage-daemon --blockdev driver=file,node-name=f,filename=disk \
 *         --export type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=s,writable=on &
 *     blkio_disk virtio-blk-vhost-user s 10000
 *
 * With fewer regions than blocks, say 12, adjacent blocks share regions, and some blocks have none.
 * The disk is overwritten.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

#define ADDRESS   (4 * PM_GIB)
#define BLOCK     (2 * PM_MIB)
#define N_BLOCKS  UINT64_C(32)
#define SIZE      (N_BLOCKS * BLOCK)
#define MAX_BYTES PM_MIB /* of a request */
#define N_STEPS   200    /* at least so many plugs and unplugs */

/* One thread reads and writes, the other plugs and unplugs. */
typedef struct {
    Device device;
    PmRam *ram;
    PmVirtioMem *memory;
    char *elsewhere; /* in no range of the registry */
    unsigned n_requests;
    unsigned n_registered, n_bounced;
    uint64_t n_bytes;
    unsigned n_steps; /* atomic */
    unsigned n_plugs, n_unplugs, n_busy;
    gint done; /* atomic */
} World;

/* --- the guest: odd blocks appear and disappear, even ones stay --- */

static PmVirtioMemAnswer request(World *world, PmVirtioMemRequestType type, uint64_t block)
{
    PmVirtioMemRequest request;
    PmVirtioMemResponse response;
    PmVirtioMemAnswer answer;
    g_autoptr(GError) error = NULL;

    pm_virtio_mem_request_init(&request, type, ADDRESS + block * BLOCK, 1);
    if (!pm_virtio_mem_handle(world->memory, &request, sizeof(request), &response, sizeof(response),
                              &error) ||
        !pm_virtio_mem_response_decode(&response, &answer, NULL, &error))
        die("the virtio-mem device", error);
    return answer;
}

static void plug(World *world, uint64_t block)
{
    if (request(world, PM_VIRTIO_MEM_PLUG, block) != PM_VIRTIO_MEM_ACK)
        die("a block is not plugged", NULL);
    world->n_plugs++;
}

static void unplug(World *world, uint64_t block)
{
    PmVirtioMemAnswer answer = request(world, PM_VIRTIO_MEM_UNPLUG, block);

    if (answer == PM_VIRTIO_MEM_ACK)
        world->n_unplugs++;
    else if (answer == PM_VIRTIO_MEM_BUSY)
        world->n_busy++;
    else
        die("a block is not unplugged", NULL);
}

static void change_blocks(World *world)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);

    while (g_atomic_int_get(&world->done) == 0) {
        uint64_t block = (uint64_t)g_rand_int_range(random, 0, N_BLOCKS / 2) * 2 + 1;

        if (pm_discard_manager_is_populated(pm_virtio_mem_get_manager(world->memory), block * BLOCK,
                                            BLOCK))
            unplug(world, block);
        else
            plug(world, block);
        (void)g_atomic_int_add(&world->n_steps, 1);
    }
}

/* --- requests --- */

/* Of buffers in the virtio-mem device only those in blocks that stay: nothing else may be
 * accessed. */
static char *choose_buffer(World *world, GRand *random, uint64_t size)
{
    uint64_t block = (uint64_t)g_rand_int_range(random, 0, N_BLOCKS / 2) * 2;
    uint64_t offset =
        (uint64_t)g_rand_int_range(random, 0, (gint32)((BLOCK - size) / 512) + 1) * 512;

    if (g_rand_int_range(random, 0, 8) == 0)
        return world->elsewhere;
    return (char *)pm_ram_get_host(world->ram) + block * BLOCK + offset;
}

static void prepare(PmDmaVector *vector, const struct iovec *iov, PmDmaDirection direction)
{
    g_autoptr(GError) error = NULL;

    if (!pm_dma_vector_prepare(vector, iov, 1, direction, &error))
        die("preparing a request", error);
}

static void execute(World *world, PmDmaVector *vector, bool reads, uint64_t offset,
                    const struct iovec *iov)
{
    const PmDmaSegment *segments;
    size_t n_segments;

    prepare(vector, iov, reads ? PM_DMA_FROM_DEVICE : PM_DMA_TO_DEVICE);
    segments = pm_dma_vector_get_segments(vector, &n_segments);
    if (segments[0].address == (uintptr_t)iov->iov_base)
        world->n_registered++;
    else
        world->n_bounced++;
    device_execute(&world->device, reads, offset, segments, n_segments);
    pm_dma_vector_finish(vector);
    world->n_bytes += iov->iov_len;
}

/* A pattern that differs between requests, in every sector. */
static void fill(char *buffer, uint64_t size, uint32_t seed)
{
    for (uint64_t i = 0; i < size; i += sizeof(seed)) {
        uint32_t word = seed * 2654435761U + (uint32_t)i;

        memcpy(buffer + i, &word, sizeof(word));
    }
}

static void write_and_read(World *world, PmDmaVector *vector, GRand *random, uint32_t seed,
                           char *expected)
{
    static const uint64_t sizes[] = {512, 4 * PM_KIB, 64 * PM_KIB, MAX_BYTES};
    uint64_t size = MAX(sizes[g_rand_int_range(random, 0, G_N_ELEMENTS(sizes))],
                        world->device.request_alignment);
    uint64_t offset =
        (uint64_t)g_rand_int_range(random, 0, (gint32)(world->device.capacity / size)) * size;
    struct iovec iov = {choose_buffer(world, random, size), size};

    fill(expected, size, seed);
    memcpy(iov.iov_base, expected, size);
    execute(world, vector, false, offset, &iov);
    iov.iov_base = choose_buffer(world, random, size);
    memset(iov.iov_base, 0, size);
    execute(world, vector, true, offset, &iov);
    if (memcmp(iov.iov_base, expected, size) != 0)
        die("the device returned other data than was written", NULL);
}

static gpointer run_requests(gpointer data)
{
    World *world = data;
    const PmDmaVectorConfig config = {.struct_size = sizeof(config),
                                      .max_segments = world->device.max_segments};
    g_autoptr(GRand) random = g_rand_new_with_seed(2);
    g_autofree char *expected = g_malloc(MAX_BYTES);
    g_autoptr(GError) error = NULL;
    g_autoptr(PmDmaVector) vector = pm_dma_vector_new(world->device.registry, &config, &error);

    if (vector == NULL)
        die("making a vector", error);
    for (uint32_t i = 0; i < world->n_requests / 2 || g_atomic_int_get(&world->n_steps) < N_STEPS;
         i++)
        write_and_read(world, vector, random, i, expected);
    g_atomic_int_set(&world->done, 1);
    return NULL;
}

/* --- all of it --- */

static void open_memory(World *world)
{
    PmVirtioMemConfig memory = {.struct_size = sizeof(memory),
                                .address = ADDRESS,
                                .block_size = BLOCK,
                                .requested_size = SIZE};
    g_autoptr(GError) error = NULL;

    world->elsewhere = g_malloc(MAX_BYTES);
    world->ram = memory.ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, &error);
    if (world->ram == NULL)
        die("reserving memory", error);
    world->memory = pm_virtio_mem_new(&memory, &error);
    if (world->memory == NULL)
        die("making the virtio-mem device", error);
    if (!pm_buffer_registry_add_ram(world->device.registry, world->ram, 0, SIZE, &error))
        die("registering the memory", error);
    for (uint64_t block = 0; block < N_BLOCKS; block += 2)
        plug(world, block);
}

static void close_memory(World *world)
{
    g_autoptr(GError) error = NULL;

    if (!pm_buffer_registry_remove_ram(world->device.registry, world->ram, 0, SIZE, &error))
        die("unregistering the memory", error);
    pm_virtio_mem_free(world->memory);
    pm_ram_unref(world->ram);
    g_free(world->elsewhere);
}

static void print_totals(World *world)
{
    PmBufferRegistryStats stats = {.struct_size = sizeof(stats)};

    if (!pm_buffer_registry_get_stats(world->device.registry, &stats, NULL))
        abort();
    printf("requests: %u registered, %u bounced, %" G_GUINT64_FORMAT " MiB, none wrong\n",
           world->n_registered, world->n_bounced, world->n_bytes / PM_MIB);
    printf("blocks: %u plugs, %u unplugs, %u busy unplugs\n", world->n_plugs, world->n_unplugs,
           world->n_busy);
    printf("regions: %" G_GUINT64_FORMAT " of at most %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
           " replaced, %" G_GUINT64_FORMAT " bytes refused\n",
           stats.n_regions, pm_buffer_registry_get_region_limit(world->device.registry),
           stats.n_replaced, stats.refused_bytes);
}

int main(int argc, char **argv)
{
    World world = {.n_requests = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 2000};
    GThread *thread;

    if (argc < 3)
        die("usage: blkio_disk DRIVER PATH [REQUESTS [REGIONS]]: overwrites the disk", NULL);
    device_open(&world.device, argv[1], argv[2], argc > 4 ? strtoul(argv[4], NULL, 10) : 0);
    if (world.device.capacity < MAX_BYTES)
        die("the disk must have a MiB", NULL);
    open_memory(&world);
    thread = g_thread_new("requests", run_requests, &world);
    change_blocks(&world);
    (void)g_thread_join(thread);
    print_totals(&world);
    close_memory(&world);
    device_close(&world.device);
    return 0;
}
