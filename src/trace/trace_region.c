/* SPDX-License-Identifier: MIT */
#include "trace/trace_region.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"

static bool check_granularity(const PmTraceRegion *region, GError **error)
{
    uint64_t granularity = region->granularity;
    g_autofree char *text = pm_size_format(granularity);

    if (granularity >= 4096 && (granularity & (granularity - 1)) == 0 &&
        ((region->size | region->address) & (granularity - 1)) == 0)
        return true;
    return pm_fail(error, PM_ERROR_BAD_INPUT,
                   "invalid granularity %s: must be a power of two, at least 4K, and divide the "
                   "region's address and size",
                   text);
}

bool pm_trace_region_check(const PmTraceRegion *region, GError **error)
{
    g_autofree char *size = pm_size_format(region->size);
    g_autofree char *block = pm_size_format(region->block_size);
    g_autofree char *requested = pm_size_format(region->requested_size);

    if (region->block_size < 4096 || (region->block_size & (region->block_size - 1)) != 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid block size %s: must be a power of two, at least 4K", block);
    if (region->size == 0 || region->size % region->block_size != 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid region size %s: must be one or more whole blocks of %s", size,
                       block);
    /* Reserving the memory would fail, too, but the error would not name the line. */
    if (region->size > INT64_MAX - region->block_size)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid region size %s: exceeds the 128T address space of a process", size);
    if (region->address % region->block_size != 0)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid region address 0x%" PRIx64
                       ": must be a multiple of the block size, %s",
                       region->address, block);
    if (region->address > UINT64_MAX - (region->size - 1))
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid region address 0x%" PRIx64
                       ": the region, %s, exceeds the 64-bit address space",
                       region->address, size);
    if (region->granularity != 0 && !check_granularity(region, error))
        return false;
    if (region->requested_size % region->block_size != 0 || region->requested_size > region->size)
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid requested size %s: must be whole blocks of %s, at most the "
                       "region's %s",
                       requested, block, size);
    return true;
}

bool pm_trace_region_check_range(const PmTraceRegion *region, uint64_t address, uint64_t n_blocks,
                                 GError **error)
{
    uint64_t size = n_blocks * region->block_size;
    uint64_t offset = address - region->address;
    g_autofree char *blocks = NULL;

    if (address >= region->address && offset <= region->size && size <= region->size - offset)
        return true;
    blocks = pm_counted(n_blocks, "block");
    return pm_fail(error, PM_ERROR_BAD_INPUT,
                   "%s at 0x%" PRIx64 ": outside the region, 0x%" PRIx64 "-0x%" PRIx64, blocks,
                   address, region->address, region->address + (region->size - 1));
}

bool pm_trace_region_overlaps(const PmTraceRegion *a, const PmTraceRegion *b)
{
    return a->address <= b->address + (b->size - 1) && b->address <= a->address + (a->size - 1);
}

bool pm_trace_region_bound_requested(const PmTraceRegion *region, uint64_t usable, uint64_t *bound)
{
    uint64_t blocks = (PM_TRACE_USABLE_EXTENT + region->block_size - 1) / region->block_size;
    uint64_t extent = blocks * region->block_size;

    *bound = usable;
    if (usable == 0 || usable == region->size)
        return true;
    *bound = usable - extent;
    return usable % region->block_size == 0 && usable < region->size && usable > extent;
}
