/* SPDX-License-Identifier: MIT */
/* What handing over a mapper needs of it. */
#ifndef PLUGMAP_SRC_MAPPER_MAPPER_PRIVATE_H
#define PLUGMAP_SRC_MAPPER_MAPPER_PRIVATE_H

#include "mapper/region.h"

PmIommu *pm_mapper_get_iommu(const PmMapper *mapper);

/* Its regions, of PmRegion; owned by @mapper. */
const GPtrArray *pm_mapper_get_regions(const PmMapper *mapper);

/* As pm_mapper_add(), for a region that is mapped already (pm_region_adopt()). @config: all fields
 * are known. */
bool pm_mapper_adopt(PmMapper *mapper, const PmMapperRegion *config, const PmIommuRun *runs,
                     size_t n_runs, GError **error);

#endif
