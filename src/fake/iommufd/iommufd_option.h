/* SPDX-License-Identifier: MIT */
/* Options of an iommufd and its IOAS. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_OPTION_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_OPTION_H

#include "fake/iommufd/iommufd.h"

int pm_fake_iommufd_option(PmFakeIommufdRequest *request);

#endif
