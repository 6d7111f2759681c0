/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "plan/trace_plan_report.h"
#include "text/line.h"

static const PmTraceEvent *event_at(const PmTracePlan *plan, gint64 index)
{
    return &g_array_index(plan->trace->events, PmTraceEvent, (guint)index);
}

static void add_subject(GString *text, const PmTracePlan *plan)
{
    g_autofree char *name = g_path_get_basename(plan->trace->file);
    g_autofree char *events = pm_counted(plan->trace->events->len, "event");
    g_autofree char *boot = pm_size_format(plan->machine->boot_memory);

    pm_text_line(text, "trace", "%s: %s", name, events);
    for (guint i = 0; i < plan->trace->regions->len; i++) {
        const PmTraceRegion *region = pm_trace_region(plan->trace, i);
        g_autofree char *size = pm_size_format(region->size);
        g_autofree char *block = pm_size_format(region->block_size);

        pm_text_line(text, "region", "%s at 0x%" PRIx64 ", block size %s", size, region->address,
                     block);
    }
    pm_text_line(text, "boot", "%s boot memory", boot);
}

/* "line 12"; "-" if nothing fails; "at start" if the boot memory alone does. */
static char *line_of(const PmTracePlan *plan, gint64 event)
{
    if (event < 0)
        return g_strdup(event == PM_TRACE_PLAN_NEVER ? "-" : "at start");
    return g_strdup_printf("line %u", event_at(plan, event)->line);
}

static void add_table(GString *text, const PmTracePlan *plan)
{
    bool is_one = plan->trace->regions->len == 1;

    g_string_append_printf(text, "\n%10s %14s %14s   %-20s %s\n", is_one ? "block" : "blocks x",
                           "peak mappings", "peak locked", "too many mappings", "too much locked");
    for (guint i = 0; i < plan->rows->len; i++) {
        const PmTracePlanRow *row = &g_array_index(plan->rows, PmTracePlanRow, i);
        uint64_t block = is_one ? pm_trace_region(plan->trace, 0)->block_size : 1;
        g_autofree char *size = pm_size_format(row->factor * block);
        g_autofree char *peak = pm_count_text(row->peak_mappings);
        g_autofree char *locked = pm_size_format(row->peak_locked);
        g_autofree char *mappings = line_of(plan, row->mappings_event);
        g_autofree char *memory = line_of(plan, row->locked_event);

        g_string_append_printf(text, "%10s %14s %14s   %-20s %s\n", size, peak, locked, mappings,
                               memory);
    }
}

static bool fails_at_start(const PmTracePlanRow *row)
{
    return row->mappings_event == PM_TRACE_PLAN_AT_START ||
           row->locked_event == PM_TRACE_PLAN_AT_START;
}

/* The earlier one. */
static gint64 first_failure(const PmTracePlanRow *row)
{
    if (row->mappings_event < 0 || row->locked_event < 0)
        return MAX(row->mappings_event, row->locked_event);
    return MIN(row->mappings_event, row->locked_event);
}

static char *describe_event(const PmTracePlan *plan, gint64 index)
{
    const PmTraceEvent *event = event_at(plan, index);

    return g_strdup_printf("%s at 0x%" PRIx64 ", line %u", pm_event_type_name(event->type),
                           event->address, event->line);
}

static void add_verdict(GString *text, const PmTracePlan *plan, bool colours)
{
    const PmTracePlanRow *row = &g_array_index(plan->rows, PmTracePlanRow, 0);
    gint64 failure = first_failure(row);
    g_autofree char *what = NULL;

    if (pm_trace_plan_fits(plan)) {
        pm_text_verdict(text, true, colours, "fits with the recorded block size");
        return;
    }
    if (plan->lacks_addresses || fails_at_start(row)) {
        pm_text_verdict(text, false, colours,
                        plan->lacks_addresses
                            ? "does not fit: a region or the boot memory is not inside the valid "
                              "I/O addresses"
                            : "does not fit: the boot memory alone exceeds a limit");
        return;
    }
    what = describe_event(plan, failure);
    pm_text_verdict(text, false, colours, "does not fit: the first to fail is %s: %s", what,
                    failure == row->mappings_event ? "too many mappings"
                                                   : "too much locked memory");
}

char *pm_trace_plan_text(const PmTracePlan *plan, bool colours)
{
    GString *text = g_string_new(NULL);

    add_subject(text, plan);
    for (guint i = 0; i < plan->host->notes->len; i++)
        pm_text_line(text, i == 0 ? "limits" : "", "%s",
                     (const char *)g_ptr_array_index(plan->host->notes, i));
    add_verdict(text, plan, colours);
    add_table(text, plan);
    return g_string_free(text, FALSE);
}
