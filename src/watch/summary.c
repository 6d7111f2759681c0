/* SPDX-License-Identifier: MIT */
#include "watch/summary.h"

#include <plugmap/size.h>

#include "base/error_text.h"
#include "text/colours.h"
#include "text/line.h"
#include "text/number.h"
#include "watch/facts.h"

/* In the list of spaces. */
#define MAX_SPACES 64

static const char *const kinds[] = {
    [PM_WATCH_UNKNOWN] = "nothing yet",
    [PM_WATCH_TRACE] = "trace",
    [PM_WATCH_QEMU_LOG] = "QEMU's log",
    [PM_WATCH_DMA_LOG] = "DMA log",
};

/* --- for people --- */

static void add_watched(GString *text, const PmWatch *watch)
{
    g_autofree char *name = g_path_get_basename(watch->file);
    g_autofree char *events = pm_counted(watch->n_events, "event");
    g_autofree char *time = pm_text_position(watch->time_ns - MAX(watch->first_ns, 0));

    g_string_append_printf(text, "%-*s%s: %s, %s", PM_TEXT_LABEL_WIDTH, "watched", name,
                           kinds[watch->kind], events);
    if (watch->has_times)
        g_string_append_printf(text, " in %s", time);
    g_string_append_c(text, '\n');
}

static void add_skipped(GString *text, const PmWatch *watch)
{
    g_autofree char *lines = pm_counted(watch->n_bad_lines, "line");

    if (watch->n_bad_lines > 0)
        g_string_append_printf(text, "%-*s%s\n", PM_TEXT_LABEL_WIDTH, "skipped", lines);
}

static void add_reasons(GString *text, const PmWatch *watch)
{
    g_autofree char *audits = pm_counted(watch->n_audits, "audit");
    g_autofree char *failed = pm_count_text(watch->n_failed_audits);
    g_autofree char *differing = pm_counted(watch->n_differing, "response");
    g_autofree char *mappings = pm_counted(pm_watch_n_mappings(watch), "mapping");

    if (watch->kind == PM_WATCH_TRACE)
        g_string_append_printf(text, ": %s, %s failed, %s differ%s", audits, failed, differing,
                               watch->n_differing == 1 ? "s" : "");
    else if (watch->kind == PM_WATCH_DMA_LOG && !pm_dma_state_is_complete(watch->state))
        g_string_append_printf(text, ": the log has no end yet, %s now", mappings);
}

static void add_verdict(GString *text, const PmWatch *watch, bool colours)
{
    bool passes = pm_watch_passes(watch);
    g_autofree char *verdict =
        passes ? g_strdup("pass") : g_ascii_strup(pm_watch_verdict(watch), -1);

    g_string_append_printf(
        text, "%-*s%s%s%s", PM_TEXT_LABEL_WIDTH, "verdict",
        colours ? (passes ? PM_COLOUR_BOLD PM_COLOUR_GREEN : PM_COLOUR_BOLD PM_COLOUR_RED) : "",
        verdict, colours ? PM_COLOUR_RESET : "");
    add_reasons(text, watch);
    g_string_append_c(text, '\n');
}

char *pm_watch_summary(const PmWatch *watch, bool colours)
{
    GString *text = g_string_new(NULL);
    GPtrArray *facts = pm_watch_facts(watch);

    add_watched(text, watch);
    for (guint i = 0; i < facts->len; i++) {
        g_autofree char *fact = pm_printable(g_ptr_array_index(facts, i));

        g_string_append_printf(text, "%s\n", fact);
    }
    g_ptr_array_unref(facts);
    add_skipped(text, watch);
    add_verdict(text, watch, colours);
    return g_string_free(text, FALSE);
}

/* --- for programs --- */

static void add_source_json(JsonBuilder *builder, const PmWatch *watch)
{
    static const char *const formats[] = {"unknown", "trace", "qemu-log", "dma-log"};

    pm_json_begin_object(builder, "source");
    pm_json_add_text(builder, "file", watch->file);
    pm_json_add_text(builder, "kind", formats[watch->kind]);
    pm_json_add_number(builder, "events", watch->n_events);
    pm_json_add_number(builder, "skipped_lines", watch->n_bad_lines);
    pm_json_add_limit(builder, "duration_ns",
                      watch->has_times ? (uint64_t)(watch->time_ns - MAX(watch->first_ns, 0))
                                       : UINT64_MAX);
    json_builder_end_object(builder);
}

