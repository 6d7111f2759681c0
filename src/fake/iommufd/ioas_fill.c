/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/ioas_fill.h"

#include <errno.h>

#include "fake/iommufd/hwpt.h"

static const PmHwpt *hwpt_at(const PmIoas *ioas, guint index)
{
    return g_ptr_array_index(ioas->hwpts, index);
}

static bool enter_area(const PmIoas *ioas, const PmArea *area, PmPageTable *table)
{
    return pm_iopt_pages_enter(area->pages, area->start, pm_area_size(area), table, area->key.first,
                               area->access, ioas->small_pages);
}

static void unpin_area(const PmArea *area)
{
    pm_iopt_pages_unpin(area->pages, area->start, pm_area_size(area));
}

static bool is_mappable(const PmArea *area)
{
    return area->access != 0 && (area->key.first | pm_area_size(area)) % PM_FAKE_PAGE == 0;
}

/* The IOMMU maps nothing that can neither be read nor written, and no parts of pages, which a COPY
 * of several areas can ask for; that turns out once there are pages to map, and before they are
 * charged. */
static int pin_area(const PmArea *area)
{
    int result = pm_iopt_pages_pin(area->pages, area->start, pm_area_size(area));

    if (is_mappable(area) || result == -EFAULT)
        return result;
    if (result == 0)
        unpin_area(area);
    return -EINVAL;
}

void pm_area_unfill(const PmIoas *ioas, const PmArea *area)
{
    if (ioas->hwpts->len == 0)
        return;
    for (guint i = 0; i < ioas->hwpts->len; i++)
        pm_page_table_unmap(hwpt_at(ioas, i)->table, area->key.first, pm_area_size(area));
    unpin_area(area);
}

int pm_area_fill(const PmIoas *ioas, const PmArea *area)
{
    int result;

    if (ioas->hwpts->len == 0)
        return 0;
    result = pin_area(area);
    for (guint i = 0; i < ioas->hwpts->len && result == 0; i++)
        if (!enter_area(ioas, area, hwpt_at(ioas, i)->table)) {
            pm_area_unfill(ioas, area);
            result = -ENOMEM;
        }
    return result;
}

/* Undoes pm_ioas_fill() for the areas before @end. */
static void undo_fill(PmIoas *ioas, const PmArea *end, PmPageTable *table)
{
    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != end;
         area = pm_ioas_next_area(ioas, area)) {
        pm_page_table_unmap(table, area->key.first, pm_area_size(area));
        if (ioas->hwpts->len == 0)
            unpin_area(area);
    }
}

int pm_ioas_fill(PmIoas *ioas, PmPageTable *table)
{
    bool is_first = ioas->hwpts->len == 0;

    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != NULL;
         area = pm_ioas_next_area(ioas, area)) {
        int result = 0;

        if (is_first)
            result = pin_area(area);
        if (result == 0 && !enter_area(ioas, area, table)) {
            if (is_first)
                unpin_area(area);
            result = -ENOMEM;
        }
        if (result < 0) {
            undo_fill(ioas, area, table);
            return result;
        }
    }
    return 0;
}

void pm_ioas_unpin(PmIoas *ioas)
{
    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != NULL;
         area = pm_ioas_next_area(ioas, area))
        unpin_area(area);
}
