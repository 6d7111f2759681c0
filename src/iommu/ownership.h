/* SPDX-License-Identifier: MIT */
/* What callers can do with an address space that this process does not own (handover.h): nothing.
 */
#ifndef PLUGMAP_SRC_IOMMU_OWNERSHIP_H
#define PLUGMAP_SRC_IOMMU_OWNERSHIP_H

#include "iommu/address_space.h"

/* From now on all operations fail, without calling the kernel. Both locks are held. */
void pm_iommu_close_to_callers(PmIommu *iommu, PmIommuOwner owner);

/* The back end's operations again. Both locks are held. */
void pm_iommu_open_to_callers(PmIommu *iommu);

/* Fails unless @iommu is ours, or is being adopted and @to_adopt. Errors: PM_ERROR_BUSY (between
 * two processes), PM_ERROR_PERMISSION (another process's). The lock is held. */
bool pm_iommu_check_ours(const PmIommu *iommu, bool to_adopt, GError **error);

/* The same, taking the lock. */
bool pm_iommu_is_ours(PmIommu *iommu, GError **error);

#endif
