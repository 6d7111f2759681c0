/* SPDX-License-Identifier: MIT */
/*
 * I/O virtual addresses (IOVAs): the addresses that a device uses for DMA, and an IOMMU translates.
 */
#ifndef PLUGMAP_IOVA_H
#define PLUGMAP_IOVA_H

#include <stdint.h>

#include <glib.h>

G_BEGIN_DECLS

/** PmIovaRange: I/O addresses from @start to @last inclusive, so that a range can end at 2^64-1.
 * Frozen: it never grows. */
typedef struct {
    uint64_t start;
    uint64_t last;
} PmIovaRange;

/** PmIommuAccess: what a device may do. Intel IOMMUs allow reading through write-only mappings,
 * too. */
typedef enum {
    PM_IOMMU_READ = 1 << 0,
    PM_IOMMU_WRITE = 1 << 1,
    PM_IOMMU_READ_WRITE = PM_IOMMU_READ | PM_IOMMU_WRITE,
} PmIommuAccess;

G_END_DECLS

#endif
