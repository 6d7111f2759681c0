/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/ioas_unmap.h"

#include <errno.h>

#include "fake/iommufd/ioas_fill.h"

int pm_ioas_unmap_range(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes)
{
    const PmArea *area = pm_range_map_find(ioas->areas, first);
    uint64_t removed_last = 0;

    *n_bytes = 0;
    for (; area != NULL && area->key.first >= first && area->key.last <= last;
         area = pm_ioas_next_area(ioas, area)) {
        pm_area_unfill(ioas, area);
        pm_iopt_pages_unref(area->pages);
        *n_bytes += pm_area_size(area);
        removed_last = area->key.last;
    }
    if (area != NULL && area->key.first > last)
        area = NULL;
    if (*n_bytes > 0)
        (void)pm_range_map_remove(ioas->areas, first, removed_last);
    return area != NULL ? -ENOENT : 0;
}

/* From the fault plan: limits the range to the first half of the areas. False if that is none. */
static bool shorten(const PmIoas *ioas, uint64_t first, uint64_t *last)
{
    const PmArea *area = pm_range_map_find(ioas->areas, first);
    uint64_t n_areas = 0;

    for (const PmArea *at = area; at != NULL && at->key.first <= *last;
         at = pm_ioas_next_area(ioas, at))
        n_areas++;
    if (n_areas < 2)
        return false;
    for (uint64_t i = 0; i < n_areas / 2; i++)
        area = pm_ioas_next_area(ioas, area);
    *last = area->key.first - 1;
    return true;
}

int pm_ioas_unmap_requested(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes)
{
    *n_bytes = 0;
    if (ioas->iommufd->machine->plan.shorten && !shorten(ioas, first, &last))
        return 0;
    return pm_ioas_unmap_range(ioas, first, last, n_bytes);
}

static int unmap(PmIoas *ioas, const struct iommu_ioas_unmap *unmap, uint64_t *n_bytes)
{
    bool all = unmap->iova == 0 && unmap->length == UINT64_MAX;
    uint64_t first = unmap->iova;
    uint64_t last = all ? UINT64_MAX : first + (unmap->length - 1);
    int result;

    if (!all && (first == UINT64_MAX || unmap->length == UINT64_MAX))
        return -EOVERFLOW;
    if (unmap->length == 0)
        return -EINVAL;
    if (last < first)
        return -EOVERFLOW;
    result = pm_ioas_unmap_requested(ioas, first, last, n_bytes);
    all |= ioas->iommufd->machine->plan.shorten;
    return result == 0 && *n_bytes == 0 && !all ? -ENOENT : result;
}

int pm_ioas_unmap(PmFakeIommufdRequest *request)
{
    PmIoas *ioas = pm_fake_iommufd_find(request->iommufd, request->unmap.ioas_id, PM_OBJECT_IOAS);
    uint64_t n_bytes;
    int result;

    if (ioas == NULL)
        return -ENOENT;
    result = unmap(ioas, &request->unmap, &n_bytes);
    if (result < 0)
        return result;
    request->unmap.length = n_bytes;
    return pm_fake_iommufd_respond(request, sizeof(request->unmap));
}

int pm_ioas_split(PmIoas *ioas, uint64_t iova)
{
    PmArea *area = pm_range_map_find(ioas->areas, iova);
    PmArea rest;

    /* The kernel does not split an area that begins at @iova. */
    if (area == NULL || area->key.first >= iova || area->key.last == iova)
        return 0;
    rest = *area;
    rest.key.first = iova + 1;
    rest.start = area->start + (rest.key.first - area->key.first);
    if ((rest.key.first | rest.start) % ioas->alignment != 0)
        return -EINVAL;
    area->key.last = iova;
    if (!pm_range_map_insert(ioas->areas, &rest)) {
        area->key.last = rest.key.last;
        return -ENOMEM;
    }
    (void)pm_iopt_pages_ref(rest.pages);
    return 0;
}
