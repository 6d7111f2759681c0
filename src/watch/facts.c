/* SPDX-License-Identifier: MIT */
#include "watch/facts.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "text/line.h"
#include "text/number.h"

#define MAX_LISTED 4

static void add(GPtrArray *facts, const char *label, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void add(GPtrArray *facts, const char *label, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_ptr_array_add(facts, g_strdup_printf("%-*s%s", PM_TEXT_LABEL_WIDTH, label, text));
}

/* Appends ", COUNT NAME". */
static void add_count(GString *text, uint64_t count, const char *name)
{
    g_autofree char *number = pm_count_text(count);

    g_string_append_printf(text, "%s%s %s", text->len > 0 ? ", " : "", number, name);
}

static void add_requests(GPtrArray *facts, const PmWatchGuest *guest)
{
    g_autoptr(GString) requests = g_string_new(NULL);
    g_autoptr(GString) responses = g_string_new(NULL);
    g_autofree char *blocks = pm_count_text(guest->n_blocks);

    for (unsigned i = 0; i < PM_EVENT_N_TYPES; i++)
        if (guest->n_requests[i] > 0 || i <= PM_EVENT_UNPLUG)
            add_count(requests, guest->n_requests[i], pm_event_type_name((PmEventType)i));
    for (unsigned i = 0; i < PM_TRACE_N_RESPONSES; i++)
        add_count(responses, guest->n_responses[i], pm_response_names[i]);
    add(facts, "requests", "%s", requests->str);
    add(facts, "responses", "%s", responses->str);
    add(facts, "blocks", "%s plugged", blocks);
}

static void add_failed(GString *text, const char *call, const PmDmaCallStatistics *calls)
{
    g_autofree char *errors = pm_dma_statistics_errors(calls);

    if (calls->n_failed > 0)
        g_string_append_printf(text, "; %s failed: %s", call, errors);
}

static void add_calls(GPtrArray *facts, const PmDmaStatistics *calls)
{
    g_autoptr(GString) text = g_string_new(NULL);

    add_count(text, calls->map.n_calls, "map");
    add_count(text, calls->unmap.n_calls, "unmap");
    add_failed(text, "map", &calls->map);
    add_failed(text, "unmap", &calls->unmap);
    add(facts, "calls", "%s", text->str);
}

static void add_sizes(GPtrArray *facts, const PmDmaStatistics *calls)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < PM_DMA_N_SIZE_CLASSES; i++) {
        g_autofree char *size = pm_size_format(UINT64_C(1) << i);
        g_autofree char *count = pm_count_text(calls->n_of_size[i]);

        if (calls->n_of_size[i] > 0)
            g_string_append_printf(text, "%s%s: %s", text->len > 0 ? ", " : "", size, count);
    }
    if (text->len > 0)
        add(facts, "sizes", "%s", text->str);
}

static void add_limit(GPtrArray *facts, const char *label, const PmLimit *limit)
{
    g_autofree char *peak = pm_limit_text(limit, limit->peak);
    g_autofree char *now =
        limit->is_size ? pm_text_size(limit->value) : pm_count_text(limit->value);

    add(facts, label, "peak %s, now %s", peak, now);
}

static const char *name_of(const PmDmaSpace *space)
{
    return *space->name == '\0' ? "(no name)" : space->name;
}

/* Only if there are several. */
static void add_spaces(GPtrArray *facts, const PmWatch *watch)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const PmDmaSpace *space;
    unsigned n_spaces = 0;

    for (; (space = pm_dma_state_space(watch->state, n_spaces)) != NULL; n_spaces++) {
        g_autofree char *count = pm_count_text(space->n_mappings);

        if (n_spaces < MAX_LISTED)
            g_string_append_printf(text, "%s%s: %s", n_spaces == 0 ? "" : ", ", name_of(space),
                                   space->ended ? "ended" : count);
    }
    if (n_spaces > MAX_LISTED)
        g_string_append_printf(text, ", %u more", n_spaces - MAX_LISTED);
    if (n_spaces > 1)
        add(facts, "spaces", "%s", text->str);
}

static void add_runs(GPtrArray *facts, const PmWatch *watch)
{
    PmDmaRuns runs = pm_dma_state_runs(watch->state);
    g_autofree char *count = pm_counted(runs.n_runs, "run");
    g_autofree char *mappings = pm_counted(pm_dma_state_n_mappings(watch->state), "mapping");
    g_autofree char *largest = pm_text_size(runs.largest_size);

    if (runs.n_runs > 0)
        add(facts, "fragments", "%s of %s, largest %s at 0x%" PRIx64, count, mappings, largest,
            runs.largest_iova);
}

static void add_latency(GPtrArray *facts, const char *what, const PmLatency *latency)
{
    g_autofree char *p50 = pm_duration_text(pm_latency_percentile(latency, 50));
    g_autofree char *p99 = pm_duration_text(pm_latency_percentile(latency, 99));
    g_autofree char *max = pm_duration_text(latency->max);

    if (latency->n_values > 0)
        add(facts, "latency", "%s: p50 %s, p99 %s, max %s", what, p50, p99, max);
}

static void add_leaks(GPtrArray *facts, const PmWatch *watch)
{
    const PmDmaLeaks *leaks = pm_dma_state_leaks(watch->state);
    g_autofree char *count = pm_counted(leaks->n_mappings, "mapping");
    g_autofree char *size = pm_text_size(leaks->n_bytes);

    if (leaks->n_mappings > 0)
        add(facts, "leaks", "%s, %s, left at the end: first %s", count, size, leaks->first);
    else if (pm_dma_state_is_complete(watch->state))
        add(facts, "leaks", "none");
}

static void add_contradictions(GPtrArray *facts, const PmWatch *watch)
{
    const char *first;
    uint64_t n_contradictions = pm_dma_state_n_contradictions(watch->state, &first);
    g_autofree char *count = pm_counted(n_contradictions, "call");

    if (n_contradictions > 0)
        add(facts, "conflicts", "%s contradict%s the log before: %s", count,
            n_contradictions == 1 ? "s" : "", first);
}

GPtrArray *pm_watch_facts(const PmWatch *watch)
{
    GPtrArray *facts = g_ptr_array_new_with_free_func(g_free);
    bool has_calls = watch->kind == PM_WATCH_TRACE || watch->kind == PM_WATCH_DMA_LOG;

    if (watch->kind == PM_WATCH_TRACE || watch->kind == PM_WATCH_QEMU_LOG)
        add_requests(facts, &watch->guest);
    if (has_calls) {
        add_calls(facts, &watch->calls);
        add_sizes(facts, &watch->calls);
    }
    add_limit(facts, "mappings", &watch->mappings);
    if (watch->locked_is_known)
        add_limit(facts, "locked", &watch->locked);
    else
        add(facts, "locked", "unknown until an UNPLUG shows the block size: pass --block-size");
    add_spaces(facts, watch);
    add_runs(facts, watch);
    add_latency(facts, "map", &watch->calls.map.latency);
    add_latency(facts, "unmap", &watch->calls.unmap.latency);
    add_latency(facts, "plug", &watch->plug);
    add_latency(facts, "unplug", &watch->unplug);
    add_leaks(facts, watch);
    add_contradictions(facts, watch);
    if (watch->first_failure != NULL)
        add(facts, "failure", "%s", watch->first_failure);
    return facts;
}
