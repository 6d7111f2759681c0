/* SPDX-License-Identifier: MIT */
/* Whether a range can be mapped at all: aligned, and inside a valid range. */
#ifndef PLUGMAP_SRC_IOMMU_RANGE_CHECK_H
#define PLUGMAP_SRC_IOMMU_RANGE_CHECK_H

#include "iommu/address_space.h"

/* @value is a multiple of the smallest page size; @what it is, for the message. */
bool pm_iommu_check_aligned(const PmIommu *iommu, const char *what, uint64_t value, GError **error);

/* Not empty, and both aligned. */
bool pm_iommu_check_size(const PmIommu *iommu, uint64_t iova, uint64_t size, GError **error);

#endif
