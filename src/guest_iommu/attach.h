/* SPDX-License-Identifier: MIT */
/* Moves endpoints between domains. */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_ATTACH_H
#define PLUGMAP_SRC_GUEST_IOMMU_ATTACH_H

#include "guest_iommu/state.h"

/*
 * Detaches @endpoint from its domain, which ends with its last endpoint, and attaches it to @to;
 * NULL: to none. Failures are undone as pm_guest_iommu_attach() documents.
 */
bool pm_endpoint_move(PmGuestIommu *iommu, PmEndpoint *endpoint, PmDomain *to, GError **error);

#endif
