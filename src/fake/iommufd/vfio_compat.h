/* SPDX-License-Identifier: MIT */
/* The type1 interface of an iommufd. Linux: drivers/iommu/iommufd/vfio_compat.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_VFIO_COMPAT_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_VFIO_COMPAT_H

#include "fake/iommufd/iommufd.h"

int pm_vfio_compat_ioctl(PmFakeIommufd *iommufd, unsigned long code, void *argument);

/* IOMMU_VFIO_IOAS. */
int pm_fake_iommufd_vfio_ioas(PmFakeIommufdRequest *request);
/* Creates the compatibility IOAS if there is none. */
void pm_vfio_compat_make_ioas(PmFakeIommufd *iommufd);

#endif
