/* SPDX-License-Identifier: MIT */
#include "replay/report_numbers.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "kernel-uapi/virtio_mem.h"

/* Turns a number into text: pm_count_text() and others. */
typedef char *(*TextFunc)(uint64_t value);

/* @field: its path in the JSON report. */
static void add(GString *html, const char *field, uint64_t value, TextFunc text_of)
{
    g_autofree char *text = text_of(value);

    g_string_append_printf(html, "<data data-field=\"%s\" value=\"%" PRIu64 "\">%s</data>", field,
                           value, text);
}

/* --- tiles --- */

static void begin_tile(GString *html, const char *name)
{
    g_string_append_printf(html, "<div><dt>%s</dt><dd>", name);
}

static void end_tile(GString *html)
{
    g_string_append(html, "</small></dd></div>\n");
}

static void add_share_of_limit(GString *html, const PmReplayResult *result)
{
    if (result->mapping_limit == UINT64_MAX) {
        g_string_append(html, "no limit");
        return;
    }
    g_string_append(html, "of ");
    add(html, "dma.mapping_limit", result->mapping_limit, pm_count_text);
    if (result->mapping_limit > 0)
        g_string_append_printf(html, " (%.1f%%)",
                               100.0 * (double)result->peak_mappings /
                                   (double)result->mapping_limit);
}

static void add_latency_tile(GString *html, const char *name, const GArray *ns)
{
    g_autofree char *median = g_strdup_printf("latency_ns.%s.p50", name);
    g_autofree char *slow = g_strdup_printf("latency_ns.%s.p99", name);

    if (ns->len == 0)
        return;
    g_string_append_printf(html, "<div><dt>Median %s</dt><dd>", name);
    add(html, median, pm_percentile(ns, 50), pm_duration_text);
    g_string_append(html, "<small>p99 ");
    add(html, slow, pm_percentile(ns, 99), pm_duration_text);
    end_tile(html);
}

static void add_checks(GString *html, const PmReplayResult *result)
{
    begin_tile(html, "Audits failed");
    add(html, "audit.mismatches", result->n_mismatches, pm_count_text);
    g_string_append(html, "<small>of ");
    add(html, "audit.checks", result->n_checks, pm_count_text);
    end_tile(html);
    begin_tile(html, "Differences");
    add(html, "n_divergences", result->n_divergences, pm_count_text);
    g_string_append(html, "<small>");
    add(html, "n_consequences", result->n_consequences, pm_count_text);
    g_string_append(html, " consequences");
    end_tile(html);
}

void pm_report_add_tiles(GString *html, const PmJsonReport *report)
{
    const PmReplayResult *result = report->result;

    g_string_append(html, "<dl class=\"tiles\">\n");
    begin_tile(html, "Events");
    add(html, "events_played", result->n_played, pm_count_text);
    g_string_append(html, "<small>of ");
    add(html, "trace.events", report->trace->events->len, pm_count_text);
    end_tile(html);
    add_checks(html, result);
    begin_tile(html, "Peak mappings");
    add(html, "dma.peak_mappings", result->peak_mappings, pm_count_text);
    g_string_append(html, "<small>");
    add_share_of_limit(html, result);
    end_tile(html);
    begin_tile(html, "Peak pinned");
    add(html, "dma.peak_pinned_bytes", result->peak_pinned_bytes, pm_size_format);
    g_string_append(html, "<small>");
    add(html, "dma.final_pinned_bytes", result->final_pinned_bytes, pm_size_format);
    g_string_append(html, " at the end");
    end_tile(html);
    add_latency_tile(html, "plug", result->plug_ns);
    add_latency_tile(html, "unplug", result->unplug_ns);
    g_string_append(html, "</dl>\n");
}

/* --- captions --- */

void pm_report_add_percentiles(GString *html, const char *name, const GArray *ns)
{
    static const struct {
        const char *name;
        unsigned percent;
    } percentiles[] = {{"p50", 50}, {"p99", 99}, {"max", 100}};

    for (size_t i = 0; i < G_N_ELEMENTS(percentiles); i++) {
        g_autofree char *field = g_strdup_printf("latency_ns.%s.%s", name, percentiles[i].name);

        g_string_append_printf(html, "%s%s ", i > 0 ? ", " : "", percentiles[i].name);
        add(html, field, pm_percentile(ns, percentiles[i].percent), pm_duration_text);
    }
}

void pm_report_add_mappings(GString *html, const PmReplayResult *result)
{
    g_string_append(html, "peak ");
    add(html, "dma.peak_mappings", result->peak_mappings, pm_count_text);
    g_string_append(html, result->mapping_limit == UINT64_MAX ? ", " : " ");
    add_share_of_limit(html, result);
}

/* --- all --- */

typedef struct {
    const char *name;
    const char *field;
    uint64_t value;
    TextFunc text_of;
    bool is_optional; /* left out if 0 */
} Fact;

static void add_group(GString *html, const char *title, const Fact *facts, size_t n_facts)
{
    g_string_append_printf(html, "<section><h3>%s</h3><dl>\n", title);
    for (size_t i = 0; i < n_facts; i++) {
        if (facts[i].is_optional && facts[i].value == 0)
            continue;
        g_string_append_printf(html, "<div><dt>%s</dt><dd>", facts[i].name);
        add(html, facts[i].field, facts[i].value, facts[i].text_of);
        g_string_append(html, "</dd></div>\n");
    }
    g_string_append(html, "</dl></section>\n");
}

