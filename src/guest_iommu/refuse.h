/* SPDX-License-Identifier: MIT */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_REFUSE_H
#define PLUGMAP_SRC_GUEST_IOMMU_REFUSE_H

#include "guest_iommu/state.h"

/* Sets @error, and the status for the guest, VIRTIO_IOMMU_S_*. Returns false. */
bool pm_guest_refuse(PmGuestIommu *iommu, GError **error, unsigned status, PmError code,
                     const char *format, ...) G_GNUC_PRINTF(5, 6);

#endif