static void add_guest_json(JsonBuilder *builder, const PmWatchGuest *guest)
{
    pm_json_begin_object(builder, "requests");
    for (unsigned i = 0; i < PM_EVENT_N_TYPES; i++) {
        g_autofree char *name = g_strdup(pm_event_type_name((PmEventType)i));

        pm_json_add_number(builder, g_strdelimit(name, "-", '_'), guest->n_requests[i]);
    }
    json_builder_end_object(builder);
    pm_json_begin_object(builder, "responses");
    for (unsigned i = 0; i < PM_TRACE_N_RESPONSES; i++)
        pm_json_add_number(builder, pm_response_names[i], guest->n_responses[i]);
    json_builder_end_object(builder);
    pm_json_add_number(builder, "plugged_blocks", guest->n_blocks);
}

static void add_errors_json(JsonBuilder *builder, const PmDmaCallStatistics *calls)
{
    pm_json_begin_object(builder, "errors");
    for (int i = 1; i <= PM_DMA_LOG_MAX_ERRNO; i++) {
        g_autofree char *name = pm_dma_errno_name(i);

        if (calls->n_of_errno[i] > 0)
            pm_json_add_number(builder, name, calls->n_of_errno[i]);
    }
    json_builder_end_object(builder);
}

static void add_latency_json(JsonBuilder *builder, const char *name, const PmLatency *latency)
{
    pm_json_begin_object(builder, name);
    pm_json_add_number(builder, "count", latency->n_values);
    pm_json_add_number(builder, "p50", pm_latency_percentile(latency, 50));
    pm_json_add_number(builder, "p99", pm_latency_percentile(latency, 99));
    pm_json_add_number(builder, "max", latency->max);
    json_builder_end_object(builder);
}

static void add_calls_json(JsonBuilder *builder, const char *name, const PmDmaCallStatistics *calls)
{
    pm_json_begin_object(builder, name);
    pm_json_add_number(builder, "calls", calls->n_calls);
    pm_json_add_number(builder, "failed", calls->n_failed);
    add_errors_json(builder, calls);
    add_latency_json(builder, "latency_ns", &calls->latency);
    json_builder_end_object(builder);
}

