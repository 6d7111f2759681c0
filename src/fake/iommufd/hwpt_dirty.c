/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/hwpt_dirty.h"

#include <errno.h>

#include "fake/iommufd/hwpt.h"
#include "fake/memory/user_memory.h"

/* The kernel pins the bitmap from the byte of a record's first bit to the last byte of the
 * request; whole pages, and one more unless that byte starts a page. It writes up to the end of
 * these pages, even past the end of the request. */
static uintptr_t end_of_pinned(uintptr_t byte, uint64_t n_bytes)
{
    uint64_t offset = byte % PM_FAKE_PAGE;
    uint64_t n_pages = (n_bytes + (PM_FAKE_PAGE - 1)) / PM_FAKE_PAGE + (offset != 0);

    return byte - offset + n_pages * PM_FAKE_PAGE;
}

/* Marks a page of @size bytes, @offset bytes into the request, dirty. Bits that fault are lost. */
static void record(const struct iommu_hwpt_get_dirty_bitmap *get, uint64_t offset, uint64_t size)
{
    unsigned shift = (unsigned)__builtin_ctzll(get->page_size);
    uint64_t first = offset >> shift;
    uint64_t last = (offset + (size - 1)) >> shift;
    uintptr_t byte = (uintptr_t)get->data + first / 8;
    uintptr_t end = end_of_pinned(byte, ((get->length - 1) >> shift) / 8 + 1 - first / 8);

    for (; first <= last && byte < end; byte++) {
        uint64_t last_here = MIN(last, first | 7);
        uint8_t bits;

        if (pm_user_read(&bits, (const void *)byte, sizeof(bits)) < 0)
            return;
        bits |= (uint8_t)(0xffU << (first % 8) & 0xffU >> (7 - last_here % 8));
        if (pm_user_write((void *)byte, &bits, sizeof(bits)) < 0)
            return;
        first = last_here + 1;
    }
}

/* Walks [first, last] of an area. As in the kernel, each step, and the range it records, is as
 * long as the page it begins in, even if it begins in the middle. @get NULL: only clears. */
static void walk(const PmHwpt *hwpt, const struct iommu_hwpt_get_dirty_bitmap *get, uint64_t first,
                 uint64_t last)
{
    bool clean = get == NULL || !(get->flags & IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR);

    for (;;) {
        bool dirty;
        uint64_t size = pm_page_table_take_dirty(hwpt->table, first, clean, &dirty);

        if (dirty && get != NULL)
            record(get, first - get->iova, size);
        if (size == 0 || size > last - first)
            return;
        first += size;
    }
}

static void forget(const PmHwpt *hwpt)
{
    const PmArea *area = pm_range_map_find(hwpt->ioas->areas, 0);

    for (; area != NULL; area = pm_ioas_next_area(hwpt->ioas, area))
        walk(hwpt, NULL, area->key.first, area->key.last);
}

int pm_hwpt_set_dirty_tracking(PmFakeIommufdRequest *request)
{
    const struct iommu_hwpt_set_dirty_tracking *set = &request->set_dirty;
    PmHwpt *hwpt;

    if (set->flags & ~(uint32_t)IOMMU_HWPT_DIRTY_TRACKING_ENABLE)
        return -EOPNOTSUPP;
    hwpt = pm_fake_iommufd_find(request->iommufd, set->hwpt_id, PM_OBJECT_HWPT);
    if (hwpt == NULL)
        return -ENOENT;
    if (!hwpt->supports_dirty)
        return -EOPNOTSUPP;
    hwpt->tracks_dirty = set->flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
    if (hwpt->tracks_dirty)
        forget(hwpt);
    pm_page_table_track_dirty(hwpt->table, hwpt->tracks_dirty);
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

/* Area by area, up to the first hole, where the kernel stops without an error. It reports no
 * error for a page table without tracking enabled either. */
int pm_hwpt_get_dirty_bitmap(PmFakeIommufdRequest *request)
{
    const struct iommu_hwpt_get_dirty_bitmap *get = &request->get_dirty;
    uint64_t at = get->iova;
    uint64_t last = get->iova + (get->length - 1);
    const PmHwpt *hwpt;
    const PmArea *area;
    int result;

    if (get->flags & ~(uint32_t)IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR || get->__reserved != 0)
        return -EOPNOTSUPP;
    hwpt = pm_fake_iommufd_find(request->iommufd, get->hwpt_id, PM_OBJECT_HWPT);
    if (hwpt == NULL)
        return -ENOENT;
    result = check_range(hwpt->ioas, get);
    if (result < 0)
        return result;
    if (!hwpt->supports_dirty)
        return -EOPNOTSUPP;
    if (!hwpt->tracks_dirty)
        return 0;
    for (area = pm_range_map_find(hwpt->ioas->areas, at); area != NULL && area->key.first <= at;
         area = pm_ioas_next_area(hwpt->ioas, area)) {
        walk(hwpt, get, at, MIN(area->key.last, last));
        if (area->key.last >= last)
            break;
        at = area->key.last + 1;
    }
    return 0;
}
