/* SPDX-License-Identifier: MIT */
/* PmDmaScratch: private memory of a DMA engine, mapped away from the memory that it checks. */
#ifndef PLUGMAP_SRC_DMA_SCRATCH_H
#define PLUGMAP_SRC_DMA_SCRATCH_H

#include <plugmap/iommu.h>

/* The data page, followed by pages for the engine's queues. */
#define PM_DMA_PAGE          4096
#define PM_DMA_SCRATCH_PAGES 8

typedef struct PmDmaScratch PmDmaScratch;

/* Maps zeroed memory outside [@avoid, @avoid + @avoid_size), at least one page away from it.
 * Errors: PM_ERROR_UNSUPPORTED (no room), PM_ERROR_MEMORY, those of pm_iommu_claim_new() and
 * pm_iommu_claim_map(). */
PmDmaScratch *pm_dma_scratch_new(PmIommu *iommu, uint64_t avoid, uint64_t avoid_size,
                                 GError **error);
void pm_dma_scratch_free(PmDmaScratch *scratch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmDmaScratch, pm_dma_scratch_free)

void *pm_dma_scratch_get_memory(const PmDmaScratch *scratch);
uint64_t pm_dma_scratch_get_iova(const PmDmaScratch *scratch);

#endif