static void add_sizes_json(JsonBuilder *builder, const PmDmaStatistics *calls)
{
    pm_json_begin_list(builder, "sizes");
    for (unsigned i = 0; i < PM_DMA_N_SIZE_CLASSES; i++) {
        if (calls->n_of_size[i] == 0)
            continue;
        json_builder_begin_object(builder);
        pm_json_add_address(builder, "from", UINT64_C(1) << i);
        pm_json_add_number(builder, "count", calls->n_of_size[i]);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_limit_json(JsonBuilder *builder, const char *name, const PmLimit *limit)
{
    int64_t in_ns = 0;
    bool reaches = limit->limit != PM_LIMIT_NO_LIMIT &&
                   pm_forecast_reach(&limit->forecast, limit->limit, &in_ns);

    pm_json_begin_object(builder, name);
    pm_json_add_number(builder, "now", limit->value);
    pm_json_add_number(builder, "peak", limit->peak);
    pm_json_add_limit(builder, "limit", limit->limit);
    pm_json_add_limit(builder, "reached_in_ns", reaches ? (uint64_t)in_ns : UINT64_MAX);
    json_builder_end_object(builder);
}

static void add_spaces_json(JsonBuilder *builder, const PmWatch *watch)
{
    const PmDmaSpace *space;

    pm_json_begin_list(builder, "spaces");
    for (unsigned i = 0; i < MAX_SPACES && (space = pm_dma_state_space(watch->state, i)) != NULL;
         i++) {
        json_builder_begin_object(builder);
        pm_json_add_text(builder, "name", space->name);
        pm_json_add_bool(builder, "ended", space->ended);
        pm_json_add_number(builder, "mappings", space->n_mappings);
        pm_json_add_number(builder, "bytes", space->n_bytes);
        pm_json_add_number(builder, "peak_mappings", space->peak_mappings);
        pm_json_add_number(builder, "peak_bytes", space->peak_bytes);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_runs_json(JsonBuilder *builder, const PmWatch *watch)
{
    PmDmaRuns runs = pm_dma_state_runs(watch->state);

    pm_json_begin_object(builder, "fragments");
    pm_json_add_number(builder, "mappings", pm_dma_state_n_mappings(watch->state));
    pm_json_add_number(builder, "runs", runs.n_runs);
    pm_json_add_address(builder, "largest_iova", runs.largest_iova);
    pm_json_add_number(builder, "largest_bytes", runs.largest_size);
    pm_json_add_number(builder, "largest_mappings", runs.largest_n_mappings);
    json_builder_end_object(builder);
}

static void add_end_json(JsonBuilder *builder, const PmWatch *watch)
{
    const PmDmaLeaks *leaks = pm_dma_state_leaks(watch->state);
    const char *first;
    uint64_t n_contradictions = pm_dma_state_n_contradictions(watch->state, &first);

    pm_json_begin_object(builder, "leaks");
    pm_json_add_number(builder, "mappings", leaks->n_mappings);
    pm_json_add_number(builder, "bytes", leaks->n_bytes);
    pm_json_add_text_or_null(builder, "first", leaks->first);
    json_builder_end_object(builder);
    pm_json_add_bool(builder, "complete", pm_dma_state_is_complete(watch->state));
    pm_json_begin_object(builder, "conflicts");
    pm_json_add_number(builder, "count", n_contradictions);
    pm_json_add_text_or_null(builder, "first", first);
    json_builder_end_object(builder);
}

static void add_audits_json(JsonBuilder *builder, const PmWatch *watch)
{
    pm_json_begin_object(builder, "audits");
    pm_json_add_number(builder, "count", watch->n_audits);
    pm_json_add_number(builder, "failed", watch->n_failed_audits);
    pm_json_add_number(builder, "differing_responses", watch->n_differing);
    json_builder_end_object(builder);
}

static void add_warnings_json(JsonBuilder *builder, const PmWatch *watch)
{
    pm_json_add_number(builder, "n_warnings", watch->n_warnings);
    pm_json_begin_list(builder, "warnings");
    for (guint i = 0; i < watch->warnings->len; i++)
        pm_json_add_text_element(builder, g_ptr_array_index(watch->warnings, i));
    json_builder_end_array(builder);
}

static void add_watch_json(JsonBuilder *builder, const PmWatch *watch)
{
    bool has_requests = watch->kind == PM_WATCH_TRACE || watch->kind == PM_WATCH_QEMU_LOG;
    bool has_calls = watch->kind == PM_WATCH_TRACE || watch->kind == PM_WATCH_DMA_LOG;

    add_source_json(builder, watch);
    if (has_requests)
        add_guest_json(builder, &watch->guest);
    if (watch->kind == PM_WATCH_TRACE) {
        add_latency_json(builder, "plug_latency_ns", &watch->plug);
        add_latency_json(builder, "unplug_latency_ns", &watch->unplug);
        add_audits_json(builder, watch);
    }
    if (has_calls) {
        add_calls_json(builder, "map", &watch->calls.map);
        add_calls_json(builder, "unmap", &watch->calls.unmap);
        add_sizes_json(builder, &watch->calls);
        add_spaces_json(builder, watch);
        add_runs_json(builder, watch);
        add_end_json(builder, watch);
    }
    add_limit_json(builder, "mappings", &watch->mappings);
    if (watch->locked_is_known)
        add_limit_json(builder, "locked_bytes", &watch->locked);
    pm_json_add_text_or_null(builder, "first_failure", watch->first_failure);
    add_warnings_json(builder, watch);
}

char *pm_watch_summary_json(const PmWatch *watch, const PmJsonHead *head)
{
    JsonBuilder *builder = pm_json_begin_report(head);

    if (watch != NULL)
        add_watch_json(builder, watch);
    return pm_json_end_report(builder);
}
