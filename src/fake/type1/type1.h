/* SPDX-License-Identifier: MIT */
/* ioctls of a type1 IOMMU. Linux: drivers/vfio/vfio_iommu_type1.c. */
#ifndef PLUGMAP_SRC_FAKE_TYPE1_TYPE1_H
#define PLUGMAP_SRC_FAKE_TYPE1_TYPE1_H

#include "fake/type1/type1_mappings.h"

int pm_fake_type1_ioctl(PmFakeType1 *type1, unsigned long request, void *argument);
/* The kind of call that a request counts as. */
PmFakeCall pm_fake_type1_ioctl_kind(unsigned long request);

#endif
