/* SPDX-License-Identifier: MIT */
/* What back ends use of PmIommu besides its state. */
#ifndef PLUGMAP_SRC_IOMMU_IOMMU_H
#define PLUGMAP_SRC_IOMMU_IOMMU_H

#include "iommu/address_space.h"

/* Gives @iommu its first reference, so that pm_iommu_unref() cleans up after a failed opening.
 * Takes a reference to @kernel; the back end sets mapping_limit and calls
 * pm_iommu_set_geometry(). */
void pm_iommu_init(PmIommu *iommu, const PmIommuOps *ops, PmKernel *kernel);

/* Checks that a newly attached device reaches every claim; otherwise only mapping would fail.
 * PM_ERROR_IOVA_RANGE. The lock is held. */
bool pm_iommu_check_claims(PmIommu *iommu, const char *device, GError **error);

/* Prefixes an error of attaching another device with what is mapped and which addresses are valid,
 * if it is PM_ERROR_IOVA_RANGE. The lock is held. */
void pm_iommu_add_contents(PmIommu *iommu, GError **error);

#endif
