/* SPDX-License-Identifier: MIT */
#include "replay/report_json.h"

#include <inttypes.h>

#include <json-glib/json-glib.h>

#include "kernel-uapi/virtio_mem.h"

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

/* JSON is UTF-8; paths and damaged files may hold any bytes. */
static void add_value(JsonBuilder *builder, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    json_builder_add_string_value(builder, valid);
}

static void add_text(JsonBuilder *builder, const char *name, const char *text)
{
    json_builder_set_member_name(builder, name);
    add_value(builder, text);
}

static void add_bool(JsonBuilder *builder, const char *name, bool value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, value);
}

static void begin_list(JsonBuilder *builder, const char *name)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
}

/* As a string: JSON readers disagree on numbers above 2^53. */
static void add_address(JsonBuilder *builder, const char *name, uint64_t address)
{
    g_autofree char *text = g_strdup_printf("0x%" PRIx64, address);

    add_text(builder, name, text);
}

/* null: no limit. */
static void add_limit(JsonBuilder *builder, const char *name, uint64_t limit)
{
    if (limit != UINT64_MAX) {
        add_number(builder, name, limit);
        return;
    }
    json_builder_set_member_name(builder, name);
    json_builder_add_null_value(builder);
}

static void add_divergence(JsonBuilder *builder, const PmReplayDivergence *divergence)
{
    add_number(builder, "line", divergence->line);
    if (divergence->device != NULL)
        add_text(builder, "device", divergence->device);
    add_text(builder, "request", divergence->request);
    add_text(builder, "expected", divergence->expected);
    add_text(builder, "got", divergence->got);
    add_bool(builder, "is_consequence", divergence->is_consequence);
}

