/* SPDX-License-Identifier: MIT */
#include "replay/report_text.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "kernel-uapi/virtio_mem.h"
#include "text/colours.h"
#include "text/line.h"

#define MAX_LISTED 10

/* In a line. */
#define MAX_HOLDERS 4

static void add_latency(GString *text, const char *label, const GArray *ns)
{
    g_autofree char *p50 = pm_duration_text(pm_percentile(ns, 50));
    g_autofree char *p99 = pm_duration_text(pm_percentile(ns, 99));
    g_autofree char *max = pm_duration_text(pm_percentile(ns, 100));

    if (ns->len > 0)
        pm_text_line(text, "latency", "%s: p50 %s, p99 %s, max %s", label, p50, p99, max);
}

static void add_subject(GString *text, const PmTrace *trace, const PmReportStyle *style)
{
    bool is_one = trace->regions->len == 1;
    g_autofree char *name = g_path_get_basename(trace->file);

    if (!is_one)
        pm_text_line(text, "trace", "%s: %u devices, backend %s", name, trace->regions->len,
                     style->backend);
    for (guint i = 0; i < trace->regions->len; i++) {
        const PmTraceRegion *region = pm_trace_region(trace, i);
        g_autofree char *size = pm_size_format(region->size);
        g_autofree char *block = pm_size_format(region->block_size);

        pm_text_line(text, is_one ? "trace" : "device",
                     "%s: %s at 0x%" PRIx64 ", block size %s%s%s", is_one ? name : region->name,
                     size, region->address, block, is_one ? ", backend " : "",
                     is_one ? style->backend : "");
    }
}

/* Those that occurred; OK always. */
static void add_iommu(GString *text, const PmReplayResult *result)
{
    g_autoptr(GString) statuses = g_string_new(NULL);

    for (unsigned i = 0; i < PM_TRACE_N_IOMMU_STATUSES; i++)
        if (i == 0 || result->n_iommu_statuses[i] > 0)
            g_string_append_printf(statuses, "%s%" PRIu64 " %s", i == 0 ? "" : ", ",
                                   result->n_iommu_statuses[i], pm_iommu_status_names[i]);
    pm_text_line(text, "iommu", "%" PRIu64 " map, %" PRIu64 " unmap by the guest; %s",
                 result->n_requests[PM_EVENT_IOMMU_MAP], result->n_requests[PM_EVENT_IOMMU_UNMAP],
                 statuses->str);
}

static void add_requests(GString *text, const PmReplayResult *result)
{
    const uint64_t *requests = result->n_requests;
    const uint64_t *responses = result->n_responses;
    const char *recorded =
        result->n_unjudged == 0 ? "all as recorded" : "all that can be judged as recorded";

    pm_text_line(text, "requests",
                 "%" PRIu64 " plug, %" PRIu64 " unplug, %" PRIu64 " unplug-all, %" PRIu64
                 " state, %" PRIu64 " resize, %" PRIu64 " reset",
                 requests[PM_EVENT_PLUG], requests[PM_EVENT_UNPLUG], requests[PM_EVENT_UNPLUG_ALL],
                 requests[PM_EVENT_STATE], requests[PM_EVENT_RESIZE], requests[PM_EVENT_RESET]);
    if (requests[PM_EVENT_CONVERT] > 0)
        pm_text_line(text, "converted", "%" PRIu64 " range%s between shared and private",
                     requests[PM_EVENT_CONVERT], requests[PM_EVENT_CONVERT] == 1 ? "" : "s");
    if (requests[PM_EVENT_IOMMU_MAP] + requests[PM_EVENT_IOMMU_UNMAP] > 0)
        add_iommu(text, result);
    pm_text_line(text, "responses",
                 "%" PRIu64 " ack, %" PRIu64 " nack, %" PRIu64 " busy, %" PRIu64 " error; %s",
                 responses[VIRTIO_MEM_RESP_ACK], responses[VIRTIO_MEM_RESP_NACK],
                 responses[VIRTIO_MEM_RESP_BUSY], responses[VIRTIO_MEM_RESP_ERROR],
                 result->n_divergences == 0 ? recorded : "not all as recorded");
}

