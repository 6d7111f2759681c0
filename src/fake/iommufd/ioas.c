/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/ioas.h"

#include <errno.h>

#include "fake/memory/user_memory.h"

/* --- lifetime --- */

/* It is unused, so no page table has its areas. */
static void free_ioas(PmObject *object)
{
    PmIoas *ioas = (PmIoas *)object;

    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != NULL;
         area = pm_ioas_next_area(ioas, area))
        pm_iopt_pages_unref(area->pages);
    if (ioas->iommufd->compat == ioas)
        ioas->iommufd->compat = NULL;
    pm_fake_iommufd_remove(ioas->iommufd, &ioas->object);
    pm_range_map_free(ioas->areas);
    pm_range_map_free(ioas->allowed);
    g_array_unref(ioas->reserved);
    g_array_unref(ioas->tables);
    g_free(ioas);
}

PmIoas *pm_ioas_new(PmFakeIommufd *iommufd)
{
    PmIoas *ioas = g_new0(PmIoas, 1);

    ioas->iommufd = iommufd;
    ioas->areas = pm_range_map_new(sizeof(PmArea));
    ioas->allowed = pm_range_map_new(sizeof(PmRangeKey));
    ioas->reserved = g_array_new(FALSE, FALSE, sizeof(PmReserved));
    ioas->tables = g_array_new(FALSE, FALSE, sizeof(PmIoasTable));
    ioas->alignment = 1;
    pm_fake_iommufd_add(iommufd, &ioas->object, PM_OBJECT_IOAS, free_ioas);
    return ioas;
}

int pm_ioas_alloc(PmFakeIommufdRequest *request)
{
    PmIoas *ioas;

    if (request->ioas_alloc.flags != 0)
        return -EOPNOTSUPP;
    ioas = pm_ioas_new(request->iommufd);
    request->ioas_alloc.out_ioas_id = ioas->object.id;
    if (pm_fake_iommufd_respond(request, sizeof(request->ioas_alloc)) == 0)
        return 0;
    free_ioas(&ioas->object);
    return -EFAULT;
}

/* --- reserved and allowed addresses --- */

static bool overlaps(PmRangeMap *map, uint64_t first, uint64_t last)
{
    const PmRangeKey *key = pm_range_map_find(map, first);

    return key != NULL && key->first <= last;
}

bool pm_ioas_is_reserved(const PmIoas *ioas, uint64_t first, uint64_t last)
{
    for (guint i = 0; i < ioas->reserved->len; i++) {
        const PmRangeKey *key = &g_array_index(ioas->reserved, PmReserved, i).key;

        if (key->first <= last && key->last >= first)
            return true;
    }
    return false;
}

int pm_ioas_reserve(PmIoas *ioas, uint64_t first, uint64_t last, const void *owner)
{
    const PmReserved reserved = {.key = {first, last}, .owner = owner};

    if (overlaps(ioas->areas, first, last) || overlaps(ioas->allowed, first, last))
        return -EADDRINUSE;
    g_array_append_val(ioas->reserved, reserved);
    return 0;
}

void pm_ioas_unreserve(PmIoas *ioas, const void *owner)
{
    for (guint i = ioas->reserved->len; i-- > 0;)
        if (g_array_index(ioas->reserved, PmReserved, i).owner == owner)
            g_array_remove_index(ioas->reserved, i);
}

/* Moves *@at past all reserved ranges that contain it; false if they extend to the end. @next:
 * the start of the next reserved range, or 0. */
static bool skip_reserved(const PmIoas *ioas, uint64_t *at, uint64_t *next)
{
    bool moved = true;

    while (moved) {
        moved = false;
        *next = 0;
        for (guint i = 0; i < ioas->reserved->len; i++) {
            const PmRangeKey *key = &g_array_index(ioas->reserved, PmReserved, i).key;

            if (key->first > *at && (*next == 0 || key->first < *next))
                *next = key->first;
            if (key->first > *at || key->last < *at)
                continue;
            if (key->last == UINT64_MAX)
                return false;
            *at = key->last + 1;
            moved = true;
        }
    }
    return true;
}

bool pm_ioas_next_valid(const PmIoas *ioas, uint64_t from, PmRangeKey *range)
{
    uint64_t next;

    if (!skip_reserved(ioas, &from, &next))
        return false;
    *range = (PmRangeKey){from, next - 1};
    return true;
}

