/* SPDX-License-Identifier: MIT */
/* Operations on a container: MAP, UNMAP and dirty pages. */
#include <string.h>

#include "kernel-uapi/vfio.h"
#include "world.h"

/* An argument with room for data after the struct. */
typedef union {
    struct vfio_iommu_type1_dma_map map;
    struct vfio_iommu_type1_dma_unmap unmap;
    struct vfio_iommu_type1_dirty_bitmap dirty;
    char bytes[128];
} Argument;

int world_map(World *world, const Op *op, const int *fds)
{
    Argument argument = {.map = {
                             .argsz = op->argsz,
                             .flags = op->flags,
                             .vaddr = op->host,
                             .iova = op->iova,
                             .size = op->size,
                         }};

    if (op->flags == VFIO_DMA_MAP_FLAG_READ && !memory_can_be_held(op->host, op->size))
        return 1;
    return world_ioctl(world, fds, VFIO_IOMMU_MAP_DMA, &argument, sizeof argument.map, op);
}

static struct vfio_bitmap make_bitmap(const Op *op)
{
    return (struct vfio_bitmap){
        .pgsize = op->page_size,
        .size = op->bitmap_size,
        .data = (uint64_t *)(uintptr_t)op->bitmap,
    };
}

int world_unmap(World *world, const Op *op, const int *fds)
{
    const struct vfio_bitmap bitmap = make_bitmap(op);
    Argument argument = {.unmap = {
                             .argsz = op->argsz,
                             .flags = op->flags,
                             .iova = op->iova,
                             .size = op->size,
                         }};

    memcpy(argument.bytes + sizeof argument.unmap, &bitmap, sizeof bitmap);
    return world_ioctl(world, fds, VFIO_IOMMU_UNMAP_DMA, &argument, sizeof argument, op);
}

void world_dirty(World *world, const Op *op, const int *fds)
{
    const struct vfio_iommu_type1_dirty_bitmap_get get = {
        .iova = op->iova, .size = op->size, .bitmap = make_bitmap(op)};
    Argument argument = {.dirty = {.argsz = op->argsz, .flags = op->flags}};

    memcpy(argument.bytes + sizeof argument.dirty, &get, sizeof get);
    (void)world_ioctl(world, fds, VFIO_IOMMU_DIRTY_PAGES, &argument, sizeof argument, op);
}