static void add_dma(GString *text, const PmReplayResult *result)
{
    g_autofree char *plugged = pm_count_text(result->n_blocks_plugged);
    g_autofree char *unplugged = pm_count_text(result->n_blocks_unplugged);
    g_autofree char *map_calls = pm_count_text(result->n_calls[PM_DMA_MAP]);
    g_autofree char *unmap_calls = pm_count_text(result->n_calls[PM_DMA_UNMAP]);
    g_autofree char *peak = pm_count_text(result->peak_mappings);
    g_autofree char *limit =
        result->mapping_limit == UINT64_MAX ? NULL : pm_count_text(result->mapping_limit);
    g_autofree char *pinned = pm_size_format(result->final_pinned_bytes);
    g_autofree char *peak_pinned = pm_size_format(result->peak_pinned_bytes);
    g_autofree char *final = pm_size_format(result->final_plugged_bytes);

    pm_text_line(text, "blocks", "%s plugged, %s unplugged", plugged, unplugged);
    pm_text_line(text, "dma calls", "%s map, %s unmap", map_calls, unmap_calls);
    if (limit != NULL)
        pm_text_line(text, "mappings", "peak %s, limit %s (%.1f%%)", peak, limit,
                     100.0 * (double)result->peak_mappings / (double)result->mapping_limit);
    else
        pm_text_line(text, "mappings", "peak %s, no limit", peak);
    pm_text_line(text, "pinned", "peak %s, final %s (%s plugged)", peak_pinned, pinned, final);
}

static void add_dma_check(GString *text, const PmReplayResult *result)
{
    g_autofree char *transfers = pm_counted(result->dma_check.n_transfers, "transfer");
    g_autofree char *plugged = pm_count_text(result->dma_check.n_plugged_pages);
    g_autofree char *unplugged = pm_counted(result->dma_check.n_unplugged_pages, "unplugged page");

    if (result->dma_engine != NULL)
        pm_text_line(text, "dma check", "%s: %s, %s plugged and %s", result->dma_engine, transfers,
                     plugged, unplugged);
}

/* Fill level, in eighths, of each of @n_cells equal parts of a region of @size bytes; a part that
 * is not empty has at least 1. */
static void fill_cells(uint8_t *eighths, unsigned n_cells, uint64_t size, const GArray *runs)
{
    guint next = 0;

    for (unsigned i = 0; i < n_cells; i++) {
        double width = (double)size / n_cells;
        double start = width * i;
        double end = start + width;
        double filled = 0;

        while (next < runs->len) {
            const PmReplayRun *run = &g_array_index(runs, PmReplayRun, next);
            double run_end = (double)run->offset + (double)run->size;

            if ((double)run->offset >= end)
                break;
            filled += MAX(0, MIN(run_end, end) - MAX((double)run->offset, start));
            if (run_end > end)
                break;
            next++;
        }
        eighths[i] = filled > 0 ? (uint8_t)CLAMP((int)(8 * filled / width + 0.001), 1, 8) : 0;
    }
}

/* Who has to end before a balloon may discard, or a device that follows nobody may map. */
static void add_holders(GString *text, const PmTraceRegion *region, const PmReplayRegionEnd *end)
{
    g_autofree char *holders = pm_replay_holders_describe(end->holders, MAX_HOLDERS);

    if (region->name != NULL)
        pm_text_line(text, "discards", "%s: %s", region->name, holders);
    else
        pm_text_line(text, "discards", "%s", holders);
}

/* A bar for the whole region; the higher a cell, the more of it is plugged. */
static void add_strip(GString *text, const PmTraceRegion *region, const PmReplayRegionEnd *end,
                      const PmReportStyle *style)
{
    static const char *const shades[] = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    unsigned n_cells = CLAMP(style->width, 40, 512) - 12;
    g_autofree uint8_t *eighths = g_new0(uint8_t, n_cells);

    fill_cells(eighths, n_cells, region->size, end->runs);
    g_string_append_printf(text, "%-9.9s %s", region->name != NULL ? region->name : "region",
                           style->colours ? PM_COLOUR_GREEN : "");
    for (unsigned i = 0; i < n_cells; i++)
        g_string_append(text, shades[eighths[i]]);
    g_string_append_printf(text, "%s\n", style->colours ? PM_COLOUR_RESET : "");
}

static void add_divergence(GString *text, const PmReplayDivergence *divergence)
{
    g_string_append_printf(text, "  line %u: %s%s%s: expected %s, got %s", divergence->line,
                           divergence->device != NULL ? divergence->device : "",
                           divergence->device != NULL ? ": " : "", divergence->request,
                           divergence->expected, divergence->got);
}

static void add_list(GString *text, const GPtrArray *divergences, uint64_t n_total,
                     const char *headline)
{
    guint n_listed = MIN(divergences->len, MAX_LISTED);

    if (n_total == 0)
        return;
    g_string_append_printf(text, "\n%s\n", headline);
    for (guint i = 0; i < n_listed; i++) {
        add_divergence(text, g_ptr_array_index(divergences, i));
        g_string_append_c(text, '\n');
    }
    if (n_total > n_listed)
        g_string_append_printf(text, "  ... %" PRIu64 " more (--json lists up to %d)\n",
                               n_total - n_listed, PM_REPLAY_MAX_DIVERGENCES);
}

