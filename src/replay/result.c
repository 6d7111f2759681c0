/* SPDX-License-Identifier: MIT */
#include "replay/result.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"

#define EXPECTED_OF_AUDITS "plugged == mapped"

static void divergence_free(void *data)
{
    PmReplayDivergence *divergence = data;

    g_free(divergence->request);
    g_free(divergence->expected);
    g_free(divergence->got);
    g_free(divergence);
}

/* Holds a copy of its first divergence, because the list of divergences is bounded. */
typedef struct {
    PmReplayCause cause;
    PmEventType type;
    unsigned number;
} NumberedCause;

static void cause_free(void *data)
{
    NumberedCause *cause = data;

    divergence_free(cause->cause.first);
    g_free(cause);
}

static void clear_region_end(void *data)
{
    PmReplayRegionEnd *end = data;

    g_array_unref(end->runs);
    g_clear_pointer(&end->holders, g_ptr_array_unref);
}

PmReplayResult *pm_replay_result_new(void)
{
    PmReplayResult *result = g_new0(PmReplayResult, 1);

    result->mismatches = g_ptr_array_new_with_free_func(divergence_free);
    result->mismatch_causes = g_ptr_array_new_with_free_func(cause_free);
    result->divergences = g_ptr_array_new_with_free_func(divergence_free);
    result->causes = g_ptr_array_new_with_free_func(cause_free);
    result->unjudged = g_ptr_array_new_with_free_func(divergence_free);
    result->plug_ns = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    result->unplug_ns = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    result->region_ends = g_array_new(FALSE, FALSE, sizeof(PmReplayRegionEnd));
    g_array_set_clear_func(result->region_ends, clear_region_end);
    return result;
}

void pm_replay_result_free(PmReplayResult *result)
{
    if (result == NULL)
        return;
    g_ptr_array_unref(result->mismatches);
    g_ptr_array_unref(result->mismatch_causes);
    g_ptr_array_unref(result->divergences);
    g_ptr_array_unref(result->causes);
    g_ptr_array_unref(result->unjudged);
    g_array_unref(result->plug_ns);
    g_array_unref(result->unplug_ns);
    g_array_unref(result->region_ends);
    g_free(result->dma_engine);
    g_free(result);
}

bool pm_replay_is_right(const PmReplayResult *result)
{
    return result->n_divergences == 0 && result->n_mismatches == 0;
}

uint64_t pm_percentile(const GArray *ascending, unsigned percent)
{
    if (ascending->len == 0)
        return 0;
    return g_array_index(ascending, uint64_t, (uint64_t)(ascending->len - 1) * percent / 100);
}

static char *describe_event(const PmTraceEvent *event)
{
    const char *name = pm_event_type_name(event->type);
    g_autofree char *size = NULL;
    g_autofree char *blocks = NULL;

    if (pm_event_type_has_blocks(event->type)) {
        blocks = pm_counted(event->n_blocks, "block");
        return g_strdup_printf("%s of %s at 0x%" PRIx64, name, blocks, event->address);
    }
    if (event->type != PM_EVENT_RESIZE && event->type != PM_EVENT_CONVERT &&
        !pm_event_type_is_iommu(event->type))
        return g_strdup(name);
    size = pm_size_format(event->size);
    if (pm_event_type_is_iommu(event->type))
        return g_strdup_printf("%s of %s at I/O address 0x%" PRIx64, name, size, event->iova);
    if (event->type == PM_EVENT_CONVERT)
        return g_strdup_printf("%s of %s at 0x%" PRIx64 " to %s", name, size, event->address,
                               event->shared ? "shared" : "private");
    return g_strdup_printf("%s to %s", name, size);
}

static PmReplayDivergence *divergence_new(const PmTraceRegion *region, const PmTraceEvent *event,
                                          const char *expected, const char *got,
                                          bool is_consequence)
{
    PmReplayDivergence *divergence = g_new0(PmReplayDivergence, 1);

    divergence->line = event->line;
    divergence->device = region != NULL ? region->name : NULL;
    divergence->request = describe_event(event);
    divergence->expected = g_strdup(expected);
    divergence->got = g_strdup(got);
    divergence->is_consequence = is_consequence;
    return divergence;
}

static void list(GPtrArray *divergences, guint max, const PmReplayDivergence *divergence)
{
    PmReplayDivergence *copy;

    if (divergences->len >= max)
        return;
    copy = g_new(PmReplayDivergence, 1);
    *copy = *divergence;
    copy->request = g_strdup(divergence->request);
    copy->expected = g_strdup(divergence->expected);
    copy->got = g_strdup(divergence->got);
    g_ptr_array_add(divergences, copy);
}

/* A linear search will do: there is at most one cause per request type, response and refusal. Takes
 * ownership of @divergence. */
static void count_cause(GPtrArray *causes, PmEventType type, unsigned number,
                        PmReplayDivergence *divergence)
{
    NumberedCause *cause;

    for (guint i = 0; i < causes->len; i++) {
        cause = g_ptr_array_index(causes, i);
        if (cause->type != type || cause->number != number ||
            cause->cause.first->is_consequence != divergence->is_consequence ||
            !g_str_equal(cause->cause.first->expected, divergence->expected))
            continue;
        cause->cause.count++;
        cause->cause.last_line = divergence->line;
        divergence_free(divergence);
        return;
    }
    cause = g_new(NumberedCause, 1);
    *cause = (NumberedCause){{1, divergence, divergence->line}, type, number};
    g_ptr_array_add(causes, cause);
}

void pm_replay_result_add_divergence(PmReplayResult *result, const PmTraceRegion *region,
                                     const PmTraceEvent *event, const char *expected,
                                     const char *got, unsigned cause, const char *reason,
                                     bool is_consequence)
{
    g_autofree char *whole = reason != NULL ? g_strdup_printf("%s: %s", got, reason) : NULL;
    PmReplayDivergence *divergence =
        divergence_new(region, event, expected, whole != NULL ? whole : got, is_consequence);

    result->n_divergences++;
    result->n_consequences += is_consequence;
    list(result->divergences, PM_REPLAY_MAX_DIVERGENCES, divergence);
    count_cause(result->causes, event->type, cause, divergence);
}

void pm_replay_result_add_unjudged(PmReplayResult *result, const PmTraceRegion *region,
                                   const PmTraceEvent *event, const char *expected, const char *got)
{
    PmReplayDivergence *divergence = divergence_new(region, event, expected, got, false);

    result->n_unjudged++;
    list(result->unjudged, PM_REPLAY_MAX_DIVERGENCES, divergence);
    divergence_free(divergence);
}

void pm_replay_result_add_mismatch(PmReplayResult *result, const PmTraceRegion *region,
                                   const PmTraceEvent *event, unsigned audit, const char *message)
{
    PmReplayDivergence *divergence =
        divergence_new(region, event, EXPECTED_OF_AUDITS, message, false);

    result->n_mismatches++;
    list(result->mismatches, PM_REPLAY_MAX_MISMATCHES, divergence);
    /* An audit that failed keeps failing, whatever the request type. */
    count_cause(result->mismatch_causes, PM_EVENT_N_TYPES, audit, divergence);
}
