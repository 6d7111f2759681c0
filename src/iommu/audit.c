/* SPDX-License-Identifier: MIT */
/* pm_iommu_audit(): the claims against each other, their sums, and the kernel's numbers. */
#include <inttypes.h>

#include "base/error_text.h"
#include "iommu/budget.h"
#include "iommu/claim.h"
#include "iommu/ownership.h"
#include "kernel/kernel_calls.h"

/* Totals of the claims, counted run by run. */
typedef struct {
    uint64_t n_mappings;
    uint64_t n_bytes;
} Sums;

static bool fail_border(const PmIommuClaim *claim, const PmIommuRun *run, GError **error)
{
    return pm_fail(error, PM_ERROR_AUDIT,
                   "%" PRIu64 " mappings of 0x%" PRIx64 " bytes at I/O address 0x%" PRIx64
                   " cross the border of the claim of %s, 0x%" PRIx64 "-0x%" PRIx64,
                   run->n_blocks, run->block_size, run->iova, claim->owner, claim->iova,
                   claim->last);
}

/* Runs that reach into @range. */
static bool audit_runs(PmIommuClaim *claim, const PmIovaRange *range, Sums *sums, GError **error)
{
    uint64_t at = range->start;
    PmIommuRun run;

    while (pm_ledger_next_run(claim->ledger, at, &run) && run.iova <= range->last) {
        uint64_t last = run.iova + (run.n_blocks * run.block_size - 1);

        if (run.iova < claim->iova || last > claim->last || run.block_size != claim->block_size ||
            (run.iova - claim->iova) % run.block_size != 0)
            return fail_border(claim, &run, error);
        if (run.unknown)
            return pm_claim_fail_unknown(claim, run.iova, error);
        sums->n_mappings += run.n_blocks;
        sums->n_bytes += run.n_blocks * claim->pinned_size;
        if (last >= range->last)
            break;
        at = last + 1;
    }
    return true;
}

/* For part of a claim, the ledger's own counters suffice. If any block is unknown, walk all runs to
 * report which. */
static bool audit_claim(PmIommuClaim *claim, const PmIovaRange *range, Sums *sums, GError **error)
{
    /* A run before the claim is as wrong as one past its end. */
    static const PmIovaRange everything = {0, UINT64_MAX};
    uint64_t n_blocks = pm_ledger_n_blocks(claim->ledger);
    Sums unused = {0};

    if (range == NULL || pm_ledger_n_unknown(claim->ledger) > 0)
        return audit_runs(claim, &everything, sums, error);
    sums->n_mappings += n_blocks;
    sums->n_bytes += n_blocks * claim->pinned_size;
    return audit_runs(claim, range, &unused, error);
}

static bool audit_claims(PmIommu *iommu, const PmIovaRange *range, Sums *sums, GError **error)
{
    const PmIommuClaim *before = NULL;
    PmIommuClaim *claim;

    for (claim = pm_claim_find(iommu, 0); claim != NULL; claim = pm_claim_next(claim)) {
        if (before != NULL && claim->iova <= before->last)
            return pm_fail(error, PM_ERROR_AUDIT,
                           "I/O address 0x%" PRIx64 " is claimed for both %s and %s", claim->iova,
                           before->owner, claim->owner);
        if (!audit_claim(claim, range, sums, error))
            return false;
        before = claim;
    }
    return true;
}

static bool audit_sums(const PmIommu *iommu, const Sums *sums, GError **error)
{
    if (sums->n_mappings == iommu->n_mappings && sums->n_bytes == iommu->n_bytes)
        return true;
    return pm_fail(error, PM_ERROR_AUDIT,
                   "the claims have %" PRIu64 " mappings of 0x%" PRIx64
                   " bytes in total, but the address space counts %" PRIu64 " of 0x%" PRIx64
                   " bytes",
                   sums->n_mappings, sums->n_bytes, iommu->n_mappings, iommu->n_bytes);
}

static bool audit_available(PmIommu *iommu, GError **error)
{
    uint64_t n_available;
    g_autofree char *room = NULL;
    g_autofree char *limit = NULL;
    g_autofree char *known = NULL;

    /* Mappings of others are not accounted here. */
    if (iommu->mapping_limit == UINT64_MAX || iommu->is_shared)
        return true;
    if (!iommu->ops->query_available(iommu, &n_available, error))
        return false;
    if (n_available == iommu->mapping_limit - iommu->n_mappings)
        return true;
    room = pm_counted(n_available, "more mapping");
    limit = pm_count_text(iommu->mapping_limit);
    known = pm_counted(iommu->n_mappings, "mapping");
    return pm_fail(error, PM_ERROR_AUDIT,
                   "the kernel has room for %s (limit %s), but claims have %s: look for an earlier "
                   "error, or find who else has the container's descriptor",
                   room, limit, known);
}

static bool audit_locked(PmIommu *iommu, GError **error)
{
    PmLockedMemory locked = {.struct_size = sizeof(locked)};
    uint64_t n_mapped;
    uint64_t n_before;

    if (!pm_budget_read_locked(iommu, &locked, error))
        return false;
    pm_budget_get_locked(iommu, &n_mapped, &n_before);
    if (locked.used == n_before + n_mapped)
        return true;
    return pm_fail(error, PM_ERROR_AUDIT,
                   "the kernel has locked 0x%" PRIx64 " bytes, 0x%" PRIx64
                   " of them before the first mapping, but claims have 0x%" PRIx64 " bytes mapped",
                   locked.used, n_before, n_mapped);
}

bool pm_iommu_audit(PmIommu *iommu, const PmIovaRange *range, unsigned flags, GError **error)
{
    Sums sums = {0};
    bool right;

    if ((flags & ~(unsigned)PM_IOMMU_AUDIT_SOLE_LOCKER) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "invalid audit flags 0x%x", flags);
    if (pm_iommu_is_inherited(iommu))
        return pm_fail(error, PM_ERROR_PERMISSION,
                       "cannot audit the address space: " PM_KERNEL_CAUSE_INHERITED);
    pm_iommu_lock(iommu);
    right = pm_iommu_check_ours(iommu, false, error) && audit_claims(iommu, range, &sums, error) &&
            audit_sums(iommu, &sums, error) && audit_available(iommu, error) &&
            ((flags & PM_IOMMU_AUDIT_SOLE_LOCKER) == 0 || audit_locked(iommu, error));
    pm_iommu_unlock(iommu);
    return right;
}
