/* SPDX-License-Identifier: MIT */
/*
 * Handing an address space to another process, which has its files open, too. Each process has a
 * PmIommu for it; at most one of them is PM_IOMMU_OURS. All calls on an address space that is not
 * fail: with PM_ERROR_BUSY while it is between two processes, with PM_ERROR_PERMISSION once another
 * one owns it. src/migration/ is the protocol between the two.
 */
#ifndef PLUGMAP_SRC_IOMMU_HANDOVER_H
#define PLUGMAP_SRC_IOMMU_HANDOVER_H

#include "iommu/claim_state.h"

/* --- the old owner --- */

/* Whether everything can be handed over; changes nothing. @claims: a set of all PmIommuClaim that
 * are handed over, of this and of other address spaces. Errors: PM_ERROR_BUSY (other claims; dirty
 * tracking is on; others disable discards of the RAM; between two processes),
 * PM_ERROR_QUARANTINED (unknown blocks), PM_ERROR_UNSUPPORTED (RAM that another process cannot map;
 * the kernel lacks a request), PM_ERROR_PERMISSION (not ours), PM_ERROR_KERNEL. */
bool pm_iommu_handover_check(PmIommu *iommu, GHashTable *claims, GError **error);

/* What the new owner needs to open. */
void pm_iommu_handover_describe(PmIommu *iommu, PmIommuFiles *files);

/* What it needs of a claim: a new array, also on success without runs. Errors: PM_ERROR_MEMORY. */
bool pm_claim_copy_runs(PmIommuClaim *claim, PmIommuRun **runs, size_t *n_runs, GError **error);

/* As pm_iommu_handover_check(), and from now on nothing of @iommu changes until
 * pm_iommu_handover_cancel(), pm_iommu_handover_restore() or pm_iommu_handover_let_go(). */
bool pm_iommu_handover_begin(PmIommu *iommu, GHashTable *claims, GError **error);

/* Nobody has changed a host address: continues as before. */
void pm_iommu_handover_cancel(PmIommu *iommu);

/* Invalidates all host addresses, where the back end has them; on failure some. Errors:
 * PM_ERROR_UNSUPPORTED (EBUSY), PM_ERROR_KERNEL. */
bool pm_iommu_handover_invalidate(PmIommu *iommu, GError **error);

/* The other process did not take over: sets the host addresses, and continues as before. On failure
 * too: mappings then work, but for some the kernel knows no host address. Errors:
 * PM_ERROR_LOCKED_MEMORY, PM_ERROR_KERNEL. */
bool pm_iommu_handover_restore(PmIommu *iommu, GError **error);

/* The other process owns it: forgets all mappings. Also for a new owner that gives up. */
void pm_iommu_handover_let_go(PmIommu *iommu);

/* --- the new owner --- */

/* For back ends: what was just created is another process's so far. */
void pm_iommu_handover_await(PmIommu *iommu);

/* Whether the descriptors of groups and devices are such: who owns others could not close them.
 * Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_KERNEL. */
bool pm_iommu_check_files(PmKernel *kernel, const PmIommuFiles *files, GError **error);

/* Makes a PmIommu of another process's files, which were checked. On success it owns the
 * descriptors. Errors: PM_ERROR_BAD_INPUT and those of opening with descriptors. */
PmIommu *pm_type1_adopt(PmKernel *kernel, const PmIommuFiles *files, GError **error);
PmIommu *pm_iommufd_adopt(PmKernel *kernel, const PmIommuFiles *files, GError **error);

/* Records runs of blocks that the kernel has mapped for this claim. Errors: PM_ERROR_BAD_INPUT (not
 * blocks of the claim and its RAM, overlap, unknown), PM_ERROR_AUDIT (the kernel has no mapping
 * there), PM_ERROR_LIMIT, PM_ERROR_LOCKED_MEMORY, PM_ERROR_MEMORY. Some may be recorded then. */
bool pm_claim_adopt(PmIommuClaim *claim, const PmIommuRun *runs, size_t n_runs, GError **error);

/* Forgets what was adopted, so that the claim can end: it stays another process's. */
void pm_claim_forget_adopted(PmIommuClaim *claim);

/* Takes over all mappings: sets their host addresses, and this process is charged. On failure some
 * are taken over. Errors: PM_ERROR_LOCKED_MEMORY (ENOMEM), PM_ERROR_AUDIT (the kernel has other
 * mappings), PM_ERROR_KERNEL. */
bool pm_iommu_handover_take(PmIommu *iommu, GError **error);

/* It is ours. */
void pm_iommu_handover_own(PmIommu *iommu);

#endif
