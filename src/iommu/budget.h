/* SPDX-License-Identifier: MIT */
/*
 * The budgets: mappings of an address space, and locked memory of the process over all address
 * spaces of one kernel and one counter. A claim commits what it has mapped and is about to map, or
 * what it has reserved, whichever is more. What is committed is checked and added in one step, so
 * that no two claims are given the same room. PmIommu's lock is held.
 */
#ifndef PLUGMAP_SRC_IOMMU_BUDGET_H
#define PLUGMAP_SRC_IOMMU_BUDGET_H

#include "iommu/claim_state.h"

/* Whether the budgets have room for @n_blocks more of the claim; asks the kernel where locked
 * memory is limited. Errors: PM_ERROR_LIMIT, PM_ERROR_LOCKED_MEMORY, PM_ERROR_KERNEL. */
bool pm_budget_check(const PmIommuClaim *claim, uint64_t n_blocks, GError **error);

/* Commits what a new claim reserves; nothing on failure, which is as above. */
bool pm_budget_reserve(PmIommuClaim *claim, GError **error);

/* Commits @n_blocks that are about to be mapped; nothing on failure, which is as above. */
bool pm_budget_begin_map(PmIommuClaim *claim, uint64_t n_blocks, GError **error);

/* Before a call that unmaps: what the kernel counts is not what is accounted for, until
 * pm_budget_update(). */
void pm_budget_begin_unmap(PmIommuClaim *claim);

/* The call that began has ended, and the ledger says what the claim has now. */
void pm_budget_update(PmIommuClaim *claim);

/* The claim will not map anything any more: what it has is all that it commits. */
void pm_budget_drop_reservation(PmIommuClaim *claim);

/* An address space of @kernel is opened: if it is the first, notes what is locked so far. */
void pm_budget_open(PmIommu *iommu);
void pm_budget_close(PmIommu *iommu);

/* What all address spaces of the kernel with the same counter have mapped, and what was locked
 * before the first. */
void pm_budget_get_locked(PmIommu *iommu, uint64_t *n_mapped, uint64_t *n_before);

/* As pm_iommu_query_locked_memory(), with what the kernel remembers: quicker, and possibly out of
 * date. */
bool pm_budget_read_locked(PmIommu *iommu, PmLockedMemory *locked, GError **error);

#endif