int pm_ioas_iova_ranges(PmFakeIommufdRequest *request)
{
    struct iommu_ioas_iova_ranges *ranges = &request->iova_ranges;
    uint32_t room = ranges->num_iovas;
    struct iommu_iova_range *user = (void *)(uintptr_t)ranges->allowed_iovas;
    PmRangeKey valid = {0, 0};
    const PmIoas *ioas;
    uint64_t from = 0;
    int result;

    if (ranges->__reserved != 0)
        return -EOPNOTSUPP;
    ioas = pm_fake_iommufd_find(request->iommufd, ranges->ioas_id, PM_OBJECT_IOAS);
    if (ioas == NULL)
        return -ENOENT;
    ranges->num_iovas = 0;
    ranges->out_iova_alignment = ioas->alignment;
    for (bool more = true; more && pm_ioas_next_valid(ioas, from, &valid); from = valid.last + 1) {
        if (ranges->num_iovas < room &&
            pm_user_write(pm_user_at(user, ranges->num_iovas * sizeof(valid)), &valid,
                          sizeof(valid)) < 0)
            return -EFAULT;
        ranges->num_iovas++;
        more = valid.last < UINT64_MAX;
    }
    result = pm_fake_iommufd_respond(request, sizeof(*ranges));
    return result == 0 && ranges->num_iovas > room ? -EMSGSIZE : result;
}

static int load_allowed(const PmIoas *ioas, const struct iommu_iova_range *user, uint32_t n_ranges,
                        PmRangeMap *allowed)
{
    for (uint32_t i = 0; i < n_ranges; i++) {
        PmRangeKey range;

        if (pm_user_read(&range, pm_user_at(user, i * sizeof(range)), sizeof(range)) < 0)
            return -EFAULT;
        if (range.first >= range.last || overlaps(allowed, range.first, range.last))
            return -EINVAL;
        if (!pm_range_map_insert(allowed, &range))
            return -ENOMEM;
    }
    for (const PmRangeKey *key = pm_range_map_find(allowed, 0); key != NULL;
         key = key->last < UINT64_MAX ? pm_range_map_find(allowed, key->last + 1) : NULL)
        if (pm_ioas_is_reserved(ioas, key->first, key->last))
            return -EADDRINUSE;
    return 0;
}

int pm_ioas_allow_iovas(PmFakeIommufdRequest *request)
{
    const struct iommu_ioas_allow_iovas *allow = &request->allow_iovas;
    const void *user = (const void *)(uintptr_t)allow->allowed_iovas;
    PmRangeMap *allowed;
    PmIoas *ioas;
    int result;

    if (allow->__reserved != 0)
        return -EOPNOTSUPP;
    ioas = pm_fake_iommufd_find(request->iommufd, allow->ioas_id, PM_OBJECT_IOAS);
    if (ioas == NULL)
        return -ENOENT;
    allowed = pm_range_map_new(sizeof(PmRangeKey));
    result = load_allowed(ioas, user, allow->num_iovas, allowed);
    if (result == 0) {
        PmRangeMap *old = ioas->allowed;

        ioas->allowed = allowed;
        allowed = old;
    }
    pm_range_map_free(allowed);
    return result;
}

/* --- areas --- */

PmArea *pm_ioas_next_area(const PmIoas *ioas, const PmArea *area)
{
    return area->key.last < UINT64_MAX ? pm_range_map_find(ioas->areas, area->key.last + 1) : NULL;
}

bool pm_ioas_is_aligned(const PmIoas *ioas, uint64_t alignment)
{
    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != NULL;
         area = pm_ioas_next_area(ioas, area))
        if ((area->key.first | pm_area_size(area) | area->start) % alignment != 0)
            return false;
    return true;
}

int pm_ioas_update_alignment(PmIoas *ioas)
{
    uint64_t alignment = ioas->small_pages ? PM_FAKE_PAGE : 1;

    if (ioas->tables->len > 0)
        alignment = MAX(alignment, pm_fake_config_page_size(&ioas->iommufd->machine->config));
    if (alignment > ioas->alignment && !pm_ioas_is_aligned(ioas, alignment))
        return -EADDRINUSE;
    ioas->alignment = alignment;
    return 0;
}

int pm_ioas_set_small_pages(PmIoas *ioas, bool small_pages)
{
    int result;

    if (small_pages == ioas->small_pages)
        return 0;
    if (small_pages && ioas->tables->len > 0 && pm_range_map_n_records(ioas->areas) > 0)
        return -EINVAL;
    ioas->small_pages = small_pages;
    result = pm_ioas_update_alignment(ioas);
    if (result < 0)
        ioas->small_pages = !small_pages;
    return result;
}
