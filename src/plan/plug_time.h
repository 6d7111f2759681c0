/* SPDX-License-Identifier: MIT */
/* How long plugging takes on this host, extrapolated from a small amount of memory. */
#ifndef PLUGMAP_SRC_PLAN_PLUG_TIME_H
#define PLUGMAP_SRC_PLAN_PLUG_TIME_H

#include "plan/machine.h"

#define PM_PLAN_MEASURED (UINT64_C(64) << 20)

/* @measured: bytes that were faulted in; 0: nothing was measured. @ns: for all of the region. */
typedef struct {
    uint64_t measured;
    uint64_t ns;
} PmPlanTime;

/* Faults in PM_PLAN_MEASURED bytes of the machine's kind of memory with one thread, as a PLUG does
 * for whom nothing is resident. @time: nothing measured if that fails (no huge pages). */
void pm_plan_measure(const PmPlanMachine *machine, PmPlanTime *time);

#endif
