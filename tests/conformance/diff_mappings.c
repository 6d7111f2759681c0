/* SPDX-License-Identifier: MIT */
/* What random lives do in a container: MAP, UNMAP, dirty pages, and DMA. */
#include <errno.h>
#include <string.h>

#include "diff_world.h"
#include "kernel-uapi/vfio.h"

/* An argument with room behind the struct for what follows it. */
typedef union {
    struct vfio_iommu_type1_dma_map map;
    struct vfio_iommu_type1_dma_unmap unmap;
    struct vfio_iommu_type1_dirty_bitmap dirty;
    char bytes[128];
} Argument;

void world_map(World *world, const Op *op, const int *fds)
{
    Argument argument = {.map = {
                             .argsz = op->argsz,
                             .flags = op->flags,
                             .vaddr = op->host,
                             .iova = op->iova,
                             .size = op->size,
                         }};

    if (op->flags == VFIO_DMA_MAP_FLAG_READ && !memory_can_be_held(op->host, op->size))
        return;
    (void)world_ioctl(world, fds, VFIO_IOMMU_MAP_DMA, &argument, sizeof argument.map, op);
}

static struct vfio_bitmap make_bitmap(const Op *op)
{
    return (struct vfio_bitmap){
        .pgsize = op->page_size,
        .size = op->bitmap_size,
        .data = (uint64_t *)(uintptr_t)op->bitmap,
    };
}

void world_unmap(World *world, const Op *op, const int *fds)
{
    const struct vfio_bitmap bitmap = make_bitmap(op);
    Argument argument = {.unmap = {
                             .argsz = op->argsz,
                             .flags = op->flags,
                             .iova = op->iova,
                             .size = op->size,
                         }};

    memcpy(argument.bytes + sizeof argument.unmap, &bitmap, sizeof bitmap);
    (void)world_ioctl(world, fds, VFIO_IOMMU_UNMAP_DMA, &argument, sizeof argument, op);
}

void world_dirty(World *world, const Op *op, const int *fds)
{
    const struct vfio_iommu_type1_dirty_bitmap_get get = {
        .iova = op->iova, .size = op->size, .bitmap = make_bitmap(op)};
    Argument argument = {.dirty = {.argsz = op->argsz, .flags = op->flags}};

    memcpy(argument.bytes + sizeof argument.dirty, &get, sizeof get);
    (void)world_ioctl(world, fds, VFIO_IOMMU_DIRTY_PAGES, &argument, sizeof argument, op);
}

/* --- DMA --- */

/* Each side's own memory at the same place: false if it cannot be mapped there now. Unmapping
 * everything takes it away. */
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

bool world_start_engine(World *world, Side *side)
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

static void transfer(World *world, int side, bool write, uint64_t iova, char *data)
{
    PmDmaEngine *engine = world->sides[side].engine;
    g_autoptr(GError) error = NULL;

    world->n_transfers++;
    if (write ? !pm_dma_engine_write(engine, iova, data, &error)
              : !pm_dma_engine_read(engine, iova, data, &error))
        world_differ(world, "DMA: %s", error->message);
}

/* @writer writes by DMA, then both read: they reach the same memory, or none. */
static bool write_and_compare(World *world, int writer, uint64_t iova, char fill)
{
    size_t size = pm_dma_engine_transfer_size(world->sides[FAKE].engine);
    char seen[N_SIDES][PM_DMA_PAGE];
    char data[PM_DMA_PAGE];

    memset(data, fill, sizeof data);
    transfer(world, writer, true, iova, data);
    for (int i = 0; i < N_SIDES; i++)
        transfer(world, i, false, iova, seen[i]);
    if (memcmp(seen[HOST], seen[FAKE], size) != 0)
        world_differ(world, "DMA after the %s wrote 0x%02x: host reads 0x%02x…, fake 0x%02x…",
                     writer == HOST ? "host" : "fake", fill, seen[HOST][0] & 0xff,
                     seen[FAKE][0] & 0xff);
    return memcmp(seen[HOST], data, size) == 0;
}

void world_compare_dma(World *world, uint64_t iova)
{
    static unsigned n_fills;
    bool host_wrote = write_and_compare(world, HOST, iova, (char)(n_fills++ % 127 + 1));
    bool fake_wrote = write_and_compare(world, FAKE, iova, (char)(n_fills++ % 127 + 1));

    world_count(world, host_wrote ? "DMA that arrives" : "DMA that is refused", 0);
    if (host_wrote != fake_wrote)
        world_differ(world, "DMA: a write by the host %s, by the fake it %s",
                     host_wrote ? "arrives" : "does not", fake_wrote ? "does" : "does not");
}

void world_dma(World *world, const Op *op)
{
    if (map_scratch(world) && world_start_engine(world, &world->sides[HOST]) &&
        world_start_engine(world, &world->sides[FAKE]))
        world_compare_dma(world, op->iova);
}
