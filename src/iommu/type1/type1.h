/* SPDX-License-Identifier: MIT */
/* Internals of the type1 back end. */
#ifndef PLUGMAP_SRC_IOMMU_TYPE1_TYPE1_H
#define PLUGMAP_SRC_IOMMU_TYPE1_TYPE1_H

#include "iommu/iommu.h"
#include "iommu/type1/group_set.h"

typedef struct {
    PmIommu parent;
    int container; /* -1 until it is open */
    bool is_lent;  /* the caller still owns the container's descriptor */
    PmVfioGroupSet groups;
} PmType1;

/* PmIommuOps of these names. */
bool pm_type1_set_dirty_tracking(PmIommu *iommu, bool enabled, GError **error);
int pm_type1_read_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                        uint64_t *bitmap);
int pm_type1_unmap_dirty(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t page_size,
                         uint64_t *bitmap, uint64_t *n_bytes);
bool pm_type1_check_handover(PmIommu *iommu, GError **error);
int pm_type1_invalidate(PmIommu *iommu, const PmIommuRequest *run);
int pm_type1_set_address(PmIommu *iommu, const PmIommuRequest *run);
void pm_type1_describe(const PmIommu *iommu, PmIommuFiles *files);
void pm_type1_forget(PmIommu *iommu);

#endif
