/* SPDX-License-Identifier: MIT */
#include "fake/type1/type1_unmap.h"

#include <errno.h>

#include "fake/memory/user_memory.h"
#include "fake/type1/type1_dirty.h"

#define FLAGS                                                                                      \
    (VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR)

/* One request. [@first, @last]: the range it affects, set once checked. */
typedef struct {
    struct vfio_bitmap bitmap;
    uint64_t first;
    uint64_t last;
    bool nothing; /* ends at exactly 2^64, which wraps to 0: the kernel finds no mapping */
    struct vfio_iommu_type1_dma_unmap unmap; /* last, because it ends in a flexible array member */
} Request;

static bool has_flag(const Request *request, uint32_t flag)
{
    return (request->unmap.flags & flag) != 0;
}

static int read_bitmap(Request *request, const void *argument)
{
    if (!has_flag(request, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP))
        return 0;
    if (has_flag(request, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR) ||
        request->unmap.argsz < sizeof(request->unmap) + sizeof(request->bitmap))
        return -EINVAL;
    if (pm_user_read(&request->bitmap, (const uint8_t *)argument + sizeof(request->unmap),
                     sizeof(request->bitmap)) < 0)
        return -EFAULT;
    return pm_fake_type1_check_bitmap(&request->bitmap, request->unmap.size);
}

static int check_range(const PmFakeType1 *type1, Request *request)
{
    uint64_t page_size = pm_fake_type1_page_size(type1);
    uint64_t iova = request->unmap.iova;
    uint64_t size = request->unmap.size;

    if (iova % page_size != 0)
        return -EINVAL;
    if (has_flag(request, VFIO_DMA_UNMAP_FLAG_ALL)) {
        request->last = UINT64_MAX;
        return iova != 0 || size != 0 ? -EINVAL : 0;
    }
    if (size == 0 || size % page_size != 0 || iova + (size - 1) < iova)
        return -EINVAL;
    request->first = iova;
    request->last = iova + (size - 1);
    request->nothing = iova + size == 0;
    return 0;
}

static int read_request(const PmFakeType1 *type1, const void *argument, Request *request)
{
    int result;

    if (pm_user_read(&request->unmap, argument, sizeof(request->unmap)) < 0)
        return -EFAULT;
    if (request->unmap.argsz < sizeof(request->unmap) || request->unmap.flags & ~(uint32_t)FLAGS)
        return -EINVAL;
    result = read_bitmap(request, argument);
    if (result == 0)
        result = check_range(type1, request);
    if (result < 0)
        return result;
    if (has_flag(request, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) &&
        (type1->bitmaps == NULL || request->bitmap.pgsize != pm_fake_type1_page_size(type1)))
        return -EINVAL;
    return 0;
}

/* The first mapping that ends at or after @address, unless it begins past the request's range. */
static PmMapping *mapping_in(const PmFakeType1 *type1, const Request *request, uint64_t address)
{
    PmMapping *mapping = pm_range_map_find(type1->mappings, address);

    return mapping != NULL && mapping->key.first <= request->last ? mapping : NULL;
}

static PmMapping *next_mapping_in(const PmFakeType1 *type1, const Request *request,
                                  const PmMapping *mapping)
{
    return mapping->key.last < request->last ? mapping_in(type1, request, mapping->key.last + 1)
                                             : NULL;
}

/* VADDR: invalidates host addresses; all or nothing. Fails if one is invalid already. */
static int invalidate(PmFakeType1 *type1, const Request *request, uint64_t *n_bytes)
{
    PmMapping *mapping;
    const PmMapping *stop = NULL;

    for (mapping = mapping_in(type1, request, request->first); mapping != NULL && stop == NULL;
         mapping = next_mapping_in(type1, request, mapping)) {
        if (mapping->address_invalid)
            stop = mapping;
        else
            *n_bytes += pm_mapping_size(mapping);
    }
    if (stop != NULL)
        return -EINVAL;
    for (mapping = mapping_in(type1, request, request->first); mapping != NULL;
         mapping = next_mapping_in(type1, request, mapping)) {
        mapping->address_invalid = 1;
        type1->n_invalid_addresses++;
    }
    return 0;
}

/* Unpins the mappings in the range, one by one, and adds up their size; @last: where the last
 * one ends. Stops at the first fault in writing the bitmap. */
static int collect(PmFakeType1 *type1, const Request *request, uint64_t *n_bytes, uint64_t *last)
{
    const PmMapping *mapping;

    for (mapping = mapping_in(type1, request, request->first); mapping != NULL;
         mapping = next_mapping_in(type1, request, mapping)) {
        if (has_flag(request, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)) {
            int result = pm_fake_type1_dirty_report(type1, mapping, request->unmap.iova,
                                                    request->bitmap.data);

            if (result < 0)
                return result;
        }
        if (mapping->address_invalid)
            type1->n_invalid_addresses--;
        pm_fake_type1_dirty_remove(type1, mapping);
        pm_unpin(type1->memory, &mapping->pins);
        *n_bytes += pm_mapping_size(mapping);
        *last = mapping->key.last;
    }
    return 0;
}

/* From the fault plan: limits the range to the first half of the mappings. */
static void shorten(const PmFakeType1 *type1, Request *request)
{
    uint64_t n_mappings = 0;
    const PmMapping *mapping;

    for (mapping = mapping_in(type1, request, request->first); mapping != NULL;
         mapping = next_mapping_in(type1, request, mapping))
        n_mappings++;
    mapping = mapping_in(type1, request, request->first);
    if (mapping == NULL)
        return;
    for (uint64_t i = 0; i < n_mappings / 2; i++)
        mapping = next_mapping_in(type1, request, mapping);
    request->nothing = n_mappings / 2 == 0;
    request->last = mapping->key.first - 1;
}

static int remove_mappings(PmFakeType1 *type1, const Request *request, uint64_t *n_bytes)
{
    uint64_t last = 0;
    int result = collect(type1, request, n_bytes, &last);

    if (*n_bytes > 0) {
        uint64_t first = request->first;

        pm_page_table_unmap(type1->table, first, last - first + 1);
        type1->n_available += (uint32_t)pm_range_map_remove(type1->mappings, first, last);
    }
    return result;
}

int pm_fake_type1_unmap(PmFakeType1 *type1, void *argument)
{
    Request request = {.first = 0};
    uint64_t n_bytes = 0;
    int result = read_request(type1, argument, &request);
    bool all = has_flag(&request, VFIO_DMA_UNMAP_FLAG_ALL);
    const PmMapping *mapping;

    if (result < 0)
        return result;
    if (type1->v2 && !all && pm_fake_type1_cuts(type1, request.first, request.last))
        return -EINVAL;
    /* v1 checks where mappings begin: it stops if the first one begins before the range. */
    mapping = mapping_in(type1, &request, request.first);
    if (mapping != NULL && mapping->key.first < request.first)
        request.nothing = true;
    if (type1->machine->plan.shorten)
        shorten(type1, &request);
    if (!request.nothing)
        result = has_flag(&request, VFIO_DMA_UNMAP_FLAG_VADDR)
                     ? invalidate(type1, &request, &n_bytes)
                     : remove_mappings(type1, &request, &n_bytes);
    if (result < 0)
        return result;
    request.unmap.size = n_bytes;
    return pm_user_write(argument, &request.unmap, sizeof(request.unmap));
}
