/* SPDX-License-Identifier: MIT */
/* Mappings of domains. */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_MAPPING_H
#define PLUGMAP_SRC_GUEST_IOMMU_MAPPING_H

#include "guest_iommu/state.h"

/*
 * Maps the mappings of @domain from @first to @last (inclusive) again, after the follower has
 * unmapped them. Those that fail are dropped from the table, and @failure says so.
 */
void pm_mappings_restore(PmGuestIommu *iommu, PmDomain *domain, uint64_t first, uint64_t last,
                         GError *failure);

#endif
