/* SPDX-License-Identifier: MIT */
#include "fake/type1/type1_map.h"

#include <errno.h>

#include "fake/memory/user_memory.h"
#include "fake/type1/type1_dirty.h"
#include "kernel-uapi/vfio.h"

#define MAP_FLAGS  (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR)
#define MAP_ACCESS (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static int check_map(const PmFakeType1 *type1, const struct vfio_iommu_type1_dma_map *map)
{
    bool sets_address = map->flags & VFIO_DMA_MAP_FLAG_VADDR;

    if (map->argsz < sizeof(*map) || map->flags & ~(uint32_t)MAP_FLAGS)
        return -EINVAL;
    if (sets_address == ((map->flags & MAP_ACCESS) != 0))
        return -EINVAL;
    if (map->size == 0 ||
        (map->size | map->iova | map->vaddr) % pm_fake_type1_page_size(type1) != 0)
        return -EINVAL;
    if (map->iova + (map->size - 1) < map->iova || map->vaddr + (map->size - 1) < map->vaddr)
        return -EINVAL;
    return 0;
}

/* The first mapping in the range. An end of exactly 2^64 wraps to 0 in the kernel, which then
 * finds none. */
static PmMapping *find_overlap(const PmFakeType1 *type1, uint64_t iova, uint64_t size)
{
    PmMapping *mapping = pm_range_map_find(type1->mappings, iova);

    if (iova + size == 0 || mapping == NULL || mapping->key.first > iova + (size - 1))
        return NULL;
    return mapping;
}

/* MAP with VADDR sets a new host address where UNMAP with VADDR invalidated the old one. The
 * page table does not change: devices keep reaching the pinned pages. */
static int set_address(PmFakeType1 *type1, PmMapping *mapping,
                       const struct vfio_iommu_type1_dma_map *map)
{
    if (mapping == NULL)
        return -ENOENT;
    if (!mapping->address_invalid || mapping->key.first != map->iova ||
        pm_mapping_size(mapping) != map->size)
        return -EINVAL;
    mapping->host = map->vaddr;
    mapping->address_invalid = 0;
    type1->n_invalid_addresses--;
    return 0;
}

static bool in_a_range(const PmFakeType1 *type1, uint64_t iova, uint64_t size)
{
    const PmFakeConfig *config = &type1->machine->config;

    /* An end of 2^64 slips past the overlap check; no real IOMMU reaches that far. */
    if (iova + size == 0)
        return false;
    for (size_t i = 0; i < config->n_iova_ranges; i++)
        if (iova >= config->iova_ranges[i].start &&
            iova + (size - 1) <= config->iova_ranges[i].last)
            return true;
    return false;
}

static int add_mapping(PmFakeType1 *type1, const struct vfio_iommu_type1_dma_map *map)
{
    PmMapping mapping = {
        .key = {map->iova, map->iova + (map->size - 1)},
        .host = map->vaddr,
        .access = map->flags & MAP_ACCESS,
    };
    int result = pm_pin(type1->memory, map->vaddr, map->size, (PmIommuAccess)mapping.access,
                        type1->table, map->iova, &mapping.pins);

    if (result < 0)
        return result;
    result = pm_fake_type1_dirty_add(type1, &mapping);
    if (result == 0 && !pm_range_map_insert(type1->mappings, &mapping)) {
        pm_fake_type1_dirty_remove(type1, &mapping);
        result = -ENOMEM;
    }
    if (result < 0) {
        pm_page_table_unmap(type1->table, map->iova, map->size);
        pm_unpin(type1->memory, &mapping.pins);
        return result;
    }
    type1->n_available--;
    return 0;
}

int pm_fake_type1_map(PmFakeType1 *type1, const void *argument)
{
    struct vfio_iommu_type1_dma_map map;
    PmMapping *overlap;
    int result;

    if (pm_user_read(&map, argument, sizeof(map)) < 0)
        return -EFAULT;
    result = check_map(type1, &map);
    if (result < 0)
        return result;
    overlap = find_overlap(type1, map.iova, map.size);
    if (map.flags & VFIO_DMA_MAP_FLAG_VADDR)
        return set_address(type1, overlap, &map);
    if (overlap != NULL)
        return -EEXIST;
    if (type1->n_available == 0)
        return -ENOSPC;
    if (!in_a_range(type1, map.iova, map.size))
        return -EINVAL;
    return add_mapping(type1, &map);
}
