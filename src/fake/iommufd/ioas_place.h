/* SPDX-License-Identifier: MIT */
/* Where an area goes that nobody gave an I/O address. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_PLACE_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_PLACE_H

#include "fake/iommufd/ioas.h"

/*
 * The lowest free place for @length bytes that is as aligned as @origin, the memory's own address.
 * Returns 0, -EOVERFLOW (too long), -EINVAL (@origin is less aligned than areas have to be here) or
 * -ENOSPC.
 */
int pm_ioas_place(const PmIoas *ioas, uint64_t origin, uint64_t length, uint64_t *iova);

#endif
