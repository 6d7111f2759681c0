/* SPDX-License-Identifier: MIT */
/* A queue of page faults for user space to handle. Always empty, because this IOMMU has no
 * nested page tables. Linux: drivers/iommu/iommufd/fault.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_FAULT_QUEUE_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_FAULT_QUEUE_H

#include "fake/iommufd/iommufd.h"

int pm_fault_queue_alloc(PmFakeIommufdRequest *request);

#endif
