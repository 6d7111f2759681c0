/* SPDX-License-Identifier: MIT */
/* Dirty tracking of page tables. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_HWPT_DIRTY_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_HWPT_DIRTY_H

#include "fake/iommufd/iommufd.h"

int pm_hwpt_set_dirty_tracking(PmFakeIommufdRequest *request);
int pm_hwpt_get_dirty_bitmap(PmFakeIommufdRequest *request);

#endif
