/* SPDX-License-Identifier: MIT */
#include "mapper/region_check.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"

#define ALL_FLAGS ((unsigned)PM_MAPPER_OVERCOMMIT | (unsigned)PM_MAPPER_OPTIONAL)

static uint64_t last_of(const PmMapperRegion *region)
{
    return region->address + (region->size - 1);
}

static bool check_place(const PmMapperRegion *region, GError **error)
{
    uint64_t ram_size = pm_ram_get_size(region->ram);

    if (region->size == 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "the region at 0x%" PRIx64 " is empty: set PmMapperRegion.size",
                       region->address);
    if (region->ram_offset > ram_size || region->size > ram_size - region->ram_offset)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "the region at 0x%" PRIx64 " has 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       ": must be inside the RAM of 0x%" PRIx64 " bytes",
                       region->address, region->size, region->ram_offset, ram_size);
    if (last_of(region) < region->address)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "the region at 0x%" PRIx64 " has 0x%" PRIx64
                       " bytes, and would end past the last guest address, 2^64-1",
                       region->address, region->size);
    return true;
}

bool pm_region_check_fields(const PmMapperRegion *region, GError **error)
{
    if (region->ram == NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "the region at 0x%" PRIx64 " has no RAM: set PmMapperRegion.ram",
                       region->address);
    if (region->access == 0 || region->access > PM_IOMMU_READ_WRITE)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid access 0x%x of the region at 0x%" PRIx64
                       ": must be PM_IOMMU_READ, PM_IOMMU_WRITE or both",
                       (unsigned)region->access, region->address);
    if ((region->flags & ~ALL_FLAGS) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid flags 0x%x of the region at 0x%" PRIx64, region->flags,
                       region->address);
    if ((region->flags & PM_MAPPER_OPTIONAL) && pm_ram_get_discard_manager(region->ram) != NULL)
        return pm_fail(
            error, PM_ERROR_INVALID_ARGUMENT,
            "the region at 0x%" PRIx64
            " has a discard manager, which PM_MAPPER_OPTIONAL does not support: clear that flag",
            region->address);
    return check_place(region, error);
}

/* Block and page sizes are powers of two. */
bool pm_region_check_blocks(uint64_t page_size, const PmMapperRegion *region, GError **error)
{
    const PmDiscardManager *manager = pm_ram_get_discard_manager(region->ram);
    uint64_t unit = manager != NULL ? pm_discard_manager_get_granularity(manager) : page_size;
    g_autofree char *unit_text = pm_size_format(unit);
    g_autofree char *page_text = pm_size_format(page_size);

    if (unit < page_size)
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "invalid block size %s of the region at 0x%" PRIx64
                       ": must be at least the IOMMU's page size, %s",
                       unit_text, region->address, page_text);
    if (((region->address | region->ram_offset | region->size) & (unit - 1)) != 0)
        return pm_fail(
            error, PM_ERROR_UNALIGNED,
            "the region at 0x%" PRIx64 " with 0x%" PRIx64 " bytes at offset 0x%" PRIx64
            " of the RAM is not aligned: address, size and offset must be multiples of %s, %s",
            region->address, region->size, region->ram_offset, unit_text,
            manager != NULL ? "the manager's block size" : "the IOMMU's page size");
    return true;
}

bool pm_region_check_apart(const PmMapperRegion *region, const PmMapperRegion *other,
                           GError **error)
{
    if (last_of(region) < other->address || last_of(other) < region->address)
        return true;
    return pm_fail(error, PM_ERROR_OVERLAP,
                   "the region at 0x%" PRIx64 "-0x%" PRIx64 " overlaps the one at 0x%" PRIx64
                   "-0x%" PRIx64 ": choose another address, or remove that one first",
                   region->address, last_of(region), other->address, last_of(other));
}