static void add_divergences(JsonBuilder *builder, const char *name, const GPtrArray *divergences)
{
    begin_list(builder, name);
    for (guint i = 0; i < divergences->len; i++) {
        json_builder_begin_object(builder);
        add_divergence(builder, g_ptr_array_index(divergences, i));
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_causes(JsonBuilder *builder, const char *name, const GPtrArray *causes)
{
    begin_list(builder, name);
    for (guint i = 0; i < causes->len; i++) {
        const PmReplayCause *cause = g_ptr_array_index(causes, i);

        json_builder_begin_object(builder);
        add_number(builder, "count", cause->count);
        add_divergence(builder, cause->first);
        add_number(builder, "last_line", cause->last_line);
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
    add_number(builder, "convert", result->n_requests[PM_EVENT_CONVERT]);
    add_number(builder, "iommu_map", result->n_requests[PM_EVENT_IOMMU_MAP]);
    add_number(builder, "iommu_unmap", result->n_requests[PM_EVENT_IOMMU_UNMAP]);
    json_builder_end_object(builder);

    begin(builder, "responses");
    add_number(builder, "ack", result->n_responses[VIRTIO_MEM_RESP_ACK]);
    add_number(builder, "nack", result->n_responses[VIRTIO_MEM_RESP_NACK]);
    add_number(builder, "busy", result->n_responses[VIRTIO_MEM_RESP_BUSY]);
    add_number(builder, "error", result->n_responses[VIRTIO_MEM_RESP_ERROR]);
    json_builder_end_object(builder);

    begin(builder, "iommu_statuses");
    for (unsigned i = 0; i < PM_TRACE_N_IOMMU_STATUSES; i++)
        add_number(builder, pm_iommu_status_names[i], result->n_iommu_statuses[i]);
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

static void add_audit(JsonBuilder *builder, const PmReplayResult *result)
{
    begin(builder, "audit");
    add_number(builder, "checks", result->n_checks);
    add_number(builder, "mismatches", result->n_mismatches);
    add_causes(builder, "causes", result->mismatch_causes);
    add_divergences(builder, "first_mismatches", result->mismatches);
    json_builder_end_object(builder);
}

static void add_result(JsonBuilder *builder, const PmReplayResult *result)
{
    add_number(builder, "events_played", result->n_played);
    add_bool(builder, "interrupted", result->stopped);
    add_counts(builder, result);
    add_dma(builder, result);
    add_audit(builder, result);
    add_dma_check(builder, result);
    add_number(builder, "n_divergences", result->n_divergences);
    add_number(builder, "n_consequences", result->n_consequences);
    add_causes(builder, "causes", result->causes);
    add_divergences(builder, "divergences", result->divergences);
    add_number(builder, "n_unjudged", result->n_unjudged);
    add_divergences(builder, "unjudged", result->unjudged);

    begin(builder, "latency_ns");
    add_latency(builder, "plug", result->plug_ns);
    add_latency(builder, "unplug", result->unplug_ns);
    json_builder_end_object(builder);

    add_number(builder, "elapsed_ns", result->elapsed_ns);
}

static void add_holders(JsonBuilder *builder, const GPtrArray *holders)
{
    begin_list(builder, "discard_claims");
    for (guint i = 0; i < holders->len; i++) {
        const PmReplayHolder *holder = g_ptr_array_index(holders, i);

        json_builder_begin_object(builder);
        add_text(builder, "owner", holder->owner);
        add_text(builder, "kind", pm_discard_claim_kind_name(holder->kind));
        add_number(builder, "count", holder->n_claims);
        add_number(builder, "bytes", holder->n_bytes);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

/* @end: NULL if nothing was replayed. */
static void add_region(JsonBuilder *builder, const PmTraceRegion *region,
                       const PmReplayRegionEnd *end)
{
    json_builder_begin_object(builder);
    if (region->name != NULL)
        add_text(builder, "device", region->name);
    add_address(builder, "address", region->address);
    add_number(builder, "size", region->size);
    add_number(builder, "block_size", region->block_size);
    add_number(builder, "granularity", region->granularity);
    add_number(builder, "requested_size", region->requested_size);
    add_bool(builder, "requested_is_bound", region->requested_is_bound);
    if (end != NULL) {
        add_number(builder, "final_plugged_bytes", end->plugged_bytes);
        add_number(builder, "final_resident_bytes", end->resident_bytes);
        add_holders(builder, end->holders);
    }
    json_builder_end_object(builder);
}

static void add_trace(JsonBuilder *builder, const PmTrace *trace, const PmReplayResult *result)
{
    begin(builder, "trace");
    add_text(builder, "file", trace->file);
    add_text(builder, "format", trace->format);
    add_number(builder, "events", trace->events->len);
    begin_list(builder, "regions");
    for (guint i = 0; i < trace->regions->len; i++)
        add_region(builder, pm_trace_region(trace, i),
                   result != NULL ? &g_array_index(result->region_ends, PmReplayRegionEnd, i)
                                  : NULL);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static void add_warnings(JsonBuilder *builder, const PmTrace *trace)
{
    begin_list(builder, "warnings");
    if (trace != NULL && trace->warning != NULL)
        add_value(builder, trace->warning);
    json_builder_end_array(builder);
}

static const char *error_name(const GError *error)
{
    return error->domain == PM_ERROR ? pm_error_code_name((PmError)error->code) : "usage";
}

static void add_error(JsonBuilder *builder, const GError *error)
{
    begin(builder, "error");
    add_text(builder, "code", error_name(error));
    add_text(builder, "message", error->message);
    json_builder_end_object(builder);
}

static const char *verdict(const PmJsonReport *report)
{
    if (report->error != NULL)
        return "error";
    if (report->result == NULL)
        return "done";
    if (!pm_replay_is_right(report->result))
        return "fail";
    if (report->result->stopped)
        return "interrupted";
    return report->trace->events->len == 0 ? "nothing-to-check" : "pass";
}

static char *print(JsonBuilder *builder)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = NULL;

    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    text = json_generator_to_data(generator, NULL);
    return g_strconcat(text, "\n", NULL);
}

char *pm_report_json(const PmJsonReport *report)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    add_number(builder, "schema", PM_JSON_SCHEMA);
    add_text(builder, "plugmap", report->version);
    add_text(builder, "command", report->command);
    add_text(builder, "verdict", verdict(report));
    add_number(builder, "exit_status", (uint64_t)report->exit_status);
    if (report->error != NULL)
        add_error(builder, report->error);
    add_warnings(builder, report->trace);
    if (report->trace != NULL)
        add_trace(builder, report->trace, report->result);
    if (report->output != NULL)
        add_text(builder, "output", report->output);
    if (report->backend != NULL)
        add_text(builder, "backend", report->backend);
    if (report->result != NULL)
        add_result(builder, report->result);
    json_builder_end_object(builder);
    return print(builder);
}
