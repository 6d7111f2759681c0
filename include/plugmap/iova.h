/* SPDX-License-Identifier: MIT */
/*
 * I/O virtual addresses (IOVA): what a device puts on the bus, and an IOMMU translates.
 */
#ifndef PLUGMAP_IOVA_H
#define PLUGMAP_IOVA_H

#include <stdint.h>

#include <glib.h>

G_BEGIN_DECLS

/** PmIovaRange: valid I/O addresses, from @start to @last inclusive (so that 2^64-1 can be one).
 * Frozen: it never grows. */
typedef struct {
    uint64_t start;
    uint64_t last;
} PmIovaRange;

/** PmIommuAccess: what the device may do with a mapping. Intel IOMMUs let a write-only mapping be
 * read, too. */
typedef enum {
    PM_IOMMU_READ = 1 << 0,
    PM_IOMMU_WRITE = 1 << 1,
    PM_IOMMU_READ_WRITE = PM_IOMMU_READ | PM_IOMMU_WRITE,
} PmIommuAccess;

G_END_DECLS

#endif
