/* SPDX-License-Identifier: MIT */
/* Adding regions in the usual way. */
#ifndef PLUGMAP_TESTS_UTIL_MAPPER_UTIL_H
#define PLUGMAP_TESTS_UTIL_MAPPER_UTIL_H

#include <plugmap/mapper.h>

/* Adds all of @ram, readable and writable. @flags: PmMapperFlags. */
static inline bool mapper_add_all(PmMapper *mapper, uint64_t address, PmRam *ram, unsigned flags,
                                  GError **error)
{
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = ram,
        .size = pm_ram_get_size(ram),
        .address = address,
        .access = PM_IOMMU_READ_WRITE,
        .flags = flags,
    };

    return pm_mapper_add(mapper, &region, error);
}

#endif
