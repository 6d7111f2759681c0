/* SPDX-License-Identifier: MIT */
/* Calls of a guest IOMMU's follower: success without one. Failures set the status for the guest. */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_FOLLOWER_H
#define PLUGMAP_SRC_GUEST_IOMMU_FOLLOWER_H

#include "guest_iommu/state.h"

/* Whether the follower is the one with this @user_data. */
bool pm_follower_is(const PmGuestIommu *iommu, const void *user_data);

bool pm_follower_attach(PmGuestIommu *iommu, const PmDomain *domain, const PmEndpoint *endpoint,
                        GError **error);
bool pm_follower_detach(PmGuestIommu *iommu, const PmDomain *domain, const PmEndpoint *endpoint,
                        GError **error);
bool pm_follower_map(PmGuestIommu *iommu, const PmDomain *domain, const PmGuestMapping *mapping,
                     GError **error);
bool pm_follower_unmap(PmGuestIommu *iommu, const PmDomain *domain, const PmGuestMapping *mapping,
                       GError **error);

#endif
