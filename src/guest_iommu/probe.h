/* SPDX-License-Identifier: MIT */
/* The response to PROBE. */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_PROBE_H
#define PLUGMAP_SRC_GUEST_IOMMU_PROBE_H

#include "guest_iommu/state.h"

/* Writes the endpoint's properties to @properties, which has probe_size bytes, all zero. */
void pm_probe_write(const PmEndpoint *endpoint, uint8_t *properties);

#endif
