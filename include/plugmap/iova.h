/* SPDX-License-Identifier: MIT */
/*
 * I/O virtual addresses (IOVAs): the addresses that a device uses for DMA, and an IOMMU translates.
 */
#ifndef PLUGMAP_IOVA_H
#define PLUGMAP_IOVA_H

#include <stdint.h>

#include <glib.h>

G_BEGIN_DECLS

/**
 * PmIovaRange: a range of I/O addresses. Frozen: it never grows.
 * @start: first address.
 * @last: last address, inclusive, so that a range can end at 2^64-1.
 */
typedef struct {
    uint64_t start;
    uint64_t last;
} PmIovaRange;

/**
 * PmIommuAccess: what a device may do.
 * @PM_IOMMU_READ: read.
 * @PM_IOMMU_WRITE: write. Intel IOMMUs allow reading through write-only mappings, too.
 * @PM_IOMMU_READ_WRITE: both.
 */
typedef enum {
    PM_IOMMU_READ = 1 << 0,
    PM_IOMMU_WRITE = 1 << 1,
    PM_IOMMU_READ_WRITE = PM_IOMMU_READ | PM_IOMMU_WRITE,
} PmIommuAccess;

G_END_DECLS

#endif
