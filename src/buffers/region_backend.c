/* SPDX-License-Identifier: MIT */
#include "buffers/region_backend.h"

#include <plugmap/error.h>

bool pm_regions_are_unknown(const GError *error)
{
    return g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED) ||
           g_error_matches(error, PM_ERROR, PM_ERROR_UNMAP_MISMATCH);
}

void *pm_region_memory_host(const PmRegionMemory *memory, uint64_t offset)
{
    return (char *)pm_ram_get_host(memory->ram) + memory->offset + offset;
}
