/* SPDX-License-Identifier: MIT */
/* Claims of mappings that another process has made. */
#include <inttypes.h>

#include "base/error_text.h"
#include "iommu/budget.h"
#include "iommu/claim.h"
#include "iommu/handover.h"

static bool is_in(uint64_t offset, uint64_t size, uint64_t whole)
{
    return offset <= whole && size <= whole - offset;
}

/* The order of these checks bounds the arithmetic of the next. */
static bool is_valid(const PmIommuClaim *claim, const PmIommuRun *run)
{
    uint64_t offset = run->iova - claim->iova;
    uint64_t size = run->n_blocks * run->block_size;

    return !run->unknown && run->block_size == claim->block_size && run->n_blocks > 0 &&
           run->n_blocks <= claim->size / claim->block_size && run->iova >= claim->iova &&
           is_in(offset, size, claim->size) && offset % claim->block_size == 0 &&
           run->ram_offset % pm_iommu_page_size(claim->iommu) == 0 &&
           run->ram_offset >= claim->ram_offset && is_in(run->ram_offset, size, claim->ram_end);
}

static bool is_free(PmIommuClaim *claim, const PmIommuRun *run)
{
    uint64_t last = run->iova + (run->n_blocks * run->block_size - 1);
    uint64_t free_last;

    return pm_ledger_state_at(claim->ledger, run->iova, last, &free_last) == PM_LEDGER_UNMAPPED &&
           free_last == last;
}

static bool check_run(PmIommuClaim *claim, const PmIommuRun *run, GError **error)
{
    PmIommu *iommu = claim->iommu;

    if (!is_valid(claim, run) || !is_free(claim, run))
        return pm_fail(error, PM_ERROR_BAD_INPUT,
                       "invalid mappings of %s to adopt: %" PRIu64 " of 0x%" PRIx64
                       " bytes at I/O address 0x%" PRIx64 ", from offset 0x%" PRIx64 " of its RAM",
                       claim->owner, run->n_blocks, run->block_size, run->iova, run->ram_offset);
    if (iommu->own_ops->probe(iommu, run->iova, run->n_blocks * run->block_size) == PM_IOMMU_ABSENT)
        return pm_fail(error, PM_ERROR_AUDIT,
                       "the kernel has none of the %" PRIu64 " mappings of %s at I/O address "
                       "0x%" PRIx64,
                       run->n_blocks, claim->owner, run->iova);
    return true;
}

static bool adopt_run(PmIommuClaim *claim, const PmIommuRun *run, GError **error)
{
    if (!check_run(claim, run, error))
        return false;
    if (!pm_ledger_reserve(claim->ledger))
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for the list of mappings");
    if (!pm_budget_begin_map(claim, run->n_blocks, error))
        return false;
    pm_claim_note(claim, run->iova, run->n_blocks * run->block_size, PM_LEDGER_MAPPED,
                  run->ram_offset);
    return true;
}

bool pm_claim_adopt(PmIommuClaim *claim, const PmIommuRun *runs, size_t n_runs, GError **error)
{
    bool adopted = true;

    pm_iommu_lock(claim->iommu);
    for (size_t i = 0; i < n_runs && adopted; i++)
        adopted = adopt_run(claim, &runs[i], error);
    pm_iommu_unlock(claim->iommu);
    return adopted;
}

void pm_claim_forget_adopted(PmIommuClaim *claim)
{
    pm_iommu_lock(claim->iommu);
    pm_claim_note(claim, claim->iova, claim->size, PM_LEDGER_UNMAPPED, 0);
    pm_iommu_unlock(claim->iommu);
}
