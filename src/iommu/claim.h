/* SPDX-License-Identifier: MIT */
/* PmIommuClaim internals. The lock of the PmIommu protects everything. */
#ifndef PLUGMAP_SRC_IOMMU_CLAIM_H
#define PLUGMAP_SRC_IOMMU_CLAIM_H

#include "iommu/claim_state.h"

/* The first claim that ends at or after @iova, or NULL. */
PmIommuClaim *pm_claim_find(PmIommu *iommu, uint64_t iova);

/* The addresses of the first claim, also an abandoned one, that ends at or after @iova; false if
 * there is none. Takes the lock. */
bool pm_iommu_find_claim(PmIommu *iommu, uint64_t iova, PmIovaRange *range);

/* As pm_iommu_next_run(). */
bool pm_claims_find_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run);

/* The next claim, or NULL. */
PmIommuClaim *pm_claim_next(PmIommuClaim *claim);

/* Records the state of blocks in the ledger and the budgets. Memory must have been reserved. */
void pm_claim_note(PmIommuClaim *claim, uint64_t iova, uint64_t size, PmLedgerState state,
                   uint64_t ram_offset);

/* Marks the mapped blocks in the range unknown. */
void pm_claim_forget(PmIommuClaim *claim, uint64_t iova, uint64_t size);

/* As pm_iommu_claim_purge(), for a claim with an owner. */
bool pm_claim_purge(PmIommuClaim *claim, GError **error);

/* Marks the mapped blocks in the range unknown: their owner could not unmap them. Takes the lock.
 */
void pm_iommu_claim_forget(PmIommuClaim *claim, uint64_t offset, uint64_t size, const char *reason);

/* As pm_iommu_claim_purge(), but leaves blocks alone that are known to be mapped. What was purged
 * before a failure stays unmapped. */
bool pm_iommu_claim_purge_unknown(PmIommuClaim *claim, GError **error);

/* PM_ERROR_QUARANTINED, for the block at @iova. */
bool pm_claim_fail_unknown(const PmIommuClaim *claim, uint64_t iova, GError **error);

/* Notifies the watches (watch.h) that blocks may lose dirty bits. By their place in the RAM, or
 * those that the ledger has in a range of I/O addresses. */
void pm_watch_notify(const PmIommuClaim *claim, uint64_t ram_offset, uint64_t size);
void pm_watch_notify_blocks(const PmIommuClaim *claim, uint64_t iova, uint64_t last);

/* Turns dirty tracking on, and reports everything that is mapped to the watches there are: until
 * now they counted it as dirty, and the start clears its dirty bits. The lock is held. Errors:
 * those of pm_iommu_set_dirty_tracking(). */
bool pm_watch_start_tracking(PmIommu *iommu, GError **error);

/* Notifies them that the address space closes, and removes them. */
void pm_watch_close(PmIommu *iommu);

/* As pm_iommu_settle(). */
bool pm_claims_settle(PmIommu *iommu, GError **error);

/* Called when the PmIommu is closed; @gone: the kernel confirmed that nothing is mapped any more.
 */
void pm_claims_close(PmIommu *iommu, bool gone);

/* A claim outside the valid ranges, or NULL. */
const PmIommuClaim *pm_claim_find_outside(PmIommu *iommu);

#endif
