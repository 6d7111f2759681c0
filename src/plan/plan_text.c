/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "plan/layout.h"
#include "plan/plan_report.h"
#include "plan/ways.h"
#include "text/line.h"

/* Rows of the table after the smallest block size with enough mappings. */
#define MAX_ROWS_AFTER 3

static char *devices_text(const PmPlanMachine *machine)
{
    g_autofree char *devices = pm_counted(machine->n_devices, "device");

    if (!machine->guest_iommu)
        return g_steal_pointer(&devices);
    return g_strdup_printf("%s with a guest IOMMU, an address space each", devices);
}

static void add_machine(GString *text, const PmPlan *plan)
{
    const PmPlanMachine *machine = plan->machine;
    g_autofree char *boot = pm_size_format(machine->boot_memory);
    g_autofree char *size = pm_size_format(machine->size);
    g_autofree char *devices = devices_text(machine);

    pm_text_line(text, "VM", "%s boot memory, %s virtio-mem region, %s memory", boot, size,
                 pm_plan_memory_name(machine));
    pm_text_line(text, "devices", "%s, %s", devices,
                 machine->backend == PM_IOMMU_IOMMUFD ? "iommufd" : "type1");
    for (guint i = 0; i < plan->host->notes->len; i++)
        pm_text_line(text, i == 0 ? "limits" : "", "%s",
                     (const char *)g_ptr_array_index(plan->host->notes, i));
}

static void add_mappings(GString *text, const PmPlan *plan, const PmPlanBlock *block)
{
    uint64_t limit = plan->host->limits.n_mappings;
    g_autofree char *needed = pm_count_text(block->n_mappings);
    g_autofree char *limit_text = pm_count_text(limit);
    PmPlanPiece pieces[PM_PLAN_MAX_BOOT_PIECES];
    unsigned n_boot = (unsigned)pm_plan_boot_pieces(plan->machine, pieces);

    if (limit == UINT64_MAX)
        pm_text_line(text, "mappings", "%s, %u of them for boot memory; not limited", needed,
                     n_boot);
    else
        pm_text_line(text, "mappings", "%s of %s%s, %u of them for boot memory", needed, limit_text,
                     plan->machine->guest_iommu ? " in each address space" : "", n_boot);
}

static void add_locked(GString *text, const PmPlan *plan)
{
    uint64_t limit = plan->host->limits.locked;
    g_autofree char *needed = pm_size_format(pm_plan_locked(plan->machine));
    g_autofree char *limit_text = pm_size_format(limit);
    uint64_t n_spaces = pm_plan_n_spaces(plan->machine);
    g_autofree char *each =
        n_spaces > 1 ? g_strdup_printf(" (all memory, %" PRIu64 " times)", n_spaces) : NULL;

    pm_text_line(text, "locked", "%s%s%s%s", needed, each != NULL ? each : "",
                 limit == UINT64_MAX ? "; not limited" : " of ",
                 limit == UINT64_MAX ? "" : limit_text);
}

static void add_addresses(GString *text, const PmPlan *plan, const PmPlanBlock *block)
{
    if (block->lacks & PM_PLAN_LACKS_ADDRESSES)
        pm_text_line(text, "addresses",
                     "boot memory and region are not inside the valid addresses");
    else
        pm_text_line(text, "addresses", "region at 0x%" PRIx64 "-0x%" PRIx64, block->address,
                     block->address + (plan->machine->size - 1));
}

static void add_time(GString *text, const PmPlanTime *time)
{
    g_autofree char *all = NULL;
    g_autofree char *measured = NULL;

    if (time == NULL)
        return;
    if (time->measured == 0) {
        pm_text_line(text, "time", "not measured: the host has no such memory free");
        return;
    }
    all = pm_seconds_text(time->ns / 1000000000);
    measured = pm_size_format(time->measured);
    pm_text_line(text, "time",
                 "about %s to fault in the region, from %s on this host; pinning is extra", all,
                 measured);
}

static void add_huge_pages(GString *text, const PmPlanMachine *machine)
{
    uint64_t n_pages = pm_plan_huge_pages(machine);
    g_autofree char *count = pm_count_text(n_pages);
    g_autofree char *page = pm_size_format(pm_plan_memory_page(machine));

    if (n_pages > 0)
        pm_text_line(text, "pages", "%s huge pages of %s", count, page);
}

static void add_verdict(GString *text, const PmPlanReport *report, const PmPlanBlock *block)
{
    g_autofree char *size = pm_size_format(block->block_size);
    g_autofree char *lacks = pm_plan_describe_lacks(block->lacks);

    if (block->lacks != 0)
        pm_text_verdict(text, false, report->colours,
                        "does not fit with blocks of %s: not enough %s", size, lacks);
    else
        pm_text_verdict(text, true, report->colours, "fits with blocks of %s%s", size,
                        report->plan->given < 0 ? ", the smallest that fit" : "");
}

static void add_row(GString *text, const PmPlan *plan, const PmPlanBlock *block)
{
    g_autofree char *size = pm_size_format(block->block_size);
    g_autofree char *count = pm_count_text(block->n_mappings);
    g_autofree char *largest = pm_size_format(block->largest);
    g_autofree char *lacks = pm_plan_describe_lacks(block->lacks);
    bool is_subject = block == pm_plan_subject(plan);

    g_string_append_printf(text, "%s%9s %15s %16s   %s%s\n", is_subject ? ">" : " ", size, count,
                           block->largest == 0 ? "none" : largest,
                           block->lacks == 0 ? "fits" : "no: ", lacks);
}

/* All that have too few mappings, the smallest that has enough, and some more. */
static void add_table(GString *text, const PmPlan *plan)
{
    int last = (int)plan->blocks->len - 1;

    if (plan->enough >= 0)
        last = MIN(last, MAX(plan->enough, plan->given) + MAX_ROWS_AFTER);
    g_string_append(text, "\n     block        mappings   largest region\n");
    for (int i = 0; i <= last; i++)
        add_row(text, plan, pm_plan_get(plan, i));
}

static void add_ways(GString *text, const PmPlan *plan)
{
    g_autoptr(GPtrArray) ways = pm_plan_find_ways(plan);

    for (guint i = 0; i < ways->len; i++) {
        const PmPlanWay *way = g_ptr_array_index(ways, i);

        g_string_append_printf(text, "\n%s\n", way->title);
        for (guint j = 0; j < way->lines->len; j++) {
            const PmPlanLine *line = &g_array_index(way->lines, PmPlanLine, j);

            g_string_append_printf(text, "  %-17s %s%s%s\n", line->where, line->is_note ? "(" : "",
                                   line->text, line->is_note ? ")" : "");
        }
    }
}

char *pm_plan_report_text(const PmPlanReport *report)
{
    const PmPlan *plan = report->plan;
    const PmPlanBlock *block = pm_plan_subject(plan);
    GString *text = g_string_new(NULL);

    add_machine(text, plan);
    add_mappings(text, plan, block);
    add_locked(text, plan);
    add_addresses(text, plan, block);
    add_huge_pages(text, plan->machine);
    add_time(text, report->time);
    add_verdict(text, report, block);
    add_table(text, plan);
    add_ways(text, plan);
    return g_string_free(text, FALSE);
}
