/* SPDX-License-Identifier: MIT */
#include "plan/trace_plan.h"

#include "base/error_text.h"
#include "kernel-uapi/virtio_mem.h"
#include "plan/layout.h"
#include "plan/trace_region_state.h"

void pm_trace_plan_free(PmTracePlan *plan)
{
    g_array_unref(plan->rows);
    g_free(plan);
}

static const PmTraceEvent *event_at(const PmTrace *trace, guint index)
{
    return &g_array_index(trace->events, PmTraceEvent, index);
}

static bool check_trace(const PmTrace *trace, const PmPlanMachine *machine, const PmPlanHost *host,
                        GError **error)
{
    uint64_t page = MAX(pm_plan_memory_page(machine), host->limits.page_size);

    for (guint i = 0; i < trace->events->len; i++)
        if (pm_event_type_is_iommu(event_at(trace, i)->type))
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "%s:%u: plan does not support a guest IOMMU's mappings in a trace",
                           trace->file, event_at(trace, i)->line);
    for (guint i = 0; i < trace->regions->len; i++)
        if (pm_trace_region(trace, i)->block_size < page)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "%s: the block size is smaller than a page of the memory or the IOMMU",
                           trace->file);
    return true;
}

static bool lacks_addresses(const PmTrace *trace, const PmPlanLimits *limits)
{
    for (guint i = 0; i < trace->regions->len; i++) {
        const PmTraceRegion *region = pm_trace_region(trace, i);

        if (!pm_plan_is_valid(limits, region->address, region->size))
            return true;
    }
    return false;
}

/* --- one factor --- */

typedef struct {
    const PmTracePlan *plan;
    GPtrArray *states; /* of PmTraceRegionState, one per region */
    PmTracePlanRow row;
} Pass;

static void play(const Pass *pass, const PmTraceEvent *event)
{
    if (event->response != VIRTIO_MEM_RESP_ACK && event->response >= 0)
        return;
    for (guint i = 0; i < pass->states->len; i++)
        if (event->type == PM_EVENT_RESET || event->region == i)
            pm_trace_region_state_play(g_ptr_array_index(pass->states, i), event);
}

static void measure(Pass *pass, gint64 event)
{
    const PmPlanMachine *machine = pass->plan->machine;
    const PmPlanLimits *limits = &pass->plan->host->limits;
    PmPlanPiece pieces[PM_PLAN_MAX_BOOT_PIECES];
    uint64_t n_mappings = pm_plan_boot_pieces(machine, pieces);
    uint64_t n_bytes = machine->boot_memory;
    PmTracePlanRow *row = &pass->row;

    for (guint i = 0; i < pass->states->len; i++) {
        n_mappings += pm_trace_region_state_n_mapped(g_ptr_array_index(pass->states, i));
        n_bytes += pm_trace_region_state_n_bytes(g_ptr_array_index(pass->states, i));
    }
    if (__builtin_mul_overflow(n_bytes, pm_plan_n_spaces(machine), &n_bytes))
        n_bytes = UINT64_MAX;
    row->peak_mappings = MAX(row->peak_mappings, n_mappings);
    row->peak_locked = MAX(row->peak_locked, n_bytes);
    if (row->mappings_event == PM_TRACE_PLAN_NEVER && n_mappings > limits->n_mappings)
        row->mappings_event = event;
    if (row->locked_event == PM_TRACE_PLAN_NEVER && n_bytes > limits->locked)
        row->locked_event = event;
}

static void free_state(void *state)
{
    pm_trace_region_state_free(state);
}

static bool add_states(Pass *pass, GError **error)
{
    const PmTrace *trace = pass->plan->trace;

    for (guint i = 0; i < trace->regions->len; i++) {
        PmTraceRegionState *state =
            pm_trace_region_state_new(pm_trace_region(trace, i), pass->row.factor);

        if (state == NULL)
            return pm_fail(error, PM_ERROR_MEMORY, "%s: out of memory for the state of a region",
                           trace->file);
        g_ptr_array_add(pass->states, state);
    }
    return true;
}

static bool add_row(PmTracePlan *plan, uint64_t factor, GError **error)
{
    g_autoptr(GPtrArray) states = g_ptr_array_new_with_free_func(free_state);
    Pass pass = {.plan = plan,
                 .states = states,
                 .row = {.factor = factor,
                         .mappings_event = PM_TRACE_PLAN_NEVER,
                         .locked_event = PM_TRACE_PLAN_NEVER}};

    if (!add_states(&pass, error))
        return false;
    measure(&pass, PM_TRACE_PLAN_AT_START);
    for (guint i = 0; i < plan->trace->events->len; i++) {
        play(&pass, event_at(plan->trace, i));
        measure(&pass, i);
    }
    g_array_append_val(plan->rows, pass.row);
    return true;
}

/* Whether all regions are made of such blocks. */
static bool divides(const PmTrace *trace, uint64_t factor)
{
    for (guint i = 0; i < trace->regions->len; i++) {
        const PmTraceRegion *region = pm_trace_region(trace, i);

        if (region->block_size > region->size / factor ||
            ((region->size | region->address) & (factor * region->block_size - 1)) != 0)
            return false;
    }
    return true;
}

PmTracePlan *pm_trace_plan_new(const PmTrace *trace, const PmPlanMachine *machine,
                               const PmPlanHost *host, GError **error)
{
    g_autoptr(PmTracePlan) plan = NULL;

    if (!check_trace(trace, machine, host, error))
        return NULL;
    plan = g_new0(PmTracePlan, 1);
    plan->trace = trace;
    plan->machine = machine;
    plan->host = host;
    plan->rows = g_array_new(FALSE, FALSE, sizeof(PmTracePlanRow));
    plan->lacks_addresses =
        lacks_addresses(trace, &host->limits) || !pm_plan_boot_is_valid(machine, &host->limits);
    for (uint64_t factor = 1; divides(trace, factor); factor *= 2)
        if (!add_row(plan, factor, error))
            return NULL;
    return g_steal_pointer(&plan);
}

bool pm_trace_plan_row_fits(const PmTracePlanRow *row)
{
    return row->mappings_event == PM_TRACE_PLAN_NEVER && row->locked_event == PM_TRACE_PLAN_NEVER;
}

bool pm_trace_plan_fits(const PmTracePlan *plan)
{
    return !plan->lacks_addresses &&
           pm_trace_plan_row_fits(&g_array_index(plan->rows, PmTracePlanRow, 0));
}
