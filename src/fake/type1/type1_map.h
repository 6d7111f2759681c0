/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_MAP_DMA. */
#ifndef PLUGMAP_SRC_FAKE_TYPE1_TYPE1_MAP_H
#define PLUGMAP_SRC_FAKE_TYPE1_TYPE1_MAP_H

#include "fake/type1/type1_mappings.h"

int pm_fake_type1_map(PmFakeType1 *type1, const void *argument);

#endif
