/* SPDX-License-Identifier: MIT */
#include "replay/audit_scope.h"

/* Comparing a run of blocks takes about as long as scanning this much memory. */
#define BYTES_A_RUN (4 * PM_MIB)

static PmIovaRange whole_region(const PmAuditScope *scope)
{
    uint64_t address = pm_virtio_mem_get_address(scope->device);

    return (PmIovaRange){address, address + (pm_virtio_mem_get_region_size(scope->device) - 1)};
}

/* Updated by full audits only, because an event adds at most one run. */
static uint64_t cost_of_everything(const PmAuditScope *scope)
{
    const PmDiscardManager *manager = pm_virtio_mem_get_manager(scope->device);
    uint64_t region_size = pm_virtio_mem_get_region_size(scope->device);
    uint64_t cost = region_size;
    uint64_t offset = 0;
    uint64_t size = 0;

    while (pm_discard_manager_next_populated(manager, offset + size, region_size, &offset, &size))
        cost += BYTES_A_RUN;
    return cost;
}

/* Replaces the ranges: one pass over the region is cheaper, and checks more. */
static void look_at_everything(PmAuditScope *scope)
{
    scope->everything = true;
    scope->ranges[0] = whole_region(scope);
    scope->n_ranges = 1;
    scope->credit = 0;
    scope->cost = cost_of_everything(scope);
}

PmAuditScope *pm_audit_scope_new(PmVirtioMem *device)
{
    PmAuditScope *scope = g_new0(PmAuditScope, 1);

    scope->device = device;
    look_at_everything(scope);
    return scope;
}

static void add_range(PmAuditScope *scope, uint64_t start, uint64_t last)
{
    if (scope->n_ranges < PM_AUDIT_SCOPE_MAX_RANGES)
        scope->ranges[scope->n_ranges++].start = start;
    scope->ranges[scope->n_ranges - 1].last = last;
}

/* All plugged blocks: the event may unplug them. */
static void add_plugged(PmAuditScope *scope)
{
    const PmDiscardSource *source = pm_virtio_mem_get_source(scope->device);
    const PmIovaRange region = whole_region(scope);
    uint64_t end = region.last - region.start + 1;
    uint64_t offset = 0;
    uint64_t size = 0;

    while (pm_discard_source_next_populated(source, offset + size, end, &offset, &size))
        add_range(scope, region.start + offset, region.start + offset + (size - 1));
}

static void add_request(PmAuditScope *scope, const PmTraceEvent *event)
{
    const PmIovaRange region = whole_region(scope);
    uint64_t block_size = pm_virtio_mem_get_block_size(scope->device);
    uint64_t n_blocks = MAX(event->n_blocks, 1);
    uint64_t last;

    if (__builtin_add_overflow(event->address, n_blocks * block_size - 1, &last))
        last = UINT64_MAX;
    if (event->address <= region.last && last >= region.start)
        add_range(scope, MAX(event->address, region.start), MIN(last, region.last));
}

void pm_audit_scope_begin(PmAuditScope *scope, const PmTraceEvent *event)
{
    uint64_t address = pm_virtio_mem_get_address(scope->device);

    scope->n_events = scope->everything ? 1 : scope->n_events + 1;
    scope->n_ranges = 0;
    if (event->type == PM_EVENT_UNPLUG_ALL || event->type == PM_EVENT_RESET)
        add_plugged(scope);
    else if (event->type == PM_EVENT_CONVERT)
        add_range(scope, event->address, event->address + (event->size - 1));
    else if (event->type != PM_EVENT_RESIZE && !pm_event_type_is_iommu(event->type))
        add_request(scope, event);
    /* Use the first block if none is touched: audits also compare other state. */
    if (scope->n_ranges == 0)
        add_range(scope, address, address + (pm_virtio_mem_get_block_size(scope->device) - 1));
}

void pm_audit_scope_conclude(PmAuditScope *scope, bool last)
{
    scope->everything = false;
    scope->credit += PM_AUDIT_SCOPE_EXTRA;
    for (size_t i = 0; i < scope->n_ranges; i++)
        scope->credit += scope->ranges[i].last - scope->ranges[i].start + 1;
    if (last || scope->credit >= scope->cost)
        look_at_everything(scope);
}
