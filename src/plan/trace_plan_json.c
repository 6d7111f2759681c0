/* SPDX-License-Identifier: MIT */
#include "plan/plan_report.h"
#include "plan/trace_plan_report.h"
#include "json/json.h"

/* The line of the event that fails; missing if none does, or the boot memory alone. */
static void add_line(JsonBuilder *builder, const char *name, const PmTracePlan *plan, gint64 event)
{
    if (event >= 0)
        pm_json_add_number(builder, name,
                           g_array_index(plan->trace->events, PmTraceEvent, (guint)event).line);
}

static void add_row(JsonBuilder *builder, const PmTracePlan *plan, const PmTracePlanRow *row)
{
    json_builder_begin_object(builder);
    pm_json_add_number(builder, "factor", row->factor);
    pm_json_add_number(builder, "peak_mappings", row->peak_mappings);
    pm_json_add_number(builder, "peak_locked_memory", row->peak_locked);
    pm_json_add_bool(builder, "fits", !plan->lacks_addresses && pm_trace_plan_row_fits(row));
    add_line(builder, "mappings_line", plan, row->mappings_event);
    add_line(builder, "locked_memory_line", plan, row->locked_event);
    json_builder_end_object(builder);
}

static void add_regions(JsonBuilder *builder, const PmTrace *trace)
{
    pm_json_begin_list(builder, "regions");
    for (guint i = 0; i < trace->regions->len; i++) {
        const PmTraceRegion *region = pm_trace_region(trace, i);

        json_builder_begin_object(builder);
        pm_json_add_address(builder, "address", region->address);
        pm_json_add_number(builder, "size", region->size);
        pm_json_add_number(builder, "block_size", region->block_size);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

void pm_trace_plan_json(JsonBuilder *builder, const PmTracePlan *plan)
{
    pm_plan_limits_json(builder, plan->host);
    pm_json_begin_object(builder, "recording");
    pm_json_add_text(builder, "file", plan->trace->file);
    pm_json_add_number(builder, "events", plan->trace->events->len);
    pm_json_add_number(builder, "boot_memory", plan->machine->boot_memory);
    add_regions(builder, plan->trace);
    pm_json_add_bool(builder, "lacks_addresses", plan->lacks_addresses);
    pm_json_begin_list(builder, "rows");
    for (guint i = 0; i < plan->rows->len; i++)
        add_row(builder, plan, &g_array_index(plan->rows, PmTracePlanRow, i));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}
