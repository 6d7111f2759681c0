/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_UNMAP_DMA. */
#ifndef PLUGMAP_SRC_FAKE_TYPE1_TYPE1_UNMAP_H
#define PLUGMAP_SRC_FAKE_TYPE1_TYPE1_UNMAP_H

#include "fake/type1/type1_mappings.h"

int pm_fake_type1_unmap(PmFakeType1 *type1, void *argument);

#endif
