/* SPDX-License-Identifier: MIT */
/* Which request of a recorded trace would be the first to fail, with its block size and larger
 * ones. */
#ifndef PLUGMAP_SRC_PLAN_TRACE_PLAN_H
#define PLUGMAP_SRC_PLAN_TRACE_PLAN_H

#include "plan/limits.h"
#include "trace/trace.h"

/* No event exceeds the limit; the boot memory alone does. */
#define PM_TRACE_PLAN_NEVER    (-1)
#define PM_TRACE_PLAN_AT_START (-2)

/*
 * With blocks that are @factor times the recorded ones. A guest plugs a larger block as soon as it
 * plugs any recorded block of it, and unplugs it when all of them are unplugged.
 * @peak_mappings: of an address space; @peak_locked: bytes of the VMM; both with the boot memory,
 * and as if nothing were limited.
 * @mappings_event, @locked_event: index of the first event that exceeds the limit, or one of
 * PM_TRACE_PLAN_.
 */
typedef struct {
    uint64_t factor;
    uint64_t peak_mappings;
    uint64_t peak_locked;
    gint64 mappings_event;
    gint64 locked_event;
} PmTracePlanRow;

/*
 * @trace, @host, @machine: not owned; of the machine the boot memory, the devices and the memory
 * count. @rows: of PmTracePlanRow: factors are powers of two, from 1 on, as long as the blocks
 * divide all regions and their addresses.
 * @lacks_addresses: a region is not inside one valid range, so that no request succeeds.
 */
typedef struct {
    const PmTrace *trace;
    const PmPlanMachine *machine;
    const PmPlanHost *host;
    GArray *rows;
    bool lacks_addresses;
} PmTracePlan;

/* Errors: PM_ERROR_INVALID_ARGUMENT (the trace has a guest IOMMU; blocks smaller than a page),
 * PM_ERROR_MEMORY. */
PmTracePlan *pm_trace_plan_new(const PmTrace *trace, const PmPlanMachine *machine,
                               const PmPlanHost *host, GError **error);
void pm_trace_plan_free(PmTracePlan *plan);

bool pm_trace_plan_row_fits(const PmTracePlanRow *row);

/* Whether no request fails with the recorded block size. */
bool pm_trace_plan_fits(const PmTracePlan *plan);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmTracePlan, pm_trace_plan_free)

#endif
