/* SPDX-License-Identifier: MIT */
/* type1's interface on an iommufd. Linux: drivers/iommu/iommufd/vfio_compat.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_VFIO_COMPAT_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_VFIO_COMPAT_H

#include "fake/iommufd/iommufd.h"

int pm_vfio_compat_ioctl(PmFakeIommufd *iommufd, unsigned long code, void *argument);

/* Which IOAS it works on. */
int pm_fake_iommufd_vfio_ioas(PmFakeIommufdRequest *request);
/* Makes one, unless there is one. */
void pm_vfio_compat_make_ioas(PmFakeIommufd *iommufd);

#endif
