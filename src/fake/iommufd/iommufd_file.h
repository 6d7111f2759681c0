/* SPDX-License-Identifier: MIT */
/* The file /dev/iommu: dispatches requests. Linux: drivers/iommu/iommufd/main.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_FILE_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_FILE_H

#include "fake/iommufd/iommufd.h"

/* Of a PmFakeIommufd. */
extern const PmFileOps pm_fake_iommufd_file_ops;

/* open(2) of /dev/iommu: returns a descriptor or -errno. */
int pm_fake_iommufd_open(PmFakeMemory *memory, int flags);

#endif
