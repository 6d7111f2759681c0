/* SPDX-License-Identifier: MIT */
/* Counts system calls, and makes chosen ones fail. */
#ifndef PLUGMAP_SRC_FAKE_MACHINE_FAULT_PLAN_H
#define PLUGMAP_SRC_FAKE_MACHINE_FAULT_PLAN_H

#include <plugmap/fake.h>

typedef struct {
    uint64_t n_calls[PM_FAKE_N_CALLS];
    GArray *faults;
    bool shorten; /* this UNMAP is to remove only half */
} PmFaultPlan;

void pm_fault_plan_init(PmFaultPlan *plan);
void pm_fault_plan_clear(PmFaultPlan *plan);

/* The @nth call of a kind from now on fails; @error_number 0: it is shortened. */
void pm_fault_plan_add(PmFaultPlan *plan, PmFakeCall call, uint64_t nth, int error_number);
void pm_fault_plan_drop_all(PmFaultPlan *plan);

/* A call begins. Returns 0 if it is to be done, else its -errno. Sets @plan->shorten. */
int pm_fault_plan_enter(PmFaultPlan *plan, PmFakeCall call);

#endif
