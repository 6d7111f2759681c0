/* SPDX-License-Identifier: MIT */
/*
 * The budgets: mappings of an address space, and locked memory of the process over all address
 * spaces of one kernel. A claim commits what it uses or what it has reserved, whichever is more.
 * PmIommu's lock is held.
 */
#ifndef PLUGMAP_IOMMU_BUDGET_H
#define PLUGMAP_IOMMU_BUDGET_H

#include "iommu/claim.h"

/* A claim comes that has reserved room, or goes: with nothing mapped. */
void pm_budget_add_claim(PmIommuClaim *claim);
void pm_budget_remove_claim(PmIommuClaim *claim);

/* The claim will not map anything any more: what it has is all that it commits. */
void pm_budget_drop_reservation(PmIommuClaim *claim);

/* What the claim uses has changed from @n_before blocks. */
void pm_budget_update(PmIommuClaim *claim, uint64_t n_before);

/* Whether the mappings of @n_blocks more fit. Errors: PM_ERROR_LIMIT. */
bool pm_budget_check_mappings(const PmIommuClaim *claim, uint64_t n_blocks, GError **error);

/* The same for the locked memory; asks the kernel. Errors: PM_ERROR_LOCKED_MEMORY, PM_ERROR_KERNEL.
 */
bool pm_budget_check_locked(const PmIommuClaim *claim, uint64_t n_blocks, GError **error);

/* Whether @n_blocks more can be mapped now without taking what others have reserved. Errors: those
 * of both. */
bool pm_budget_check_map(const PmIommuClaim *claim, uint64_t n_blocks, GError **error);

/* An address space of @kernel is opened: if it is the first, notes what is locked so far. */
void pm_budget_open(PmIommu *iommu);
void pm_budget_close(PmIommu *iommu);

/* What all address spaces of the kernel with the same counter have mapped, and what was locked
 * before the first. */
void pm_budget_get_locked(PmIommu *iommu, uint64_t *n_mapped, uint64_t *n_before);

#endif
