/* SPDX-License-Identifier: MIT */
#include "dma/scratch.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "base/error_text.h"

struct PmDmaScratch {
    PmIommu *iommu;
    void *memory;
    uint64_t size;
    uint64_t iova;
};

/* With a page between them, so that it is a run of its own. */
static bool find_room(PmDmaScratch *scratch, uint64_t page, uint64_t avoid, uint64_t avoid_size,
                      GError **error)
{
    uint64_t behind = avoid + avoid_size + page;
    size_t n_ranges;
    const PmIovaRange *ranges = pm_iommu_get_iova_ranges(scratch->iommu, &n_ranges);

    for (size_t i = 0; i < n_ranges; i++) {
        const uint64_t candidates[] = {ranges[i].start, behind};

        for (size_t j = 0; j < G_N_ELEMENTS(candidates); j++) {
            uint64_t iova = candidates[j];

            if (!pm_iommu_check_range(scratch->iommu, iova, scratch->size + page, NULL) ||
                (iova < behind && avoid < iova + scratch->size + page))
                continue;
            scratch->iova = iova;
            return true;
        }
    }
    return pm_fail(error, PM_ERROR_UNSUPPORTED,
                   "there is no room for the DMA engine's 0x%" PRIx64
                   " bytes beside the region at 0x%" PRIx64,
                   scratch->size, avoid);
}

static bool map(PmDmaScratch *scratch, GError **error)
{
    void *memory =
        mmap(NULL, scratch->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_autofree char *name = NULL;

    if (memory == MAP_FAILED) {
        name = pm_errno_text(errno);
        return pm_fail(error, PM_ERROR_MEMORY, "there is no memory for the DMA engine: %s", name);
    }
    scratch->memory = memory;
    if (pm_iommu_map(scratch->iommu, scratch->iova, memory, scratch->size, 1, PM_IOMMU_READ_WRITE,
                     error))
        return true;
    (void)munmap(memory, scratch->size);
    return false;
}

PmDmaScratch *pm_dma_scratch_new(PmIommu *iommu, uint64_t avoid, uint64_t avoid_size,
                                 GError **error)
{
    g_autofree PmDmaScratch *scratch = g_new0(PmDmaScratch, 1);
    uint64_t page_sizes = pm_iommu_get_page_sizes(iommu);
    uint64_t page = page_sizes & -page_sizes;

    scratch->iommu = iommu;
    scratch->size = MAX(page, (uint64_t)PM_DMA_SCRATCH_PAGES * PM_DMA_PAGE);
    if (!find_room(scratch, page, avoid, avoid_size, error) || !map(scratch, error))
        return NULL;
    pm_iommu_ref(iommu);
    return g_steal_pointer(&scratch);
}

/* The memory of a mapping that cannot be removed stays: a device may be using it. */
void pm_dma_scratch_free(PmDmaScratch *scratch)
{
    if (scratch == NULL)
        return;
    if (pm_iommu_purge(scratch->iommu, scratch->iova, scratch->size, NULL))
        (void)munmap(scratch->memory, scratch->size);
    pm_iommu_unref(scratch->iommu);
    g_free(scratch);
}

void *pm_dma_scratch_get_memory(const PmDmaScratch *scratch)
{
    return scratch->memory;
}

uint64_t pm_dma_scratch_get_iova(const PmDmaScratch *scratch)
{
    return scratch->iova;
}
