/* SPDX-License-Identifier: MIT */
/* The limits of a plan: assumed, or a host's. */
#ifndef PLUGMAP_SRC_PLAN_LIMITS_H
#define PLUGMAP_SRC_PLAN_LIMITS_H

#include "plan/machine.h"

/* Bounds of --iova-bits, and its default: what most server IOMMUs translate. */
#define PM_PLAN_MIN_IOVA_BITS 32
#define PM_PLAN_MAX_IOVA_BITS 64
#define PM_PLAN_IOVA_BITS     48

/*
 * What the user gives, which precedes the host's; 0 or UINT64_MAX where noted: not given.
 * @entry_limit: UINT64_MAX. @locked: has_locked. @iova_bits: 0.
 */
typedef struct {
    uint64_t entry_limit;
    bool has_locked;
    uint64_t locked;
    unsigned iova_bits;
} PmPlanGiven;

/*
 * @limits: with @ranges as its ranges.
 * @notes: where each limit is from, a sentence each.
 * @locked_is_known: given or read; otherwise nothing limits it, which the plan says.
 */
typedef struct {
    PmPlanLimits limits;
    GArray *ranges;   /* of PmIovaRange */
    GPtrArray *notes; /* of char * */
    bool locked_is_known;
} PmPlanHost;

/* Without a device: the kernel's defaults, and the interrupt window of x86. */
PmPlanHost *pm_plan_assume(const PmPlanMachine *machine, const PmPlanGiven *given);

/*
 * Opens the devices, one address space after the other if the guest has an IOMMU, and asks for
 * their limits. Nothing is mapped, and all is closed again. @devices: PCI addresses; ends with
 * NULL. Errors: those of pm_iommu_type1_new(), pm_iommu_iommufd_new() and pm_iommu_attach().
 */
PmPlanHost *pm_plan_ask(PmKernel *kernel, const PmPlanMachine *machine, const PmPlanGiven *given,
                        const char *const *devices, GError **error);

void pm_plan_host_free(PmPlanHost *host);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmPlanHost, pm_plan_host_free)

#endif
