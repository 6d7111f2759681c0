/* SPDX-License-Identifier: MIT */
#include <json-glib/json-glib.h>

#include "kernel-uapi/virtio_mem.h"
#include "replay/report.h"

static void add_number(JsonBuilder *builder, const char *name, uint64_t value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)value);
}

static void begin(JsonBuilder *builder, const char *name)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_object(builder);
}

static void add_text(JsonBuilder *builder, const char *name, const char *text)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, text);
}

/* No limit is null: a number would be one. */
static void add_limit(JsonBuilder *builder, const char *name, uint64_t limit)
{
    if (limit != UINT64_MAX) {
        add_number(builder, name, limit);
        return;
    }
    json_builder_set_member_name(builder, name);
    json_builder_add_null_value(builder);
}

static void add_divergences(JsonBuilder *builder, const char *name, const GPtrArray *divergences)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (guint i = 0; i < divergences->len; i++) {
        const PmReplayDivergence *divergence = g_ptr_array_index(divergences, i);

        json_builder_begin_object(builder);
        add_number(builder, "line", divergence->line);
        add_text(builder, "request", divergence->request);
        add_text(builder, "expected", divergence->expected);
        add_text(builder, "got", divergence->got);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_latency(JsonBuilder *builder, const char *name, const GArray *ns)
{
    begin(builder, name);
    add_number(builder, "p50", pm_percentile(ns, 50));
    add_number(builder, "p99", pm_percentile(ns, 99));
    add_number(builder, "max", pm_percentile(ns, 100));
    json_builder_end_object(builder);
}

static void add_counts(JsonBuilder *builder, const PmReplayResult *result)
{
    begin(builder, "requests");
    add_number(builder, "plug", result->n_requests[PM_EVENT_PLUG]);
    add_number(builder, "unplug", result->n_requests[PM_EVENT_UNPLUG]);
    add_number(builder, "unplug_all", result->n_requests[PM_EVENT_UNPLUG_ALL]);
    add_number(builder, "state", result->n_requests[PM_EVENT_STATE]);
    add_number(builder, "resize", result->n_requests[PM_EVENT_RESIZE]);
    add_number(builder, "reset", result->n_requests[PM_EVENT_RESET]);
    json_builder_end_object(builder);

    begin(builder, "responses");
    add_number(builder, "ack", result->n_responses[VIRTIO_MEM_RESP_ACK]);
    add_number(builder, "nack", result->n_responses[VIRTIO_MEM_RESP_NACK]);
    add_number(builder, "busy", result->n_responses[VIRTIO_MEM_RESP_BUSY]);
    add_number(builder, "error", result->n_responses[VIRTIO_MEM_RESP_ERROR]);
    json_builder_end_object(builder);

    begin(builder, "blocks");
    add_number(builder, "plugged", result->n_blocks_plugged);
    add_number(builder, "unplugged", result->n_blocks_unplugged);
    add_number(builder, "final", result->n_blocks_final);
    json_builder_end_object(builder);
}

static void add_dma(JsonBuilder *builder, const PmReplayResult *result)
{
    begin(builder, "dma");
    add_number(builder, "map_calls", result->n_calls[PM_DMA_MAP]);
    add_number(builder, "unmap_calls", result->n_calls[PM_DMA_UNMAP]);
    add_number(builder, "peak_mappings", result->peak_mappings);
    add_limit(builder, "mapping_limit", result->mapping_limit);
    add_number(builder, "final_mappings", result->final_mappings);
    add_number(builder, "peak_pinned_bytes", result->peak_pinned_bytes);
    add_number(builder, "final_pinned_bytes", result->final_pinned_bytes);
    add_number(builder, "final_resident_bytes", result->final_resident_bytes);
    json_builder_end_object(builder);
}

static void add_dma_check(JsonBuilder *builder, const PmReplayResult *result)
{
    if (result->dma_engine == NULL)
        return;
    begin(builder, "dma_check");
    add_text(builder, "engine", result->dma_engine);
    add_number(builder, "transfers", result->dma_check.n_transfers);
    add_number(builder, "plugged_pages", result->dma_check.n_plugged_pages);
    add_number(builder, "unplugged_pages", result->dma_check.n_unplugged_pages);
    json_builder_end_object(builder);
}

char *pm_report_json(const PmReplayResult *result, const char *backend)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    json_builder_begin_object(builder);
    add_text(builder, "backend", backend);
    add_counts(builder, result);
    add_dma(builder, result);

    begin(builder, "audit");
    add_number(builder, "checks", result->n_checks);
    add_number(builder, "mismatches", result->n_mismatches);
    add_divergences(builder, "first_mismatches", result->mismatches);
    json_builder_end_object(builder);

    add_dma_check(builder, result);
    add_number(builder, "n_divergences", result->n_divergences);
    add_divergences(builder, "divergences", result->divergences);
    add_number(builder, "n_unjudged", result->n_unjudged);
    add_divergences(builder, "unjudged", result->unjudged);

    begin(builder, "latency_ns");
    add_latency(builder, "plug", result->plug_ns);
    add_latency(builder, "unplug", result->unplug_ns);
    json_builder_end_object(builder);

    add_number(builder, "elapsed_ns", result->elapsed_ns);
    json_builder_end_object(builder);

    root = json_builder_get_root(builder);
    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    text = json_generator_to_data(generator, NULL);
    return g_strconcat(text, "\n", NULL);
}
