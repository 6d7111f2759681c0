/* SPDX-License-Identifier: MIT */
/* Compares what devices reach by DMA: both sides' devices write and read at the same addresses. */
#include <errno.h>
#include <string.h>

#include <plugmap/fake.h>

#include "kernel-uapi/vfio.h"
#include "world.h"

/* Where most mappings are, in a container and on iommufd. */
#define WINDOW_START UINT64_C(0x100000)
#define WINDOW_END   UINT64_C(0x140000)
#define PLACES_START UINT64_C(0x2000000)
#define PLACES_END   UINT64_C(0x2040000)
#define PLACE_SIZE   UINT64_C(0x8000)

/* Not where writes are interrupts, not above 4 GiB, which a fake 6.1 truncates on the way to its
 * edu, not in the engines' own memory, and not where device registers are or were mapped. */
static bool supports_dma(const World *world, uint64_t iova)
{
    for (guint i = 0; i < world->registers->len; i++) {
        const Op *map = &g_array_index(world->registers, Op, i);

        if (iova >= map->iova && iova - map->iova < map->size)
            return false;
    }
    return iova % PAGE == 0 && iova >> 32 == 0 && iova >> 20 != 0xfee &&
           (iova < SCRATCH_IOVA || iova >= SCRATCH_IOVA + SCRATCH_SIZE);
}

static bool start_engine(World *world, Side *side)
{
    g_autoptr(GError) error = NULL;

    if (side->engine != NULL)
        return true;
    memset(side->scratch, 0, SCRATCH_SIZE);
    side->engine = pm_dma_engine_new(side->kernel, side->devices[0], "0000:00:06.0", side->scratch,
                                     SCRATCH_IOVA, &error);
    if (side->engine == NULL)
        world_differ(world, "%s", error->message);
    return side->engine != NULL;
}

bool world_start_engines(World *world)
{
    return start_engine(world, &world->sides[HOST]) && start_engine(world, &world->sides[FAKE]);
}

static void transfer(World *world, int side, bool write, uint64_t iova, void *data)
{
    PmDmaEngine *engine = world->sides[side].engine;
    g_autoptr(GError) error = NULL;

    world->n_transfers++;
    if (write ? !pm_dma_engine_write(engine, iova, data, &error)
              : !pm_dma_engine_read(engine, iova, data, &error))
        world_differ(world, "DMA: %s", error->message);
}

/* Data that no other transfer has written. */
static uint32_t make_fresh(uint32_t *words)
{
    static uint32_t n;

    n++;
    for (size_t i = 0; i < PM_DMA_PAGE / sizeof *words; i++)
        words[i] = n;
    return n;
}

/* @writer writes by DMA, then both read: they must reach the same memory, or none. Returns whether
 * the written data was read. */
static bool write_and_compare(World *world, int writer, uint64_t iova)
{
    size_t size = pm_dma_engine_transfer_size(world->sides[FAKE].engine);
    uint32_t seen[N_SIDES][PM_DMA_PAGE / sizeof(uint32_t)];
    uint32_t data[PM_DMA_PAGE / sizeof(uint32_t)];
    uint32_t fresh = make_fresh(data);

    transfer(world, writer, true, iova, data);
    for (int i = 0; i < N_SIDES; i++)
        transfer(world, i, false, iova, seen[i]);
    if (memcmp(seen[HOST], seen[FAKE], size) != 0)
        world_differ(world, "DMA at 0x%x after the %s wrote 0x%x: host reads 0x%x..., fake 0x%x...",
                     (unsigned)iova, writer == HOST ? "host" : "fake", fresh, seen[HOST][0],
                     seen[FAKE][0]);
    return memcmp(seen[HOST], data, size) == 0;
}

static void count_dma(World *world, bool arrives)
{
    world_count(world, arrives ? "successful DMA" : "blocked DMA", 0);
}

void world_compare_dma(World *world, uint64_t iova)
{
    bool host_wrote;
    bool fake_wrote;

    if (!supports_dma(world, iova) || world->difference != NULL)
        return;
    host_wrote = write_and_compare(world, HOST, iova);
    fake_wrote = write_and_compare(world, FAKE, iova);
    count_dma(world, host_wrote);
    if (host_wrote != fake_wrote)
        world_differ(world, "DMA at 0x%x: a write by the host %s, one by the fake %s",
                     (unsigned)iova, host_wrote ? "succeeds" : "is blocked",
                     fake_wrote ? "succeeds" : "is blocked");
}

/* The sides write in turns, which takes half the time. */
static void compare_quickly(World *world, uint64_t iova)
{
    int writer = world->n_comparisons++ % N_SIDES;

    if (supports_dma(world, iova) && world->difference == NULL)
        count_dma(world, write_and_compare(world, writer, iova));
}

void world_compare_ends(World *world, uint64_t iova, uint64_t size)
{
    compare_quickly(world, iova);
    if (size > PAGE)
        compare_quickly(world, iova + size - PAGE);
}

/* Finds mappings that only the host has. */
static void compare_window(World *world)
{
    bool is_iommufd = world->kind == SEQUENCE_IOMMUFD;
    uint64_t start = is_iommufd ? PLACES_START : WINDOW_START;
    uint64_t end = is_iommufd ? PLACES_END : WINDOW_END;

    for (uint64_t at = start; at < end; at += is_iommufd ? PLACE_SIZE : PAGE)
        world_compare_dma(world, at);
}

void world_compare_all(World *world, unsigned group)
{
    uint64_t iova = 0;
    uint64_t size;

    compare_window(world);
    while (pm_fake_kernel_next_translated(world->sides[FAKE].kernel, group, iova, UINT64_MAX, &iova,
                                          &size)) {
        const uint64_t edges[] = {iova - PAGE, iova, iova + size - PAGE, iova + size};

        for (size_t i = 0; i < G_N_ELEMENTS(edges); i++)
            world_compare_dma(world, edges[i]);
        iova += size;
        if (iova == 0)
            break;
    }
}

/* --- in a container --- */

/* Each side's own memory at the same IOVA; false if the MAP fails. An unmap of everything removes
 * it. */
static bool map_scratch(World *world)
{
    int results[N_SIDES];

    for (int i = 0; i < N_SIDES; i++) {
        Side *side = &world->sides[i];
        struct vfio_iommu_type1_dma_map map = {
            .argsz = sizeof map,
            .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
            .vaddr = (uintptr_t)side->scratch,
            .iova = SCRATCH_IOVA,
            .size = SCRATCH_SIZE,
        };

        results[i] =
            side->kernel->ops->ioctl(side->kernel, side->containers[0], VFIO_IOMMU_MAP_DMA, &map);
        if (results[i] == 0)
            g_clear_pointer(&side->engine, pm_dma_engine_free);
    }
    if (results[HOST] != results[FAKE])
        world_differ(world, "mapping the engines' memory: host %d, fake %d", results[HOST],
                     results[FAKE]);
    return results[HOST] == 0 || results[HOST] == -EEXIST;
}

bool world_prepare_dma(World *world)
{
    return map_scratch(world) && world_start_engines(world);
}
