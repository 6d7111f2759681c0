/* SPDX-License-Identifier: MIT */
/* Automatic placement of areas. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_PLACE_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_PLACE_H

#include "fake/iommufd/ioas.h"

/*
 * The lowest free place for @length bytes, aligned as @origin, the address of the memory.
 * Returns 0, -EOVERFLOW (too long), -EINVAL (@origin is less aligned than the IOAS requires) or
 * -ENOSPC.
 */
int pm_ioas_place(const PmIoas *ioas, uint64_t origin, uint64_t length, uint64_t *iova);

#endif
