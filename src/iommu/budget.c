/* SPDX-License-Identifier: MIT */
#include "iommu/budget.h"

#include <plugmap/size.h>

#include "base/error_text.h"
#include "iommu/iommu_error.h"
#include "kernel/kernel_calls.h"
#include "kernel/kernel_private.h"

/* The kernel that keeps the totals, and the totals that this address space counts towards. */
static PmKernelPrivate *root_of(const PmIommu *iommu)
{
    return iommu->kernel->data->root;
}

static PmKernelLocked *sums_of(const PmIommu *iommu)
{
    return &root_of(iommu)->locked[iommu->ops->counts_pinned];
}

/* A child made by fork() contributes nothing to its parent's totals. */
static bool lock_sums(const PmIommu *iommu)
{
    if (pm_iommu_is_inherited(iommu))
        return false;
    pthread_mutex_lock(&root_of(iommu)->lock);
    return true;
}

static void unlock_sums(const PmIommu *iommu)
{
    pthread_mutex_unlock(&root_of(iommu)->lock);
}

static uint64_t committed_with(const PmIommuClaim *claim, uint64_t n_in_flight)
{
    return MAX(claim->n_reserved, pm_ledger_n_blocks(claim->ledger) + n_in_flight);
}

/* Updates the totals from the claim. The totals are locked, unless they belong to another process.
 * Differences may be negative: unsigned arithmetic wraps both ways. */
static void settle(PmIommuClaim *claim, bool sums_locked)
{
    PmIommu *iommu = claim->iommu;
    uint64_t n_used = pm_ledger_n_blocks(claim->ledger) - claim->n_used;
    uint64_t n_committed = committed_with(claim, claim->n_in_flight) - claim->n_committed;
    uint64_t n_promised = claim->n_reserved - claim->n_promised;

    claim->n_used += n_used;
    claim->n_committed += n_committed;
    claim->n_promised += n_promised;
    /* Getters take no lock. */
    (void)__atomic_fetch_add(&iommu->n_mappings, n_used, __ATOMIC_RELAXED);
    (void)__atomic_fetch_add(&iommu->n_bytes, n_used * claim->pinned_size, __ATOMIC_RELAXED);
    iommu->n_committed += n_committed;
    if (!sums_locked)
        return;
    sums_of(iommu)->mapped += n_used * claim->pinned_size;
    sums_of(iommu)->committed += n_committed * claim->pinned_size;
    sums_of(iommu)->reserved += n_promised * claim->pinned_size;
}

static bool check_mappings(const PmIommuClaim *claim, uint64_t n_more, GError **error)
{
    const PmIommu *iommu = claim->iommu;

    if (iommu->n_committed <= iommu->mapping_limit &&
        n_more <= iommu->mapping_limit - iommu->n_committed)
        return true;
    return pm_iommu_fail_limit(claim, n_more, error);
}

/* Memory that others have locked, by mlock() for example, is the kernel's count minus what is
 * mapped. During a call the two are out of step: keep the previous value. */
static uint64_t locked_by_others(PmKernelLocked *sums, uint64_t used)
{
    if (sums->n_calls == 0)
        sums->others = used - MIN(used, sums->mapped);
    return sums->others;
}

/* The totals are locked. */
static bool fits(PmKernelLocked *sums, const PmLockedMemory *locked, uint64_t n_bytes)
{
    uint64_t others = locked_by_others(sums, locked->used);

    if (n_bytes == 0)
        return true;
    return others <= locked->limit && sums->committed <= locked->limit - others &&
           n_bytes <= locked->limit - others - sums->committed;
}

/* The kernel enforces no limit on this process. */
static const PmLockedMemory unlimited = {
    .struct_size = sizeof(unlimited), .limit = UINT64_MAX, .waived = true};

bool pm_budget_read_locked(PmIommu *iommu, PmLockedMemory *locked, GError **error)
{
    int result = pm_kernel_locked_memory(iommu->kernel, locked);

    if (result == 0 && iommu->ops->counts_pinned)
        locked->used = locked->pinned;
    return result == 0 || pm_iommu_fail_locked_query(-result, error);
}

/* Query the usage only where there is a limit: that takes longer than a MAP. */
static bool ask_limit(PmIommu *iommu, PmLockedMemory *locked, GError **error)
{
    int result = pm_kernel_lock_limit(iommu->kernel, locked);

    if (result < 0)
        return pm_iommu_fail_locked_query(-result, error);
    return locked->waived || locked->limit == UINT64_MAX ||
           pm_budget_read_locked(iommu, locked, error);
}

/* Checks for room for @n_more blocks, and commits @n_in_flight blocks of the claim if there is. */
static bool try_locked(PmIommuClaim *claim, const PmLockedMemory *locked, uint64_t n_more,
                       bool commit, uint64_t *n_reserved)
{
    PmIommu *iommu = claim->iommu;
    uint64_t n_bytes = n_more * claim->pinned_size;
    bool sums_locked = lock_sums(iommu);
    bool room = !sums_locked || locked->waived || locked->limit == UINT64_MAX ||
                fits(sums_of(iommu), locked, n_bytes);

    if (room && commit)
        settle(claim, sums_locked);
    if (!room)
        *n_reserved = sums_of(iommu)->committed - sums_of(iommu)->mapped;
    if (sums_locked)
        unlock_sums(iommu);
    return room;
}

