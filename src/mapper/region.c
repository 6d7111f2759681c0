/* SPDX-License-Identifier: MIT */
#include "mapper/region.h"

#include <inttypes.h>

PmRegion *pm_region_new(PmMapper *mapper, uint64_t address, PmRam *ram, PmDiscardManager *manager,
                        PmMapperFlags flags)
{
    PmRegion *region = g_new0(PmRegion, 1);

    region->mapper = mapper;
    region->address = address;
    region->size = pm_ram_get_size(ram);
    region->ram = pm_ram_ref(ram);
    region->flags = flags;
    region->block_size = region->size;
    if (manager != NULL) {
        region->manager = pm_discard_manager_ref(manager);
        region->block_size = pm_discard_manager_get_granularity(manager);
    }
    region->name = g_strdup_printf("mapper of the region at 0x%" PRIx64, address);
    return region;
}

void pm_region_free(PmRegion *region)
{
    g_clear_pointer(&region->manager, pm_discard_manager_unref);
    pm_ram_unref(region->ram);
    g_free(region->name);
    g_free(region);
}
