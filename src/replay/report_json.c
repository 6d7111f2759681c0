/* SPDX-License-Identifier: MIT */
#include "replay/report_json.h"

#include "kernel-uapi/virtio_mem.h"
#include "json/json.h"

static void add_divergence(JsonBuilder *builder, const PmReplayDivergence *divergence)
{
    pm_json_add_number(builder, "line", divergence->line);
    if (divergence->device != NULL)
        pm_json_add_text(builder, "device", divergence->device);
    pm_json_add_text(builder, "request", divergence->request);
    pm_json_add_text(builder, "expected", divergence->expected);
    pm_json_add_text(builder, "got", divergence->got);
    pm_json_add_bool(builder, "is_consequence", divergence->is_consequence);
}

static void add_divergences(JsonBuilder *builder, const char *name, const GPtrArray *divergences,
                            guint max_listed)
{
    pm_json_begin_list(builder, name);
    for (guint i = 0; i < MIN(divergences->len, max_listed); i++) {
        json_builder_begin_object(builder);
        add_divergence(builder, g_ptr_array_index(divergences, i));
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_causes(JsonBuilder *builder, const char *name, const GPtrArray *causes)
{
    pm_json_begin_list(builder, name);
    for (guint i = 0; i < causes->len; i++) {
        const PmReplayCause *cause = g_ptr_array_index(causes, i);

        json_builder_begin_object(builder);
        pm_json_add_number(builder, "count", cause->count);
        add_divergence(builder, cause->first);
        pm_json_add_number(builder, "last_line", cause->last_line);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_latency(JsonBuilder *builder, const char *name, const GArray *ns)
{
    pm_json_begin_object(builder, name);
    pm_json_add_number(builder, "p50", pm_percentile(ns, 50));
    pm_json_add_number(builder, "p99", pm_percentile(ns, 99));
    pm_json_add_number(builder, "max", pm_percentile(ns, 100));
    json_builder_end_object(builder);
}

static void add_counts(JsonBuilder *builder, const PmReplayResult *result)
{
    pm_json_begin_object(builder, "requests");
    pm_json_add_number(builder, "plug", result->n_requests[PM_EVENT_PLUG]);
    pm_json_add_number(builder, "unplug", result->n_requests[PM_EVENT_UNPLUG]);
    pm_json_add_number(builder, "unplug_all", result->n_requests[PM_EVENT_UNPLUG_ALL]);
    pm_json_add_number(builder, "state", result->n_requests[PM_EVENT_STATE]);
    pm_json_add_number(builder, "resize", result->n_requests[PM_EVENT_RESIZE]);
    pm_json_add_number(builder, "reset", result->n_requests[PM_EVENT_RESET]);
    pm_json_add_number(builder, "convert", result->n_requests[PM_EVENT_CONVERT]);
    pm_json_add_number(builder, "iommu_map", result->n_requests[PM_EVENT_IOMMU_MAP]);
    pm_json_add_number(builder, "iommu_unmap", result->n_requests[PM_EVENT_IOMMU_UNMAP]);
    json_builder_end_object(builder);

    pm_json_begin_object(builder, "responses");
    pm_json_add_number(builder, "ack", result->n_responses[VIRTIO_MEM_RESP_ACK]);
    pm_json_add_number(builder, "nack", result->n_responses[VIRTIO_MEM_RESP_NACK]);
    pm_json_add_number(builder, "busy", result->n_responses[VIRTIO_MEM_RESP_BUSY]);
    pm_json_add_number(builder, "error", result->n_responses[VIRTIO_MEM_RESP_ERROR]);
    json_builder_end_object(builder);

    pm_json_begin_object(builder, "iommu_statuses");
    for (unsigned i = 0; i < PM_TRACE_N_IOMMU_STATUSES; i++)
        pm_json_add_number(builder, pm_iommu_status_names[i], result->n_iommu_statuses[i]);
    json_builder_end_object(builder);

    pm_json_begin_object(builder, "blocks");
    pm_json_add_number(builder, "plugged", result->n_blocks_plugged);
    pm_json_add_number(builder, "unplugged", result->n_blocks_unplugged);
    pm_json_add_number(builder, "final", result->n_blocks_final);
    json_builder_end_object(builder);
}

static void add_dma(JsonBuilder *builder, const PmReplayResult *result)
{
    pm_json_begin_object(builder, "dma");
    pm_json_add_number(builder, "map_calls", result->n_calls[PM_DMA_MAP]);
    pm_json_add_number(builder, "unmap_calls", result->n_calls[PM_DMA_UNMAP]);
    pm_json_add_number(builder, "peak_mappings", result->peak_mappings);
    pm_json_add_limit(builder, "mapping_limit", result->mapping_limit);
    pm_json_add_number(builder, "final_mappings", result->final_mappings);
    pm_json_add_number(builder, "peak_pinned_bytes", result->peak_pinned_bytes);
    pm_json_add_number(builder, "final_pinned_bytes", result->final_pinned_bytes);
    pm_json_add_number(builder, "final_resident_bytes", result->final_resident_bytes);
    json_builder_end_object(builder);
}

static void add_dma_check(JsonBuilder *builder, const PmReplayResult *result)
{
    if (result->dma_engine == NULL)
        return;
    pm_json_begin_object(builder, "dma_check");
    pm_json_add_text(builder, "engine", result->dma_engine);
    pm_json_add_number(builder, "transfers", result->dma_check.n_transfers);
    pm_json_add_number(builder, "plugged_pages", result->dma_check.n_plugged_pages);
    pm_json_add_number(builder, "unplugged_pages", result->dma_check.n_unplugged_pages);
    json_builder_end_object(builder);
}

static void add_audit(JsonBuilder *builder, const PmReplayResult *result, guint max_listed)
{
    pm_json_begin_object(builder, "audit");
    pm_json_add_number(builder, "checks", result->n_checks);
    pm_json_add_number(builder, "mismatches", result->n_mismatches);
    add_causes(builder, "causes", result->mismatch_causes);
    add_divergences(builder, "first_mismatches", result->mismatches, max_listed);
    json_builder_end_object(builder);
}

static void add_result(JsonBuilder *builder, const PmReplayResult *result, guint max_listed)
{
    pm_json_add_number(builder, "events_played", result->n_played);
    pm_json_add_bool(builder, "interrupted", result->stopped);
    add_counts(builder, result);
    add_dma(builder, result);
    add_audit(builder, result, max_listed);
    add_dma_check(builder, result);
    pm_json_add_number(builder, "n_divergences", result->n_divergences);
    pm_json_add_number(builder, "n_consequences", result->n_consequences);
    add_causes(builder, "causes", result->causes);
    add_divergences(builder, "divergences", result->divergences, max_listed);
    pm_json_add_number(builder, "n_unjudged", result->n_unjudged);
    add_divergences(builder, "unjudged", result->unjudged, max_listed);

    pm_json_begin_object(builder, "latency_ns");
    add_latency(builder, "plug", result->plug_ns);
    add_latency(builder, "unplug", result->unplug_ns);
    json_builder_end_object(builder);

    pm_json_add_number(builder, "elapsed_ns", result->elapsed_ns);
}

static void add_holders(JsonBuilder *builder, const GPtrArray *holders)
{
    pm_json_begin_list(builder, "discard_claims");
    for (guint i = 0; i < holders->len; i++) {
        const PmReplayHolder *holder = g_ptr_array_index(holders, i);

        json_builder_begin_object(builder);
        pm_json_add_text(builder, "owner", holder->owner);
        pm_json_add_text(builder, "kind", pm_discard_claim_kind_name(holder->kind));
        pm_json_add_number(builder, "count", holder->n_claims);
        pm_json_add_number(builder, "bytes", holder->n_bytes);
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
        pm_json_add_text(builder, "device", region->name);
    pm_json_add_address(builder, "address", region->address);
    pm_json_add_number(builder, "size", region->size);
    pm_json_add_number(builder, "block_size", region->block_size);
    pm_json_add_number(builder, "granularity", region->granularity);
    pm_json_add_number(builder, "requested_size", region->requested_size);
    pm_json_add_bool(builder, "requested_is_bound", region->requested_is_bound);
    if (end != NULL) {
        pm_json_add_number(builder, "final_plugged_bytes", end->plugged_bytes);
        pm_json_add_number(builder, "final_resident_bytes", end->resident_bytes);
        add_holders(builder, end->holders);
    }
    json_builder_end_object(builder);
}

static void add_trace(JsonBuilder *builder, const PmTrace *trace, const PmReplayResult *result)
{
    pm_json_begin_object(builder, "trace");
    pm_json_add_text(builder, "file", trace->file);
    pm_json_add_text(builder, "format", trace->format);
    pm_json_add_number(builder, "events", trace->events->len);
    pm_json_begin_list(builder, "regions");
    for (guint i = 0; i < trace->regions->len; i++)
        add_region(builder, pm_trace_region(trace, i),
                   result != NULL ? &g_array_index(result->region_ends, PmReplayRegionEnd, i)
                                  : NULL);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static void add_warnings(JsonBuilder *builder, const PmTrace *trace)
{
    pm_json_begin_list(builder, "warnings");
    if (trace != NULL && trace->warning != NULL)
        pm_json_add_text_element(builder, trace->warning);
    json_builder_end_array(builder);
}

static const char *verdict(const PmJsonReport *report)
{
    if (report->result == NULL)
        return "done";
    if (!pm_replay_is_right(report->result))
        return "fail";
    if (report->result->stopped)
        return "interrupted";
    return report->trace->events->len == 0 ? "nothing-to-check" : "pass";
}

char *pm_report_json(const PmJsonReport *report)
{
    JsonBuilder *builder = pm_json_begin_report(&(PmJsonHead){
        .command = report->command,
        .version = report->version,
        .verdict = verdict(report),
        .exit_status = report->exit_status,
        .error = report->error,
    });

    add_warnings(builder, report->trace);
    if (report->trace != NULL)
        add_trace(builder, report->trace, report->result);
    if (report->output != NULL)
        pm_json_add_text(builder, "output", report->output);
    if (report->backend != NULL)
        pm_json_add_text(builder, "backend", report->backend);
    if (report->result != NULL)
        add_result(builder, report->result,
                   report->max_listed > 0 ? report->max_listed : G_MAXUINT);
    return pm_json_end_report(builder);
}
