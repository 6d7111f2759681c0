/* SPDX-License-Identifier: MIT */
/* Validation of a region before anything is done for it. */
#ifndef PLUGMAP_SRC_MAPPER_REGION_CHECK_H
#define PLUGMAP_SRC_MAPPER_REGION_CHECK_H

#include <plugmap/mapper.h>

/* Validates the fields by themselves. Errors: PM_ERROR_INVALID_ARGUMENT. */
bool pm_region_check_fields(const PmMapperRegion *region, GError **error);

/* Whether an IOMMU with pages of @page_size can map a block at every block boundary. Errors:
 * PM_ERROR_UNALIGNED. */
bool pm_region_check_blocks(uint64_t page_size, const PmMapperRegion *region, GError **error);

/* Whether the guest addresses of the two are disjoint. Errors: PM_ERROR_OVERLAP. */
bool pm_region_check_apart(const PmMapperRegion *region, const PmMapperRegion *other,
                           GError **error);

#endif
