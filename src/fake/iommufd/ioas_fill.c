/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/ioas_fill.h"

#include <errno.h>

static PmPageTable *table_at(const PmIoas *ioas, guint index)
{
    return g_array_index(ioas->tables, PmIoasTable, index).table;
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

/* The IOMMU rejects areas without access and parts of pages, which a COPY of several areas can
 * ask for. The kernel notices once it has pinned the pages, before it charges them. */
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
    if (ioas->tables->len == 0)
        return;
    for (guint i = 0; i < ioas->tables->len; i++)
        pm_page_table_unmap(table_at(ioas, i), area->key.first, pm_area_size(area));
    unpin_area(area);
}

int pm_area_fill(const PmIoas *ioas, const PmArea *area)
{
    int result;

    if (ioas->tables->len == 0)
        return 0;
    result = pin_area(area);
    for (guint i = 0; i < ioas->tables->len && result == 0; i++)
        if (!enter_area(ioas, area, table_at(ioas, i))) {
            pm_area_unfill(ioas, area);
            result = -ENOMEM;
        }
    return result;
}

/* Undoes fill() for the areas before @end. */
static void undo_fill(PmIoas *ioas, const PmArea *end, PmPageTable *table)
{
    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != end;
         area = pm_ioas_next_area(ioas, area)) {
        pm_page_table_unmap(table, area->key.first, pm_area_size(area));
        if (ioas->tables->len == 0)
            unpin_area(area);
    }
}

/* Maps all areas in another page table; the first one pins them. Returns 0 or -errno, and
 * changes nothing on failure. */
static int fill(PmIoas *ioas, PmPageTable *table)
{
    bool is_first = ioas->tables->len == 0;

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

/* Called once no page table has the areas. */
static void unpin(PmIoas *ioas)
{
    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != NULL;
         area = pm_ioas_next_area(ioas, area))
        unpin_area(area);
}

/* Reserves addresses that the page table cannot map. */
static int reserve_aperture(PmIoas *ioas, const struct PmHwpt *hwpt)
{
    const PmFakeConfig *config = &ioas->iommufd->machine->config;
    uint64_t start = config->iova_ranges[0].start;
    uint64_t last = config->iova_ranges[config->n_iova_ranges - 1].last;
    int result = 0;

    if (start > 0)
        result = pm_ioas_reserve(ioas, 0, start - 1, hwpt);
    if (result == 0 && last < UINT64_MAX)
        result = pm_ioas_reserve(ioas, last + 1, UINT64_MAX, hwpt);
    return result;
}

int pm_ioas_add_table(PmIoas *ioas, PmPageTable *table, struct PmHwpt *hwpt)
{
    const PmIoasTable added = {table, hwpt};
    uint64_t alignment =
        MAX(ioas->alignment, pm_fake_config_page_size(&ioas->iommufd->machine->config));
    int result;

    if (alignment > PM_FAKE_PAGE)
        return -EINVAL;
    if (alignment != ioas->alignment && !pm_ioas_is_aligned(ioas, alignment))
        return -EADDRINUSE;
    result = reserve_aperture(ioas, hwpt);
    if (result == 0)
        result = fill(ioas, table);
    if (result < 0) {
        pm_ioas_unreserve(ioas, hwpt);
        return result;
    }
    ioas->alignment = alignment;
    g_array_append_val(ioas->tables, added);
    return 0;
}

void pm_ioas_remove_table(PmIoas *ioas, const struct PmHwpt *hwpt)
{
    guint i = 0;

    while (i < ioas->tables->len && g_array_index(ioas->tables, PmIoasTable, i).hwpt != hwpt)
        i++;
    if (i == ioas->tables->len)
        return;
    g_array_remove_index(ioas->tables, i);
    if (ioas->tables->len == 0)
        unpin(ioas);
    pm_ioas_unreserve(ioas, hwpt);
    (void)pm_ioas_update_alignment(ioas);
}