/* The same, but refreshes the kernel's cached limit before failing; @locked gets the refreshed
 * values. */
static bool check_locked(PmIommuClaim *claim, PmLockedMemory *locked, uint64_t n_more, bool commit,
                         GError **error)
{
    uint64_t n_reserved = 0;

    if (try_locked(claim, locked, n_more, commit, &n_reserved))
        return true;
    if (!pm_iommu_query_locked_memory(claim->iommu, locked, error))
        return false;
    return try_locked(claim, locked, n_more, commit, &n_reserved) ||
           pm_iommu_fail_locked(locked, n_more * claim->pinned_size, n_reserved, error);
}

/* The kernel does not know about reservations. Where others hold any, what remains must cover them,
 * used or not: unknown blocks may have been unmapped already. Without reservations the kernel
 * decides, and no query is needed. */
static bool others_have_reserved(const PmIommuClaim *claim)
{
    PmIommu *iommu = claim->iommu;
    uint64_t own = claim->n_promised * claim->pinned_size;
    bool reserved;

    if (!lock_sums(iommu))
        return false;
    reserved = sums_of(iommu)->reserved != own;
    unlock_sums(iommu);
    return reserved;
}

static uint64_t growth(const PmIommuClaim *claim, uint64_t n_in_flight)
{
    return committed_with(claim, n_in_flight) - claim->n_committed;
}

bool pm_budget_check(const PmIommuClaim *claim, uint64_t n_blocks, GError **error)
{
    uint64_t n_more = growth(claim, n_blocks);
    PmLockedMemory locked = {.struct_size = sizeof(locked)};

    return n_more == 0 ||
           (check_mappings(claim, n_more, error) && ask_limit(claim->iommu, &locked, error) &&
            check_locked((PmIommuClaim *)claim, &locked, n_more, false, error));
}

bool pm_budget_reserve(PmIommuClaim *claim, GError **error)
{
    uint64_t n_more = growth(claim, 0);
    PmLockedMemory locked = unlimited;

    return n_more == 0 ||
           (check_mappings(claim, n_more, error) && ask_limit(claim->iommu, &locked, error) &&
            check_locked(claim, &locked, n_more, true, error));
}

static void begin_call(PmIommuClaim *claim)
{
    claim->is_in_call = true;
    if (!lock_sums(claim->iommu))
        return;
    sums_of(claim->iommu)->n_calls++;
    unlock_sums(claim->iommu);
}

bool pm_budget_begin_map(PmIommuClaim *claim, uint64_t n_blocks, GError **error)
{
    uint64_t n_more = growth(claim, n_blocks);
    PmLockedMemory locked = unlimited;

    if (n_more > 0 && (!check_mappings(claim, n_more, error) ||
                       (others_have_reserved(claim) && !ask_limit(claim->iommu, &locked, error))))
        return false;
    claim->n_in_flight = n_blocks;
    if (n_more > 0 && !check_locked(claim, &locked, n_more, true, error)) {
        claim->n_in_flight = 0;
        return false;
    }
    begin_call(claim);
    return true;
}

void pm_budget_begin_unmap(PmIommuClaim *claim)
{
    begin_call(claim);
}

void pm_budget_update(PmIommuClaim *claim)
{
    PmIommu *iommu = claim->iommu;
    bool sums_locked = lock_sums(iommu);

    claim->n_in_flight = 0;
    settle(claim, sums_locked);
    if (sums_locked) {
        sums_of(iommu)->n_calls -= claim->is_in_call;
        unlock_sums(iommu);
    }
    claim->is_in_call = false;
}

void pm_budget_drop_reservation(PmIommuClaim *claim)
{
    claim->n_reserved = 0;
    pm_budget_update(claim);
}

/* No mappings yet, so all that is locked is someone else's. If reading fails, the audit reports it.
 */
void pm_budget_open(PmIommu *iommu)
{
    PmLockedMemory locked = {.struct_size = sizeof(locked)};
    bool known = pm_budget_read_locked(iommu, &locked, NULL);

    if (!lock_sums(iommu))
        return;
    if (sums_of(iommu)->n_iommus++ == 0)
        sums_of(iommu)->before = known ? locked.used : 0;
    unlock_sums(iommu);
}

void pm_budget_close(PmIommu *iommu)
{
    if (!lock_sums(iommu))
        return;
    sums_of(iommu)->n_iommus--;
    unlock_sums(iommu);
}

void pm_budget_get_locked(PmIommu *iommu, uint64_t *n_mapped, uint64_t *n_before)
{
    if (!lock_sums(iommu))
        return;
    *n_mapped = sums_of(iommu)->mapped;
    *n_before = sums_of(iommu)->before;
    unlock_sums(iommu);
}
