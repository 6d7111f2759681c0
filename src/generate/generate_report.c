/* SPDX-License-Identifier: MIT */
#include "generate/generate_report.h"

#include <inttypes.h>

#include <plugmap/size.h>
#include <plugmap/virtio_mem_wire.h>

#include "base/error_text.h"
#include "text/line.h"
#include "json/json.h"

#define NS_PER_SECOND 1e9

static void add_region(JsonBuilder *builder, const PmGenerateConfig *config)
{
    pm_json_begin_object(builder, "region");
    pm_json_add_address(builder, "address", config->region.address);
    pm_json_add_number(builder, "size", config->region.size);
    pm_json_add_number(builder, "block_size", config->region.block_size);
    json_builder_end_object(builder);
    pm_json_add_number(builder, "seed", config->memory.seed);
}

static void add_events(JsonBuilder *builder, const PmGenerateResult *result)
{
    static const struct {
        const char *name;
        PmEventType type;
    } events[] = {{"plug", PM_EVENT_PLUG},
                  {"unplug", PM_EVENT_UNPLUG},
                  {"unplug_all", PM_EVENT_UNPLUG_ALL},
                  {"resize", PM_EVENT_RESIZE},
                  {"reset", PM_EVENT_RESET}};

    pm_json_begin_object(builder, "events");
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++)
        pm_json_add_number(builder, events[i].name, result->n_events[events[i].type]);
    json_builder_end_object(builder);
    pm_json_begin_object(builder, "responses");
    for (size_t i = 0; i < PM_TRACE_N_RESPONSES; i++)
        pm_json_add_number(builder, pm_response_names[i], result->n_answers[i]);
    json_builder_end_object(builder);
}

static void add_steps(JsonBuilder *builder, const PmGenerateResult *result)
{
    pm_json_begin_list(builder, "steps");
    for (guint i = 0; i < result->steps->len; i++) {
        const PmGenerateStep *step = &g_array_index(result->steps, PmGenerateStep, i);

        json_builder_begin_object(builder);
        pm_json_add_text(builder, "type", pm_step_type_name(step->type));
        pm_json_add_number(builder, "time_ns", (uint64_t)step->time_ns);
        pm_json_add_number(builder, "requested_size", step->requested_size);
        pm_json_add_number(builder, "plugged_size", step->plugged_size);
        pm_json_add_number(builder, "requests", step->n_requests);
        pm_json_add_number(builder, "tries", step->n_tries);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

char *pm_generate_report_json(const PmGenerateReport *report)
{
    const PmJsonHead head = {
        .command = "generate",
        .version = report->version,
        .verdict = "done",
        .exit_status = report->exit_status,
        .error = report->error,
    };
    JsonBuilder *builder = pm_json_begin_report(&head);

    if (report->config != NULL)
        add_region(builder, report->config);
    if (report->result != NULL) {
        add_events(builder, report->result);
        add_steps(builder, report->result);
        pm_json_add_number(builder, "duration_ns", (uint64_t)report->result->duration_ns);
    }
    if (report->output != NULL)
        pm_json_add_text(builder, "output", report->output);
    return pm_json_end_report(builder);
}

static guint count_reached(const GArray *steps)
{
    guint n_reached = 0;

    for (guint i = 0; i < steps->len; i++) {
        const PmGenerateStep *step = &g_array_index(steps, PmGenerateStep, i);

        n_reached += step->plugged_size == step->requested_size;
    }
    return n_reached;
}

static void add_end(GString *text, const PmGenerateResult *result)
{
    const GArray *steps = result->steps;
    const PmGenerateStep *last = &g_array_index(steps, PmGenerateStep, steps->len - 1);
    g_autofree char *requested = pm_size_format(last->requested_size);
    g_autofree char *plugged = pm_size_format(last->plugged_size);

    pm_text_line(text, "steps", "%u of %u reached the requested size", count_reached(steps),
                 steps->len);
    pm_text_line(text, "end", "%s requested, %s plugged after %.1f s", requested, plugged,
                 (double)result->duration_ns / NS_PER_SECOND);
}

char *pm_generate_report_text(const PmGenerateReport *report)
{
    const PmTraceRegion *region = &report->config->region;
    const uint64_t *events = report->result->n_events;
    const uint64_t *answers = report->result->n_answers;
    g_autofree char *size = pm_size_format(region->size);
    g_autofree char *block = pm_size_format(region->block_size);
    GString *text = g_string_new(NULL);

    pm_text_line(text, "trace", "%s: %s at 0x%" PRIx64 ", block size %s", report->output, size,
                 region->address, block);
    pm_text_line(text, "requests",
                 "%" PRIu64 " plug, %" PRIu64 " unplug, %" PRIu64 " unplug-all, %" PRIu64
                 " resize, %" PRIu64 " reset",
                 events[PM_EVENT_PLUG], events[PM_EVENT_UNPLUG], events[PM_EVENT_UNPLUG_ALL],
                 events[PM_EVENT_RESIZE], events[PM_EVENT_RESET]);
    pm_text_line(text, "responses", "%" PRIu64 " ack, %" PRIu64 " busy", answers[PM_VIRTIO_MEM_ACK],
                 answers[PM_VIRTIO_MEM_BUSY]);
    add_end(text, report->result);
    return g_string_free(text, FALSE);
}
