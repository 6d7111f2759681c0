/* SPDX-License-Identifier: MIT */
#include "plan/plan_report.h"
#include "plan/ways.h"
#include "json/json.h"

static void add_machine(JsonBuilder *builder, const PmPlanMachine *machine)
{
    pm_json_begin_object(builder, "machine");
    pm_json_add_number(builder, "size", machine->size);
    pm_json_add_number(builder, "boot_memory", machine->boot_memory);
    pm_json_add_number(builder, "devices", machine->n_devices);
    pm_json_add_bool(builder, "guest_iommu", machine->guest_iommu);
    pm_json_add_number(builder, "guest_mappings", machine->guest_mappings);
    pm_json_add_text(builder, "backend",
                     machine->backend == PM_IOMMU_IOMMUFD ? "iommufd" : "type1");
    pm_json_add_text(builder, "memory", pm_plan_memory_name(machine));
    json_builder_end_object(builder);
}

static void add_ranges(JsonBuilder *builder, const PmPlanLimits *limits)
{
    pm_json_begin_list(builder, "iova_ranges");
    for (size_t i = 0; i < limits->n_ranges; i++) {
        json_builder_begin_object(builder);
        pm_json_add_address(builder, "start", limits->ranges[i].start);
        pm_json_add_address(builder, "last", limits->ranges[i].last);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

void pm_plan_limits_json(JsonBuilder *builder, const PmPlanHost *host)
{
    pm_json_begin_object(builder, "limits");
    pm_json_add_limit(builder, "mappings", host->limits.n_mappings);
    pm_json_add_limit(builder, "locked_memory", host->limits.locked);
    pm_json_add_number(builder, "page_size", host->limits.page_size);
    add_ranges(builder, &host->limits);
    pm_json_begin_list(builder, "notes");
    for (guint i = 0; i < host->notes->len; i++)
        pm_json_add_text_element(builder, g_ptr_array_index(host->notes, i));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static void add_lacks(JsonBuilder *builder, unsigned lacks)
{
    static const struct {
        unsigned lack;
        const char *name;
    } names[] = {
        {PM_PLAN_LACKS_BLOCKS, "blocks"},
        {PM_PLAN_LACKS_ADDRESSES, "addresses"},
        {PM_PLAN_LACKS_MAPPINGS, "mappings"},
        {PM_PLAN_LACKS_LOCKED_MEMORY, "locked-memory"},
    };

    pm_json_begin_list(builder, "lacks");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (lacks & names[i].lack)
            pm_json_add_text_element(builder, names[i].name);
    json_builder_end_array(builder);
}

static void add_blocks(JsonBuilder *builder, const PmPlan *plan)
{
    pm_json_begin_list(builder, "blocks");
    for (guint i = 0; i < plan->blocks->len; i++) {
        const PmPlanBlock *block = pm_plan_get(plan, (int)i);

        json_builder_begin_object(builder);
        pm_json_add_number(builder, "block_size", block->block_size);
        pm_json_add_number(builder, "mappings", block->n_mappings);
        pm_json_add_address(builder, "address", block->address);
        pm_json_add_number(builder, "largest_region", block->largest);
        pm_json_add_bool(builder, "fits", block->lacks == 0);
        add_lacks(builder, block->lacks);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_needs(JsonBuilder *builder, const PmPlanReport *report)
{
    const PmPlan *plan = report->plan;

    pm_json_begin_object(builder, "needs");
    pm_json_add_number(builder, "block_size", pm_plan_subject(plan)->block_size);
    pm_json_add_number(builder, "address_spaces", pm_plan_n_spaces(plan->machine));
    pm_json_add_number(builder, "mappings", pm_plan_subject(plan)->n_mappings);
    pm_json_add_number(builder, "locked_memory", pm_plan_locked(plan->machine));
    pm_json_add_number(builder, "huge_pages", pm_plan_huge_pages(plan->machine));
    if (report->time != NULL && report->time->measured > 0)
        pm_json_add_number(builder, "fault_in_ns", report->time->ns);
    json_builder_end_object(builder);
    if (plan->smallest >= 0)
        pm_json_add_number(builder, "smallest_block_size",
                           pm_plan_get(plan, plan->smallest)->block_size);
}

static void add_way(JsonBuilder *builder, const PmPlanWay *way)
{
    json_builder_begin_object(builder);
    pm_json_add_text(builder, "name", way->name);
    pm_json_add_text(builder, "title", way->title);
    pm_json_begin_list(builder, "lines");
    for (guint i = 0; i < way->lines->len; i++) {
        const PmPlanLine *line = &g_array_index(way->lines, PmPlanLine, i);

        json_builder_begin_object(builder);
        pm_json_add_text(builder, "where", line->where);
        pm_json_add_text(builder, line->is_note ? "note" : "line", line->text);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

void pm_plan_report_json(JsonBuilder *builder, const PmPlanReport *report)
{
    g_autoptr(GPtrArray) ways = pm_plan_find_ways(report->plan);

    add_machine(builder, report->plan->machine);
    pm_plan_limits_json(builder, report->plan->host);
    add_needs(builder, report);
    add_blocks(builder, report->plan);
    pm_json_begin_list(builder, "ways");
    for (guint i = 0; i < ways->len; i++)
        add_way(builder, g_ptr_array_index(ways, i));
    json_builder_end_array(builder);
}
