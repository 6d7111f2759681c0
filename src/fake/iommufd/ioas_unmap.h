/* SPDX-License-Identifier: MIT */
/* IOAS unmap. Linux: drivers/iommu/iommufd/io_pagetable.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_UNMAP_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_UNMAP_H

#include "fake/iommufd/ioas.h"

int pm_ioas_unmap(PmFakeIommufdRequest *request);

/* Removes areas from @first to @last. Stops with -ENOENT at an area that is only partly in the
 * range. @n_bytes: bytes removed. */
int pm_ioas_unmap_range(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes);
/* The same for an UNMAP request, which the fault plan can shorten. */
int pm_ioas_unmap_requested(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes);

/* Splits an area after @iova, if it is inside one; only with small pages. Returns 0, -EINVAL
 * (the second half is not page aligned) or -ENOMEM. */
int pm_ioas_split(PmIoas *ioas, uint64_t iova);

#endif
