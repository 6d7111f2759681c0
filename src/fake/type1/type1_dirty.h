/* SPDX-License-Identifier: MIT */
/* Dirty page logging of a type1 IOMMU. */
#ifndef PLUGMAP_SRC_FAKE_TYPE1_TYPE1_DIRTY_H
#define PLUGMAP_SRC_FAKE_TYPE1_TYPE1_DIRTY_H

#include "fake/type1/type1_mappings.h"
#include "kernel-uapi/vfio.h"

int pm_fake_type1_dirty_pages(PmFakeType1 *type1, const void *argument);

/* A mapping comes or goes; nothing to do while logging is off. Returns 0 or -errno. */
int pm_fake_type1_dirty_add(PmFakeType1 *type1, const PmMapping *mapping);
void pm_fake_type1_dirty_remove(PmFakeType1 *type1, const PmMapping *mapping);

/* Whether a caller's bitmap can hold the bits of @size bytes: 0 or -EINVAL. */
int pm_fake_type1_check_bitmap(const struct vfio_bitmap *bitmap, uint64_t size);

/* Hands the bits of a mapping out, in a bitmap that begins with @iova. Returns 0 or -EFAULT. */
int pm_fake_type1_dirty_report(PmFakeType1 *type1, const PmMapping *mapping, uint64_t iova,
                               uint64_t *user_bitmap);

#endif