/* Lists either the consequences or everything else. */
static void add_causes(GString *text, const GPtrArray *causes, bool consequences,
                       const char *headline)
{
    bool has_headline = false;

    for (guint i = 0; i < causes->len; i++) {
        const PmReplayCause *cause = g_ptr_array_index(causes, i);
        g_autofree char *more = pm_count_text(cause->count - 1);

        if (cause->first->is_consequence != consequences)
            continue;
        if (!has_headline)
            g_string_append_printf(text, "\n%s\n", headline);
        has_headline = true;
        add_divergence(text, cause->first);
        if (cause->count > 1)
            g_string_append_printf(text, "\n    ... %s more, last in line %u", more,
                                   cause->last_line);
        g_string_append_c(text, '\n');
    }
}

static void add_differing(GString *text, const PmReplayResult *result)
{
    g_autofree char *responses = pm_counted(result->n_divergences, "response");
    g_autofree char *consequences = pm_counted(result->n_consequences, "consequence");

    g_string_append_printf(text, "%s differ%s", responses, result->n_divergences == 1 ? "s" : "");
    if (result->n_consequences > 0)
        g_string_append_printf(text, " (%s)", consequences);
}

static void add_audits(GString *text, const PmReplayResult *result)
{
    g_autofree char *checks = pm_counted(result->n_checks, "audit");
    g_autofree char *mismatches = pm_count_text(result->n_mismatches);

    if (result->n_checks == 0)
        g_string_append(text, "not audited (--no-audit)");
    else
        g_string_append_printf(text, "%s, %s failed", checks, mismatches);
}

/* Last, where people look first. */
static void add_verdict(GString *text, const PmTrace *trace, const PmReplayResult *result,
                        const PmReportStyle *style)
{
    bool right = pm_replay_is_right(result);
    g_autofree char *played = pm_count_text(result->n_played);
    g_autofree char *events = pm_counted(trace->events->len, "event");
    g_autofree char *unjudged = pm_count_text(result->n_unjudged);

    g_string_append_printf(text, "%-9s ", "verdict");
    if (trace->events->len == 0) {
        g_string_append(text, "nothing to check: the trace has no events\n");
        return;
    }
    g_string_append_printf(
        text, "%s%s%s",
        style->colours ? (right ? PM_COLOUR_BOLD PM_COLOUR_GREEN : PM_COLOUR_BOLD PM_COLOUR_RED)
                       : "",
        right ? "pass" : "FAIL", style->colours ? PM_COLOUR_RESET : "");
    if (result->stopped)
        g_string_append_printf(text, " so far, interrupted after %s of %s", played, events);
    g_string_append(text, ": ");
    add_audits(text, result);
    g_string_append(text, ", ");
    add_differing(text, result);
    if (result->n_unjudged > 0)
        g_string_append_printf(text, ", %s not judged", unjudged);
    g_string_append_c(text, '\n');
}

static void add_findings(GString *text, const PmReplayResult *result)
{
    gsize length = text->len;

    add_causes(text, result->causes, false, "differing responses:");
    add_causes(text, result->causes, true,
               "consequences (the device's state had already diverged from the recorded one):");
    add_list(text, result->unjudged, result->n_unjudged,
             "responses not judged (not enough information in the trace):");
    add_causes(text, result->mismatch_causes, false, "failed audits:");
    if (text->len > length)
        g_string_append_c(text, '\n');
}

char *pm_report_text(const PmTrace *trace, const PmReplayResult *result, const PmReportStyle *style)
{
    GString *text = g_string_new(NULL);

    add_subject(text, trace, style);
    add_requests(text, result);
    add_dma(text, result);
    add_dma_check(text, result);
    add_latency(text, "plug", result->plug_ns);
    add_latency(text, "unplug", result->unplug_ns);
    for (guint i = 0; i < result->region_ends->len; i++)
        add_holders(text, pm_trace_region(trace, i),
                    &g_array_index(result->region_ends, PmReplayRegionEnd, i));
    for (guint i = 0; i < result->region_ends->len; i++)
        add_strip(text, pm_trace_region(trace, i),
                  &g_array_index(result->region_ends, PmReplayRegionEnd, i), style);
    add_findings(text, result);
    add_verdict(text, trace, result, style);
    return g_string_free(text, FALSE);
}
