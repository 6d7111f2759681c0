/* SPDX-License-Identifier: MIT */
/* IOAS map. Linux: drivers/iommu/iommufd/io_pagetable.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_MAP_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_MAP_H

#include "fake/iommufd/ioas.h"

int pm_ioas_map(PmFakeIommufdRequest *request);
int pm_ioas_map_file(PmFakeIommufdRequest *request);
int pm_ioas_copy(PmFakeIommufdRequest *request);

/* MAP at a fixed I/O address. Returns 0 or -errno. */
int pm_ioas_map_fixed(PmIoas *ioas, uint64_t iova, uint64_t address, uint64_t length,
                      PmIommuAccess access);

#endif
