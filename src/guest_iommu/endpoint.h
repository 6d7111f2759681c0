/* SPDX-License-Identifier: MIT */
/* Endpoints: the devices below a guest IOMMU. */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_ENDPOINT_H
#define PLUGMAP_SRC_GUEST_IOMMU_ENDPOINT_H

#include "guest_iommu/state.h"

/* The first endpoint whose number is at least @id, or NULL. */
PmEndpoint *pm_endpoint_next(const PmGuestIommu *iommu, uint64_t id);

/* The endpoint with this number. Errors: PM_ERROR_NOT_FOUND. */
PmEndpoint *pm_endpoint_find(PmGuestIommu *iommu, uint32_t id, GError **error);

/* Errors: PM_ERROR_INVALID_ARGUMENT (reserved ranges). */
PmEndpoint *pm_endpoint_new(const PmGuestEndpoint *config, GError **error);

void pm_endpoint_free(PmEndpoint *endpoint);

/* The first reserved range that overlaps [@first, @last], or NULL. */
const PmGuestReserved *pm_endpoint_find_reserved(const PmEndpoint *endpoint, uint64_t first,
                                                 uint64_t last);

#endif
