/* SPDX-License-Identifier: MIT */
/* Refusals: of an operation, with a status for the guest; and why the last request was refused, for
 * the host, because the status has no room for a reason. */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_REFUSAL_H
#define PLUGMAP_SRC_GUEST_IOMMU_REFUSAL_H

#include <plugmap/virtio_iommu.h>

#include "guest_iommu/state.h"

/* Sets @error, and the status for the guest, VIRTIO_IOMMU_S_*. Returns false. */
bool pm_guest_refuse(PmGuestIommu *iommu, GError **error, unsigned status, PmError code,
                     const char *format, ...) G_GNUC_PRINTF(5, 6);

void pm_guest_refusal_clear(PmGuestIommu *iommu);

/* Takes ownership of @refusal. */
void pm_guest_refusal_set(PmGuestIommu *iommu, PmVirtioIommuStatus status, GError *refusal);

#endif
