/* SPDX-License-Identifier: MIT */
/* What of an address space prevents a handover, and what of its claims the next owner needs. */
#include "iommu/handover.h"

#include <inttypes.h>

#include <plugmap/discard_policy.h>

#include "base/error_text.h"
#include "iommu/claim.h"
#include "iommu/ownership.h"
#include "memory/ram_file.h"

/* Everything that is mapped must get an owner at the other side. */
static bool check_owner(const PmIommuClaim *claim, GHashTable *claims, GError **error)
{
    return g_hash_table_contains(claims, claim) ||
           pm_fail(
               error, PM_ERROR_BUSY,
               "cannot hand over the address space: %s has I/O addresses 0x%" PRIx64 "-0x%" PRIx64
               ", and is no region of a mapper that is handed over: hand over its mapper, too, or "
               "release that claim first",
               claim->owner, claim->iova, claim->last);
}

static bool check_blocks(const PmIommuClaim *claim, GError **error)
{
    PmIommuRun run;
    uint64_t at = claim->iova;

    while (pm_ledger_n_unknown(claim->ledger) > 0 && pm_ledger_next_run(claim->ledger, at, &run)) {
        if (run.unknown)
            return pm_claim_fail_unknown(claim, run.iova, error);
        at = run.iova + (run.n_blocks * run.block_size - 1) + 1;
    }
    return true;
}

/* Constant as long as the claim has an owner, so that claims of other address spaces need no lock.
 */
static bool is_of(GHashTable *claims, uint64_t discard_claim)
{
    GHashTableIter iterator;
    void *claim;

    g_hash_table_iter_init(&iterator, claims);
    while (g_hash_table_iter_next(&iterator, &claim, NULL))
        if (((const PmIommuClaim *)claim)->discard_claim == discard_claim)
            return true;
    return false;
}

/* The new owner discards the RAM, and knows nothing of what others here have pinned. */
static bool check_discards(const PmRam *ram, GHashTable *claims, GError **error)
{
    PmDiscardClaim held = {.struct_size = sizeof(held)};
    g_autofree char *owner = NULL;

    while (pm_ram_next_discard_claim(ram, held.id, &held, &owner)) {
        if ((held.kind == PM_DISCARD_DISABLE || held.kind == PM_DISCARD_DISABLE_UNCOORDINATED) &&
            !is_of(claims, held.id))
            return pm_fail(error, PM_ERROR_BUSY,
                           "cannot hand over the RAM at host address %p: %s relies on 0x%" PRIx64
                           " bytes at offset 0x%" PRIx64
                           ", and is not handed over with it: end that first",
                           pm_ram_get_host(ram), owner, held.size, held.offset);
        g_clear_pointer(&owner, g_free);
    }
    return true;
}

static bool check_claim(PmIommuClaim *claim, GHashTable *claims, GError **error)
{
    return check_blocks(claim, error) && pm_ram_check_file(claim->ram, claim->owner, error) &&
           check_discards(claim->ram, claims, error);
}

/* The lock is held. */
static bool check_all(PmIommu *iommu, GHashTable *claims, GError **error)
{
    if (!pm_iommu_check_ours(iommu, false, error))
        return false;
    if (iommu->tracks_dirty)
        return pm_fail(error, PM_ERROR_BUSY,
                       "cannot hand over the address space while dirty tracking is on: stop it "
                       "first (pm_dirty_log_free(), or pm_iommu_set_dirty_tracking() without a "
                       "log)");
    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); claim != NULL; claim = pm_claim_next(claim))
        if (!check_owner(claim, claims, error))
            return false;
    for (PmIommuClaim *claim = pm_claim_find(iommu, 0); claim != NULL; claim = pm_claim_next(claim))
        if (!check_claim(claim, claims, error))
            return false;
    return iommu->own_ops->check_handover(iommu, error);
}

static bool check_process(const PmIommu *iommu, GError **error)
{
    return !pm_iommu_is_inherited(iommu) ||
           pm_fail(error, PM_ERROR_PERMISSION,
                   "cannot hand over the address space: " PM_KERNEL_CAUSE_INHERITED);
}

bool pm_iommu_handover_check(PmIommu *iommu, GHashTable *claims, GError **error)
{
    bool right;

    if (!check_process(iommu, error))
        return false;
    pm_iommu_lock_all(iommu);
    right = check_all(iommu, claims, error);
    pm_iommu_unlock_all(iommu);
    return right;
}

bool pm_iommu_handover_begin(PmIommu *iommu, GHashTable *claims, GError **error)
{
    bool begun;

    if (!check_process(iommu, error))
        return false;
    pm_iommu_lock_all(iommu);
    begun = check_all(iommu, claims, error);
    if (begun)
        pm_iommu_close_to_callers(iommu, PM_IOMMU_BETWEEN);
    pm_iommu_unlock_all(iommu);
    return begun;
}

/* --- the runs of a claim --- */

static bool next_run(PmIommuClaim *claim, uint64_t *at, PmIommuRun *run)
{
    if (!pm_iommu_claim_next_run(claim, *at, run))
        return false;
    *at = run->iova - claim->iova + run->n_blocks * run->block_size;
    return true;
}

static size_t count_runs(PmIommuClaim *claim)
{
    size_t n_runs = 0;
    uint64_t at = 0;
    PmIommuRun run;

    while (next_run(claim, &at, &run))
        n_runs++;
    return n_runs;
}

bool pm_claim_copy_runs(PmIommuClaim *claim, PmIommuRun **runs, size_t *n_runs, GError **error)
{
    size_t room = count_runs(claim);
    uint64_t at = 0;

    *n_runs = 0;
    *runs = g_try_new(PmIommuRun, MAX(room, 1));
    if (*runs == NULL)
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for %zu runs of mappings", room);
    while (*n_runs < room && next_run(claim, &at, &(*runs)[*n_runs]))
        ++*n_runs;
    return true;
}
