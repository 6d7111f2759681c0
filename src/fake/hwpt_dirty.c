/* SPDX-License-Identifier: MIT */
#include "fake/hwpt_dirty.h"

#include <errno.h>

#include "fake/hwpt.h"
#include "fake/user_memory.h"

int pm_hwpt_set_dirty_tracking(PmIommufdRequest *request)
{
    const struct iommu_hwpt_set_dirty_tracking *set = &request->set_dirty;
    PmRangeKey page;
    PmHwpt *hwpt;

    if (set->flags & ~(uint32_t)IOMMU_HWPT_DIRTY_TRACKING_ENABLE)
        return -EOPNOTSUPP;
    hwpt = pm_iommufd_find(request->iommufd, set->hwpt_id, PM_OBJECT_HWPT);
    if (hwpt == NULL)
        return -ENOENT;
    if (!hwpt->tells_dirty)
        return -EOPNOTSUPP;
    if (set->flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE)
        while (pm_page_table_take_dirty(hwpt->table, 0, UINT64_MAX, true, &page)) {
            /* It begins with nothing dirty. */
        }
    pm_page_table_track_dirty(hwpt->table, set->flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE);
    return 0;
}

static int check_range(const PmIoas *ioas, const struct iommu_hwpt_get_dirty_bitmap *get)
{
    uint64_t end = get->iova + get->length;

    if (get->length == 0)
        return -EINVAL;
    if (get->iova + (get->length - 1) < get->iova)
        return -EOVERFLOW;
    if ((get->iova | end) % ioas->alignment != 0 || get->page_size == 0)
        return -EINVAL;
    return (get->iova | end) & (get->page_size - 1) ? -EINVAL : 0;
}

/* What cannot be written is lost, as in the kernel. */
static void set_bits(uint8_t *user, uint64_t first, uint64_t last)
{
    while (first <= last) {
        uint64_t end = MIN(last, first | 7);
        uint8_t byte;

        if (pm_user_read(&byte, user + first / 8, sizeof(byte)) < 0)
            return;
        byte |= (uint8_t)(0xffU << (first % 8) & 0xffU >> (7 - end % 8));
        if (pm_user_write(user + first / 8, &byte, sizeof(byte)) < 0)
            return;
        first = end + 1;
    }
}

/* Reports what is dirty in [first, last], which is inside the request. */
static void report(const PmHwpt *hwpt, const struct iommu_hwpt_get_dirty_bitmap *get,
                   uint64_t first, uint64_t last)
{
    unsigned shift = (unsigned)__builtin_ctzll(get->page_size);
    bool clean = !(get->flags & IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR);
    PmRangeKey page;

    while (pm_page_table_take_dirty(hwpt->table, first, last, clean, &page)) {
        set_bits((uint8_t *)(uintptr_t)get->data, (MAX(page.first, first) - get->iova) >> shift,
                 (MIN(page.last, last) - get->iova) >> shift);
        if (page.last >= last)
            break;
        first = page.last + 1;
    }
}

/* Area by area, up to the first hole: the kernel goes no further, and says nothing of it. */
int pm_hwpt_get_dirty_bitmap(PmIommufdRequest *request)
{
    const struct iommu_hwpt_get_dirty_bitmap *get = &request->get_dirty;
    uint64_t at = get->iova;
    uint64_t last = get->iova + (get->length - 1);
    const PmHwpt *hwpt;
    const PmArea *area;
    int result;

    if (get->flags & ~(uint32_t)IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR || get->__reserved != 0)
        return -EOPNOTSUPP;
    hwpt = pm_iommufd_find(request->iommufd, get->hwpt_id, PM_OBJECT_HWPT);
    if (hwpt == NULL)
        return -ENOENT;
    result = check_range(hwpt->ioas, get);
    if (result < 0)
        return result;
    if (!hwpt->tells_dirty)
        return -EOPNOTSUPP;
    for (area = pm_range_map_find(hwpt->ioas->areas, at); area != NULL && area->key.first <= at;
         area = pm_ioas_next_area(hwpt->ioas, area)) {
        report(hwpt, get, at, MIN(area->key.last, last));
        if (area->key.last >= last)
            break;
        at = area->key.last + 1;
    }
    return 0;
}
