/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/vfio_compat.h"

#include <errno.h>

#include "fake/iommufd/ioas.h"
#include "fake/iommufd/ioas_map.h"
#include "fake/iommufd/ioas_unmap.h"
#include "fake/memory/user_memory.h"
#include "kernel-uapi/vfio.h"

#define MAP_FLAGS (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

int pm_fake_iommufd_vfio_ioas(PmFakeIommufdRequest *request)
{
    struct iommu_vfio_ioas *vfio_ioas = &request->vfio_ioas;
    PmFakeIommufd *iommufd = request->iommufd;
    PmIoas *ioas;

    if (vfio_ioas->__reserved != 0)
        return -EOPNOTSUPP;
    switch (vfio_ioas->op) {
    case IOMMU_VFIO_IOAS_GET:
        if (iommufd->compat == NULL)
            return -ENODEV;
        vfio_ioas->ioas_id = iommufd->compat->object.id;
        return pm_fake_iommufd_respond(request, sizeof(*vfio_ioas));
    case IOMMU_VFIO_IOAS_SET:
        ioas = pm_fake_iommufd_find(iommufd, vfio_ioas->ioas_id, PM_OBJECT_IOAS);
        if (ioas == NULL)
            return -ENOENT;
        iommufd->compat = ioas;
        return 0;
    case IOMMU_VFIO_IOAS_CLEAR:
        iommufd->compat = NULL;
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

void pm_vfio_compat_make_ioas(PmFakeIommufd *iommufd)
{
    if (iommufd->compat == NULL)
        iommufd->compat = pm_ioas_new(iommufd);
}

static int check_extension(const PmFakeIommufd *iommufd, uintptr_t extension)
{
    switch (extension) {
    case VFIO_TYPE1_IOMMU:
    case VFIO_TYPE1v2_IOMMU:
    case VFIO_UNMAP_ALL:
        return 1;
    case VFIO_DMA_CC_IOMMU:
        /* The IOMMU has no snoop control; without page tables the check passes. */
        return iommufd->compat != NULL ? iommufd->compat->tables->len == 0 : -ENODEV;
    default:
        return 0;
    }
}

static int set_iommu(const PmFakeIommufd *iommufd, uintptr_t type)
{
    if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
        return -EINVAL;
    if (iommufd->compat == NULL)
        return -ENODEV;
    /* Version 1 can unmap parts of mappings, which takes small pages. */
    return type == VFIO_TYPE1_IOMMU ? pm_ioas_set_small_pages(iommufd->compat, true) : 0;
}

static int map_dma(const PmFakeIommufd *iommufd, const void *argument)
{
    struct vfio_iommu_type1_dma_map map;

    if (pm_user_read(&map, argument, sizeof(map)) < 0)
        return -EFAULT;
    if (map.argsz < sizeof(map) || map.flags & ~(uint32_t)MAP_FLAGS)
        return -EINVAL;
    if (iommufd->compat == NULL)
        return -ENODEV;
    return pm_ioas_map_fixed(iommufd->compat, map.iova, map.vaddr, map.size,
                             (PmIommuAccess)map.flags);
}

static int unmap_some(PmIoas *ioas, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    uint64_t last = iova + (size - 1);

    if (size == 0)
        return -EINVAL;
    if (last < iova)
        return -EOVERFLOW;
    return pm_ioas_unmap_requested(ioas, iova, last, n_bytes);
}

static int cut(PmIoas *ioas, uint64_t iova, uint64_t size)
{
    int result = 0;

    if (ioas->small_pages)
        result = pm_ioas_split(ioas, iova + size - 1);
    if (ioas->small_pages && result == 0 && iova > 0)
        result = pm_ioas_split(ioas, iova - 1);
    return result;
}

static int unmap_dma(const PmFakeIommufd *iommufd, void *argument)
{
    struct vfio_iommu_type1_dma_unmap unmap;
    PmIoas *ioas = iommufd->compat;
    uint64_t n_bytes = 0;
    int result;

    if (pm_user_read(&unmap, argument, sizeof(unmap)) < 0)
        return -EFAULT;
    if (unmap.argsz < sizeof(unmap) || unmap.flags & ~(uint32_t)VFIO_DMA_UNMAP_FLAG_ALL)
        return -EINVAL;
    if (ioas == NULL)
        return -ENODEV;
    if (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
        if (unmap.iova != 0 || unmap.size != 0)
            return -EINVAL;
        result = pm_ioas_unmap_requested(ioas, 0, UINT64_MAX, &n_bytes);
    } else {
        result = cut(ioas, unmap.iova, unmap.size);
        if (result < 0)
            return result;
        result = unmap_some(ioas, unmap.iova, unmap.size, &n_bytes);
    }
    /* Also after a failure: the areas before it are unmapped. */
    unmap.size = n_bytes;
    return pm_user_write(argument, &unmap, sizeof(unmap)) < 0 ? -EFAULT : result;
}

/* --- GET_INFO --- */

/* Writes each capability that the caller has room for, whether or not others fit. */
typedef struct {
    uint8_t *user;
    uint32_t room;
    uint32_t size; /* so far, including the info struct */
    uint32_t newest;
} Chain;

static int write_at(const Chain *chain, uint32_t offset, const void *bytes, uint32_t size)
{
    return pm_user_write(chain->user + offset, bytes, size);
}

/* Links the previous capability to this one, and adds @size. */
static int end_capability(Chain *chain, uint32_t size)
{
    int result = 0;

    if (chain->newest != 0 && chain->room >= chain->size)
        result =
            write_at(chain, chain->newest + (uint32_t)offsetof(struct vfio_info_cap_header, next),
                     &chain->size, sizeof(chain->size));
    chain->newest = chain->size;
    chain->size += (size + 7) / 8 * 8;
    return result;
}

static int add_available(Chain *chain)
{
    const struct vfio_iommu_type1_info_dma_avail available = {
        .header = {.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, .version = 1},
        .avail = UINT32_MAX,
    };

    if (chain->room >= chain->size + sizeof(available) &&
        write_at(chain, chain->size, &available, sizeof(available)) < 0)
        return -EFAULT;
    return end_capability(chain, sizeof(available));
}

static int add_ranges(Chain *chain, const PmIoas *ioas)
{
    struct vfio_iommu_type1_info_cap_iova_range ranges = {
        .header = {.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 1},
    };
    uint32_t size = sizeof(ranges);
    PmRangeKey range = {0, 0};
    bool more = true;

    for (uint64_t from = 0; more && pm_ioas_next_valid(ioas, from, &range); from = range.last + 1) {
        if (chain->room >= chain->size + size + sizeof(range) &&
            write_at(chain, chain->size + size, &range, sizeof(range)) < 0)
            return -EFAULT;
        size += (uint32_t)sizeof(range);
        ranges.nr_iovas++;
        more = range.last < UINT64_MAX;
    }
    if (chain->room >= chain->size + size &&
        write_at(chain, chain->size, &ranges, sizeof(ranges)) < 0)
        return -EFAULT;
    return end_capability(chain, size);
}

/* Page sizes that all page tables support; sizes below the CPU's page size are left out. */
static uint64_t page_sizes(const PmIoas *ioas)
{
    return ioas->tables->len > 0 ? ioas->iommufd->machine->config.page_sizes : -PM_FAKE_PAGE;
}

static int get_info(const PmFakeIommufd *iommufd, void *argument)
{
    const uint32_t min_size = offsetof(struct vfio_iommu_type1_info, cap_offset);
    struct vfio_iommu_type1_info info = {0};
    Chain chain = {.user = argument, .size = sizeof(info)};
    int result;

    if (pm_user_read(&info, argument, min_size) < 0)
        return -EFAULT;
    if (info.argsz < min_size)
        return -EINVAL;
    if (iommufd->compat == NULL)
        return -ENODEV;
    chain.room = info.argsz;
    info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
    info.iova_pgsizes = page_sizes(iommufd->compat);
    result = add_available(&chain);
    if (result == 0)
        result = add_ranges(&chain, iommufd->compat);
    if (result < 0)
        return result;
    if (chain.room >= chain.size)
        info.cap_offset = sizeof(info);
    info.argsz = chain.size;
    return pm_user_write(argument, &info, MIN(chain.room, (uint32_t)sizeof(info)));
}

int pm_vfio_compat_ioctl(PmFakeIommufd *iommufd, unsigned long code, void *argument)
{
    switch (code) {
    case VFIO_GET_API_VERSION:
        return VFIO_API_VERSION;
    case VFIO_SET_IOMMU:
        return set_iommu(iommufd, (uintptr_t)argument);
    case VFIO_CHECK_EXTENSION:
        return check_extension(iommufd, (uintptr_t)argument);
    case VFIO_IOMMU_GET_INFO:
        return get_info(iommufd, argument);
    case VFIO_IOMMU_MAP_DMA:
        return map_dma(iommufd, argument);
    case VFIO_IOMMU_UNMAP_DMA:
        return unmap_dma(iommufd, argument);
    default:
        return -ENOTTY;
    }
}
