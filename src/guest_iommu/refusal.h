/* SPDX-License-Identifier: MIT */
/* Why the device refused a request: for the host, because the status has no room for a reason. */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_REFUSAL_H
#define PLUGMAP_SRC_GUEST_IOMMU_REFUSAL_H

#include <plugmap/virtio_iommu.h>

#include "guest_iommu/state.h"

void pm_guest_refusal_clear(PmGuestIommu *iommu);

/* Takes ownership of @refusal. */
void pm_guest_refusal_set(PmGuestIommu *iommu, PmVirtioIommuStatus status, GError *refusal);

#endif
