/* SPDX-License-Identifier: MIT */
/* Dirty page logging of type1. */
#ifndef PLUGMAP_SRC_FAKE_TYPE1_TYPE1_DIRTY_H
#define PLUGMAP_SRC_FAKE_TYPE1_TYPE1_DIRTY_H

#include "fake/type1/type1_mappings.h"
#include "kernel-uapi/vfio.h"

int pm_fake_type1_dirty_pages(PmFakeType1 *type1, const void *argument);

/* Called on map and unmap; no-ops while logging is off. Return 0 or -errno. */
int pm_fake_type1_dirty_add(PmFakeType1 *type1, const PmMapping *mapping);
void pm_fake_type1_dirty_remove(PmFakeType1 *type1, const PmMapping *mapping);

/* Returns 0 if the bitmap has room for @size bytes, else -EINVAL. */
int pm_fake_type1_check_bitmap(const struct vfio_bitmap *bitmap, uint64_t size);

/* Copies a mapping's bits to a bitmap that begins at @iova. Returns 0 or -EFAULT. */
int pm_fake_type1_dirty_report(PmFakeType1 *type1, const PmMapping *mapping, uint64_t iova,
                               uint64_t *user_bitmap);

#endif
