/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_GET_INFO with its capability chain, byte for byte as Linux 6.1 and 6.12 lay it out. */
#ifndef PLUGMAP_SRC_FAKE_TYPE1_TYPE1_INFO_H
#define PLUGMAP_SRC_FAKE_TYPE1_TYPE1_INFO_H

#include "fake/type1/type1_mappings.h"

int pm_fake_type1_get_info(PmFakeType1 *type1, void *argument);

#endif
