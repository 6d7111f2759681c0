/* SPDX-License-Identifier: MIT */
#include "mapper/guest_split.h"

#include <inttypes.h>

#include "base/error_text.h"

PmGuestRegion *pm_guest_find_region(const GPtrArray *regions, uint64_t address, guint *index)
{
    guint low = 0;
    guint high = regions->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (pm_guest_region_last(g_ptr_array_index(regions, middle)) < address)
            low = middle + 1;
        else
            high = middle;
    }
    if (index != NULL)
        *index = low;
    return low < regions->len ? g_ptr_array_index(regions, low) : NULL;
}

static void add_part(GArray *parts, PmGuestRegion *region, uint64_t ram_offset, uint64_t end,
                     uint64_t block_size)
{
    const PmGuestPart part = {
        .region = region,
        .address = region->config.address + (ram_offset - region->config.ram_offset),
        .ram_offset = ram_offset,
        .size = end - ram_offset,
        .block_size = block_size != 0 ? block_size : end - ram_offset,
    };

    if (part.size > 0)
        g_array_append_val(parts, part);
}

/* [@offset, @end) of the RAM. */
static void split_region(GArray *parts, PmGuestRegion *region, uint64_t offset, uint64_t end)
{
    uint64_t mask = region->granularity - 1;
    uint64_t head_end = MIN((offset + mask) & ~mask, end);
    uint64_t tail = MAX(end & ~mask, head_end);

    if (region->manager == NULL) {
        add_part(parts, region, offset, end, 0);
        return;
    }
    add_part(parts, region, offset, head_end, 0);
    add_part(parts, region, head_end, tail, region->granularity);
    add_part(parts, region, tail, end, 0);
}

GArray *pm_guest_split(const GPtrArray *regions, uint64_t address, uint64_t last, GError **error)
{
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(PmGuestPart));
    uint64_t region_last;

    do {
        PmGuestRegion *region = pm_guest_find_region(regions, address, NULL);
        uint64_t start;

        if (region == NULL || region->config.address > address) {
            (void)pm_fail(error, PM_ERROR_NOT_POPULATED,
                          "guest address 0x%" PRIx64 " is not memory: no region has it", address);
            return NULL;
        }
        region_last = MIN(pm_guest_region_last(region), last);
        start = region->config.ram_offset + (address - region->config.address);
        split_region(parts, region, start, start + (region_last - address) + 1);
        address = region_last + 1;
    } while (region_last < last);
    return g_steal_pointer(&parts);
}

static bool check_quarantine(const PmGuestPart *part, uint64_t start, uint64_t end, GError **error)
{
    uint64_t offset;
    uint64_t size;
    g_autofree char *listener = NULL;
    g_autofree char *reason = NULL;

    if (!pm_discard_manager_next_quarantined(part->region->manager, start, &offset, &size,
                                             &listener, &reason) ||
        offset >= end)
        return true;
    return pm_fail(error, PM_ERROR_QUARANTINED,
                   "guest address 0x%" PRIx64 " is in quarantine because of %s: %s",
                   part->region->config.address +
                       (MAX(offset, part->ram_offset) - part->region->config.ram_offset),
                   listener, reason);
}

bool pm_guest_part_check_populated(const PmGuestPart *part, GError **error)
{
    const PmGuestRegion *region = part->region;
    uint64_t mask = region->granularity - 1;
    uint64_t start = part->ram_offset & ~mask;
    uint64_t end = (part->ram_offset + part->size + mask) & ~mask;
    uint64_t offset;
    uint64_t size;

    if (region->manager == NULL)
        return true;
    if (!pm_discard_manager_next_discarded(region->manager, start, end, &offset, &size))
        return check_quarantine(part, start, end, error);
    return pm_fail(error, PM_ERROR_NOT_POPULATED,
                   "guest address 0x%" PRIx64
                   " is not populated: plug it, or populate it in other sources, before it is "
                   "mapped",
                   part->address + (MAX(offset, part->ram_offset) - part->ram_offset));
}
