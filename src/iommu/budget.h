/* SPDX-License-Identifier: MIT */
/*
 * Budgets: mappings of an address space, and locked memory of the process, over all address spaces
 * of one kernel that share a counter. A claim commits what it has mapped and is about to map, or
 * what it has reserved, whichever is more. Check and commit are one step, so that no two claims get
 * the same room. The PmIommu's lock is held.
 */
#ifndef PLUGMAP_SRC_IOMMU_BUDGET_H
#define PLUGMAP_SRC_IOMMU_BUDGET_H

#include "iommu/claim_state.h"

/* Whether the budgets have room for @n_blocks more of the claim; queries the kernel where locked
 * memory is limited. Errors: PM_ERROR_LIMIT, PM_ERROR_LOCKED_MEMORY, PM_ERROR_KERNEL. */
bool pm_budget_check(const PmIommuClaim *claim, uint64_t n_blocks, GError **error);

/* Commits the reservation of a new claim. On failure commits nothing; errors as above. */
bool pm_budget_reserve(PmIommuClaim *claim, GError **error);

/* Commits @n_blocks that are about to be mapped. On failure commits nothing; errors as above. */
bool pm_budget_begin_map(PmIommuClaim *claim, uint64_t n_blocks, GError **error);

/* Begins an unmap: until pm_budget_update(), the kernel's count and the account may differ. */
void pm_budget_begin_unmap(PmIommuClaim *claim);

/* Ends the call: the ledger is up to date. */
void pm_budget_update(PmIommuClaim *claim);

/* The claim will map nothing more: it commits only what it has. */
void pm_budget_drop_reservation(PmIommuClaim *claim);

/* Called when an address space of @kernel is opened; for the first one, records how much is locked
 * already. */
void pm_budget_open(PmIommu *iommu);
void pm_budget_close(PmIommu *iommu);

/* Bytes mapped by all address spaces of the kernel with the same counter, and bytes locked before
 * the first. */
void pm_budget_get_locked(PmIommu *iommu, uint64_t *n_mapped, uint64_t *n_before);

/* As pm_iommu_query_locked_memory(), but from the kernel's cache: faster, and possibly out of date.
 */
bool pm_budget_read_locked(PmIommu *iommu, PmLockedMemory *locked, GError **error);

#endif