static void add_requests(GString *html, const PmReplayResult *result)
{
    const uint64_t *n = result->n_requests;
    const Fact requests[] = {
        {"plug", "requests.plug", n[PM_EVENT_PLUG], pm_count_text, false},
        {"unplug", "requests.unplug", n[PM_EVENT_UNPLUG], pm_count_text, false},
        {"unplug-all", "requests.unplug_all", n[PM_EVENT_UNPLUG_ALL], pm_count_text, false},
        {"state", "requests.state", n[PM_EVENT_STATE], pm_count_text, false},
        {"resize", "requests.resize", n[PM_EVENT_RESIZE], pm_count_text, false},
        {"reset", "requests.reset", n[PM_EVENT_RESET], pm_count_text, false},
        {"convert", "requests.convert", n[PM_EVENT_CONVERT], pm_count_text, true},
        {"iommu-map", "requests.iommu_map", n[PM_EVENT_IOMMU_MAP], pm_count_text, true},
        {"iommu-unmap", "requests.iommu_unmap", n[PM_EVENT_IOMMU_UNMAP], pm_count_text, true},
    };

    add_group(html, "Requests", requests, G_N_ELEMENTS(requests));
}

static void add_responses(GString *html, const PmReplayResult *result)
{
    const uint64_t *n = result->n_responses;
    const Fact responses[] = {
        {"ack", "responses.ack", n[VIRTIO_MEM_RESP_ACK], pm_count_text, false},
        {"nack", "responses.nack", n[VIRTIO_MEM_RESP_NACK], pm_count_text, false},
        {"busy", "responses.busy", n[VIRTIO_MEM_RESP_BUSY], pm_count_text, false},
        {"error", "responses.error", n[VIRTIO_MEM_RESP_ERROR], pm_count_text, false},
        {"not judged", "n_unjudged", result->n_unjudged, pm_count_text, true},
    };

    add_group(html, "Responses", responses, G_N_ELEMENTS(responses));
}

static void add_statuses(GString *html, const PmReplayResult *result)
{
    Fact statuses[PM_TRACE_N_IOMMU_STATUSES];
    g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);

    if (result->n_requests[PM_EVENT_IOMMU_MAP] + result->n_requests[PM_EVENT_IOMMU_UNMAP] == 0)
        return;
    for (unsigned i = 0; i < PM_TRACE_N_IOMMU_STATUSES; i++) {
        char *field = g_strdup_printf("iommu_statuses.%s", pm_iommu_status_names[i]);

        g_ptr_array_add(fields, field);
        statuses[i] = (Fact){pm_iommu_status_names[i], field, result->n_iommu_statuses[i],
                             pm_count_text, i > 0};
    }
    add_group(html, "Guest IOMMU", statuses, G_N_ELEMENTS(statuses));
}

static void add_memory(GString *html, const PmReplayResult *result)
{
    const Fact blocks[] = {
        {"plugged", "blocks.plugged", result->n_blocks_plugged, pm_count_text, false},
        {"unplugged", "blocks.unplugged", result->n_blocks_unplugged, pm_count_text, false},
        {"at the end", "blocks.final", result->n_blocks_final, pm_count_text, false},
    };
    const Fact dma[] = {
        {"map calls", "dma.map_calls", result->n_calls[PM_DMA_MAP], pm_count_text, false},
        {"unmap calls", "dma.unmap_calls", result->n_calls[PM_DMA_UNMAP], pm_count_text, false},
        {"final mappings", "dma.final_mappings", result->final_mappings, pm_count_text, false},
        {"final pinned", "dma.final_pinned_bytes", result->final_pinned_bytes, pm_size_format,
         false},
        {"final resident", "dma.final_resident_bytes", result->final_resident_bytes, pm_size_format,
         false},
    };

    add_group(html, "Blocks", blocks, G_N_ELEMENTS(blocks));
    add_group(html, "DMA", dma, G_N_ELEMENTS(dma));
}

static void add_dma_check(GString *html, const PmReplayResult *result)
{
    const PmDmaCheckCounts *n = &result->dma_check;
    const Fact check[] = {
        {"transfers", "dma_check.transfers", n->n_transfers, pm_count_text, false},
        {"plugged pages", "dma_check.plugged_pages", n->n_plugged_pages, pm_count_text, false},
        {"unplugged pages", "dma_check.unplugged_pages", n->n_unplugged_pages, pm_count_text,
         false},
    };

    if (result->dma_engine != NULL)
        add_group(html, "Checked by DMA", check, G_N_ELEMENTS(check));
}

void pm_report_add_facts(GString *html, const PmReplayResult *result)
{
    const Fact time[] = {
        {"replay", "elapsed_ns", result->elapsed_ns, pm_duration_text, false},
    };

    g_string_append(html, "<div class=\"facts\">\n");
    add_requests(html, result);
    add_responses(html, result);
    add_statuses(html, result);
    add_memory(html, result);
    add_dma_check(html, result);
    add_group(html, "Time", time, G_N_ELEMENTS(time));
    g_string_append(html, "</div>\n");
}
