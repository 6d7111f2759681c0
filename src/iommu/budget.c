/* SPDX-License-Identifier: MIT */
#include "iommu/budget.h"

#include <plugmap/size.h>

#include "base/error_text.h"
#include "iommu/iommu_error.h"

/* Of every kernel's sums: they are changed once a request, and for a few instructions. */
static pthread_mutex_t sums_lock = PTHREAD_MUTEX_INITIALIZER;

/* The kernel's sums that this address space counts towards. */
static PmKernelLocked *sums_of(const PmIommu *iommu)
{
    return &iommu->kernel->root->locked[iommu->ops->counts_pinned];
}

static uint64_t committed(const PmIommuClaim *claim, uint64_t n_blocks)
{
    return MAX(claim->n_reserved, n_blocks);
}

/* What a claim commits more than now if it has @n_blocks more. */
static uint64_t growth(const PmIommuClaim *claim, uint64_t n_blocks)
{
    uint64_t n_now = pm_ledger_n_blocks(claim->ledger);

    if (!claim->is_counted)
        return committed(claim, n_blocks);
    return committed(claim, n_now + n_blocks) - committed(claim, n_now);
}

/* Differences may be negative: unsigned arithmetic wraps both ways. */
static void add(PmIommuClaim *claim, uint64_t n_used, uint64_t n_committed)
{
    PmIommu *iommu = claim->iommu;
    PmKernelLocked *sums = sums_of(iommu);

    iommu->n_mappings += n_used;
    iommu->n_bytes += n_used * claim->block_size;
    iommu->n_committed += n_committed;
    if (pm_iommu_is_inherited(iommu))
        return;
    pthread_mutex_lock(&sums_lock);
    sums->mapped += n_used * claim->block_size;
    sums->committed += n_committed * claim->block_size;
    pthread_mutex_unlock(&sums_lock);
}

void pm_budget_add_claim(PmIommuClaim *claim)
{
    claim->is_counted = true;
    add(claim, 0, claim->n_reserved);
}

void pm_budget_remove_claim(PmIommuClaim *claim)
{
    claim->is_counted = false;
    add(claim, 0, -claim->n_reserved);
}

void pm_budget_drop_reservation(PmIommuClaim *claim)
{
    uint64_t n_now = pm_ledger_n_blocks(claim->ledger);

    add(claim, 0, n_now - committed(claim, n_now));
    claim->n_reserved = 0;
}

void pm_budget_update(PmIommuClaim *claim, uint64_t n_before)
{
    uint64_t n_now = pm_ledger_n_blocks(claim->ledger);

    if (n_now != n_before)
        add(claim, n_now - n_before, committed(claim, n_now) - committed(claim, n_before));
}

bool pm_budget_check_mappings(const PmIommuClaim *claim, uint64_t n_blocks, GError **error)
{
    const PmIommu *iommu = claim->iommu;
    uint64_t n_more = growth(claim, n_blocks);

    if (iommu->n_committed <= iommu->mapping_limit &&
        n_more <= iommu->mapping_limit - iommu->n_committed)
        return true;
    return pm_iommu_fail_limit(iommu, n_more, n_more * claim->block_size, claim->block_size, error);
}

static PmKernelLocked read_sums(const PmIommu *iommu)
{
    PmKernelLocked sums;

    pthread_mutex_lock(&sums_lock);
    sums = *sums_of(iommu);
    pthread_mutex_unlock(&sums_lock);
    return sums;
}

/* What is in use is asked for only where there is a limit: it takes longer than a MAP. What others
 * have locked, mlock() for example, is the rest of it. */
bool pm_budget_check_locked(const PmIommuClaim *claim, uint64_t n_blocks, GError **error)
{
    PmIommu *iommu = claim->iommu;
    uint64_t n_bytes = growth(claim, n_blocks) * claim->block_size;
    PmKernelLocked sums;
    PmLockedMemory locked;
    uint64_t others;
    int result = iommu->kernel->ops->lock_limit(iommu->kernel, &locked);

    if (result < 0)
        return pm_iommu_fail_locked_query(-result, error);
    if (locked.waived || locked.limit == UINT64_MAX)
        return true;
    if (!pm_iommu_query_locked_memory(iommu, &locked, error))
        return false;
    sums = read_sums(iommu);
    others = locked.used - MIN(locked.used, sums.mapped);
    if (others <= locked.limit && sums.committed <= locked.limit - others &&
        n_bytes <= locked.limit - others - sums.committed)
        return true;
    return pm_iommu_fail_locked(&locked, n_bytes, sums.committed - MIN(sums.mapped, sums.committed),
                                error);
}

/* The kernel knows nothing of reservations: where others have some left, what it would give has to
 * be enough for these, too. Else it decides itself, which takes no question. */
bool pm_budget_check_map(const PmIommuClaim *claim, uint64_t n_blocks, GError **error)
{
    uint64_t n_now = pm_ledger_n_blocks(claim->ledger);
    uint64_t own = (committed(claim, n_now) - n_now) * claim->block_size;
    PmKernelLocked sums;

    if (!pm_budget_check_mappings(claim, n_blocks, error))
        return false;
    if (growth(claim, n_blocks) == 0)
        return true;
    sums = read_sums(claim->iommu);
    return sums.committed - sums.mapped == own || pm_budget_check_locked(claim, n_blocks, error);
}

/* The kernel's numbers are nobody's yet; if they cannot be read, the audit will say so. */
void pm_budget_open(PmIommu *iommu)
{
    PmKernelLocked *sums = sums_of(iommu);
    PmLockedMemory locked = {0};
    bool known = pm_iommu_query_locked_memory(iommu, &locked, NULL);

    pthread_mutex_lock(&sums_lock);
    if (sums->n_iommus++ == 0)
        sums->before = known ? locked.used : 0;
    pthread_mutex_unlock(&sums_lock);
}

void pm_budget_close(PmIommu *iommu)
{
    if (pm_iommu_is_inherited(iommu))
        return;
    pthread_mutex_lock(&sums_lock);
    sums_of(iommu)->n_iommus--;
    pthread_mutex_unlock(&sums_lock);
}

void pm_budget_get_locked(PmIommu *iommu, uint64_t *n_mapped, uint64_t *n_before)
{
    PmKernelLocked sums = read_sums(iommu);

    *n_mapped = sums.mapped;
    *n_before = sums.before;
}
