/* SPDX-License-Identifier: MIT */
/* Counts system calls and fails those that the test has chosen. */
#ifndef PLUGMAP_SRC_FAKE_MACHINE_FAULT_PLAN_H
#define PLUGMAP_SRC_FAKE_MACHINE_FAULT_PLAN_H

#include <plugmap/fake.h>

#define PM_FAKE_N_CALLS (PM_FAKE_CALL_PWRITE + 1)

typedef struct {
    uint64_t n_calls[PM_FAKE_N_CALLS];
    GArray *faults;
    bool shorten; /* this UNMAP removes only half */
} PmFaultPlan;

void pm_fault_plan_init(PmFaultPlan *plan);
void pm_fault_plan_clear(PmFaultPlan *plan);

/* The @nth call of a kind from now on fails with @error_number; 0 shortens it instead. */
void pm_fault_plan_add(PmFaultPlan *plan, PmFakeCall call, uint64_t nth, int error_number);
void pm_fault_plan_drop_all(PmFaultPlan *plan);

/* Called first by every system call. Returns 0 or the planned -errno. Sets @plan->shorten. */
int pm_fault_plan_enter(PmFaultPlan *plan, PmFakeCall call);

#endif
