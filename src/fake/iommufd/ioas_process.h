/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_CHANGE_PROCESS. Linux: drivers/iommu/iommufd/ioas.c, since 6.13. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_PROCESS_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_PROCESS_H

#include "fake/iommufd/ioas.h"

int pm_ioas_change_process(PmFakeIommufdRequest *request);

#endif
