/* SPDX-License-Identifier: MIT */
/* Areas go. Linux: drivers/iommu/iommufd/io_pagetable.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_UNMAP_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOAS_UNMAP_H

#include "fake/iommufd/ioas.h"

int pm_ioas_unmap(PmFakeIommufdRequest *request);

/* Removes areas from @first to @last, up to one that is in the range only in part, which is
 * -ENOENT. @n_bytes: what was removed. */
int pm_ioas_unmap_range(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes);
/* The same for a request to unmap, which the fault plan can shorten. */
int pm_ioas_unmap_requested(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes);

/* Makes @iova the last address of an area, if it is inside one; for small pages alone. Returns 0,
 * -EINVAL (what is behind it does not begin with a page) or -ENOMEM. */
int pm_ioas_split(PmIoas *ioas, uint64_t iova);

#endif
