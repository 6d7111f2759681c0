/* SPDX-License-Identifier: MIT */
/* PmIommuClaim from inside. Everything is under the lock of its PmIommu. */
#ifndef PLUGMAP_SRC_IOMMU_CLAIM_H
#define PLUGMAP_SRC_IOMMU_CLAIM_H

#include "iommu/claim_state.h"

/* The first claim that ends at or behind @iova; NULL if there is none. */
PmIommuClaim *pm_claim_find(PmIommu *iommu, uint64_t iova);

/* As pm_iommu_next_run(). */
bool pm_claims_find_run(PmIommu *iommu, uint64_t iova, PmIommuRun *run);

/* The claim after this one; NULL if there is none. */
PmIommuClaim *pm_claim_next(PmIommuClaim *claim);

/* Notes what blocks are, in the ledger and in the budgets. Memory has been set aside. */
void pm_claim_note(PmIommuClaim *claim, uint64_t iova, uint64_t size, PmLedgerState state,
                   uint64_t ram_offset);

/* Makes what is mapped in the range unknown. */
void pm_claim_forget(PmIommuClaim *claim, uint64_t iova, uint64_t size);

/* As pm_iommu_claim_purge(), for a claim that has an owner. */
bool pm_claim_purge(PmIommuClaim *claim, GError **error);

/* PM_ERROR_QUARANTINED, for the block at @iova. */
bool pm_claim_fail_unknown(const PmIommuClaim *claim, uint64_t iova, GError **error);

/* As pm_iommu_settle(). */
bool pm_claims_settle(PmIommu *iommu, GError **error);

/* The PmIommu is being closed; @gone: the kernel has shown that nothing is mapped any more. */
void pm_claims_close(PmIommu *iommu, bool gone);

/* A claim that is not inside one of the valid ranges; NULL if there is none. */
const PmIommuClaim *pm_claim_find_outside(PmIommu *iommu);

/* Tells the kernel what is claimed. Returns 0 or -errno. */
int pm_claims_keep(PmIommu *iommu);

#endif
