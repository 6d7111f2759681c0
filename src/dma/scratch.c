/* SPDX-License-Identifier: MIT */
#include "dma/scratch.h"

#include <inttypes.h>

#include <plugmap/iommu_claim.h>

#include "base/error_text.h"

struct PmDmaScratch {
    PmRam *ram;
    PmIommuClaim *claim;
};

/* Leaves a page between the scratch and the avoided range, so that the scratch is a separate run.
 */
static bool find_room(PmIommu *iommu, uint64_t size, uint64_t page, uint64_t avoid,
                      uint64_t avoid_size, uint64_t *found, GError **error)
{
    uint64_t after = avoid + avoid_size + page;
    size_t n_ranges;
    const PmIovaRange *ranges = pm_iommu_get_iova_ranges(iommu, &n_ranges);

    for (size_t i = 0; i < n_ranges; i++) {
        const uint64_t candidates[] = {ranges[i].start, after};

        for (size_t j = 0; j < G_N_ELEMENTS(candidates); j++) {
            uint64_t iova = candidates[j];

            if (!pm_iommu_check_range(iommu, iova, size + page, NULL) ||
                (iova < after && avoid < iova + size + page))
                continue;
            *found = iova;
            return true;
        }
    }
    return pm_fail(error, PM_ERROR_UNSUPPORTED,
                   "no IOVA space for 0x%" PRIx64
                   " bytes of DMA engine memory outside the region at 0x%" PRIx64,
                   size, avoid);
}

static PmIommuClaim *map(PmIommu *iommu, PmRam *ram, uint64_t iova, GError **error)
{
    uint64_t size = pm_ram_get_size(ram);
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the DMA engine's memory",
        .ram = ram,
        .iova = iova,
        .size = size,
        .block_size = size,
        .reserved_size = size,
    };
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(iommu, &config, error);

    if (claim == NULL || !pm_iommu_claim_map(claim, 0, size, 0, PM_IOMMU_READ_WRITE, error))
        return NULL;
    return g_steal_pointer(&claim);
}

PmDmaScratch *pm_dma_scratch_new(PmIommu *iommu, uint64_t avoid, uint64_t avoid_size,
                                 GError **error)
{
    g_autoptr(PmDmaScratch) scratch = g_new0(PmDmaScratch, 1);
    uint64_t page_sizes = pm_iommu_get_page_sizes(iommu);
    uint64_t page = page_sizes & -page_sizes;
    uint64_t size = MAX(page, (uint64_t)PM_DMA_SCRATCH_PAGES * PM_DMA_PAGE);
    uint64_t iova = 0;

    if (!find_room(iommu, size, page, avoid, avoid_size, &iova, error))
        return NULL;
    scratch->ram = pm_ram_new(PM_RAM_ANONYMOUS, size, 0, error);
    scratch->claim = scratch->ram != NULL ? map(iommu, scratch->ram, iova, error) : NULL;
    return scratch->claim != NULL ? g_steal_pointer(&scratch) : NULL;
}

/* If the unmap fails, the claim keeps the memory: the device may still use it. */
void pm_dma_scratch_free(PmDmaScratch *scratch)
{
    if (scratch == NULL)
        return;
    pm_iommu_claim_unref(scratch->claim);
    g_clear_pointer(&scratch->ram, pm_ram_unref);
    g_free(scratch);
}

void *pm_dma_scratch_get_memory(const PmDmaScratch *scratch)
{
    return pm_ram_get_host(scratch->ram);
}

uint64_t pm_dma_scratch_get_iova(const PmDmaScratch *scratch)
{
    return pm_iommu_claim_get_iova(scratch->claim);
}
