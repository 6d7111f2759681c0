/* SPDX-License-Identifier: MIT */
#include "fake/machine/fault_plan.h"

typedef struct {
    PmFakeCall call;
    uint64_t at; /* number of the call, from 1 */
    int error_number;
} PmFault;

void pm_fault_plan_init(PmFaultPlan *plan)
{
    *plan = (PmFaultPlan){.faults = g_array_new(FALSE, FALSE, sizeof(PmFault))};
}

void pm_fault_plan_clear(PmFaultPlan *plan)
{
    g_array_unref(plan->faults);
}

void pm_fault_plan_add(PmFaultPlan *plan, PmFakeCall call, uint64_t nth, int error_number)
{
    PmFault fault = {call, plan->n_calls[call] + nth, error_number};

    g_array_append_val(plan->faults, fault);
}

void pm_fault_plan_drop_all(PmFaultPlan *plan)
{
    g_array_set_size(plan->faults, 0);
}

static bool is_kind(PmFakeCall call, PmFakeCall kind)
{
    bool is_ioctl = call == PM_FAKE_CALL_MAP || call == PM_FAKE_CALL_UNMAP;

    return kind == PM_FAKE_CALL_ANY || kind == call || (kind == PM_FAKE_CALL_IOCTL && is_ioctl);
}

/* Consumes every fault due at this call; the first one decides. */
static int take_faults(PmFaultPlan *plan, PmFakeCall call)
{
    int result = 0;
    guint i = 0;

    while (i < plan->faults->len) {
        PmFault fault = g_array_index(plan->faults, PmFault, i);

        if (!is_kind(call, fault.call) || fault.at != plan->n_calls[fault.call]) {
            i++;
            continue;
        }
        g_array_remove_index(plan->faults, i);
        if (!fault.error_number) {
            plan->shorten = true;
        } else if (!result) {
            result = -fault.error_number;
        }
    }
    return result;
}

int pm_fault_plan_enter(PmFaultPlan *plan, PmFakeCall call)
{
    plan->n_calls[PM_FAKE_CALL_ANY]++;
    plan->n_calls[call]++;
    if (call == PM_FAKE_CALL_MAP || call == PM_FAKE_CALL_UNMAP) {
        plan->n_calls[PM_FAKE_CALL_IOCTL]++;
    }
    plan->shorten = false;
    return plan->faults->len ? take_faults(plan, call) : 0;
}
