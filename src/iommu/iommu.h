/* SPDX-License-Identifier: MIT */
/* PmIommu from inside: what every back end shares, and what each brings along. */
#ifndef PLUGMAP_IOMMU_IOMMU_H
#define PLUGMAP_IOMMU_IOMMU_H

#include <pthread.h>

#include <plugmap/iommu.h>

#include "iommu/ledger.h"

/* PmIommuRequest: what one pm_iommu_map() asks for; checked. */
typedef struct {
    uint64_t iova;
    uint64_t host;
    uint64_t block_size;
    uint64_t n_blocks;
    PmIommuAccess access;
} PmIommuRequest;

/*
 * PmIommuOps: a back end. Called with the lock held, except @query_available and @free.
 * @map: maps block by block until one fails; @n_mapped says how many are mapped. Returns 0 or
 * -errno.
 * @unmap, @unmap_all: one call to the kernel; @n_bytes is what it says it unmapped. Returns 0 or
 *     -errno.
 * @query_available: as pm_iommu_query_available().
 * @free: closes the back end's files. The struct itself is freed behind it.
 */
typedef struct {
    int (*map)(PmIommu *iommu, const PmIommuRequest *request, uint64_t *n_mapped);
    int (*unmap)(PmIommu *iommu, uint64_t iova, uint64_t size, uint64_t *n_bytes);
    int (*unmap_all)(PmIommu *iommu, uint64_t *n_bytes);
    bool (*query_available)(PmIommu *iommu, uint64_t *n_mappings, GError **error);
    void (*free)(PmIommu *iommu);
} PmIommuOps;

/* Back ends embed this first, allocated with g_new0(). All but the ledger stays as it is once the
 * address space is open. */
struct PmIommu {
    const PmIommuOps *ops;
    gatomicrefcount references;
    PmKernel *kernel;
    uint64_t page_sizes;
    PmIovaRange *ranges;
    size_t n_ranges;
    uint64_t mapping_limit;
    pthread_mutex_t lock; /* not GMutex, which the thread sanitizer does not see */
    PmLedger *ledger;     /* under the lock */
};

/* Gives @iommu its first reference, so that pm_iommu_unref() cleans up after a failed opening.
 * Takes a reference to @kernel; the back end sets page_sizes, ranges (g_free()) and mapping_limit.
 */
void pm_iommu_init(PmIommu *iommu, const PmIommuOps *ops, PmKernel *kernel);

/* @value is a multiple of the smallest page size; @what it is, for the message. */
bool pm_iommu_check_aligned(const PmIommu *iommu, const char *what, uint64_t value, GError **error);

/* Not empty, and both aligned. */
bool pm_iommu_check_size(const PmIommu *iommu, uint64_t iova, uint64_t size, GError **error);

/* The ledger has room for @n_mappings more. The lock is held. */
bool pm_iommu_check_limit(PmIommu *iommu, uint64_t n_mappings, uint64_t n_bytes,
                          uint64_t block_size, GError **error);

#endif
