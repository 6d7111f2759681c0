/* SPDX-License-Identifier: MIT */
#include "replay/replay.h"

#include <inttypes.h>

#include "replay/replay_audit.h"
#include "replay/replay_event.h"
#include "replay/replay_stack.h"
#include "replay/replay_timeline.h"

/* A full audit may find what earlier events caused. */
static void add_mismatch(PmReplay *replay, const PmReplayDevice *of, const PmTraceEvent *event,
                         unsigned check, const char *message)
{
    g_autofree char *got = NULL;

    if (of->scope->everything && of->scope->n_events > 1)
        got = g_strdup_printf("%s (the whole region was checked last %" PRIu64 " events before)",
                              message, of->scope->n_events);
    pm_replay_result_add_mismatch(replay->result, of->region, event, check,
                                  got != NULL ? got : message);
}

static void audit_device(PmReplay *replay, const PmReplayDevice *of, const PmTraceEvent *event)
{
    const PmReplayAuditSubject subject = {
        .scope = of->scope,
        .device = of->device,
        .iommu = replay->iommu,
        .mapper = replay->mapper,
        .guest = replay->guest,
        .n_own = replay->own.n_mappings,
        .fake = replay->config->fake,
        .group = replay->config->group,
        .all_resident = (!replay->config->only_counts && replay->guest == NULL) ||
                        replay->config->prefault_threads > 0,
        .dma_check = replay->dma_check,
    };

    for (unsigned i = 0; i < PM_REPLAY_N_AUDITS; i++) {
        g_autoptr(GError) error = NULL;

        if (!pm_replay_audits[i].applies(&subject))
            continue;
        replay->result->n_checks++;
        if (!pm_replay_audits[i].check(&subject, &error))
            add_mismatch(replay, of, event, i, error->message);
    }
}

static bool concerns(const PmTraceEvent *event, guint device)
{
    return event->type == PM_EVENT_RESET || pm_event_type_is_iommu(event->type) ||
           event->region == device;
}

static void begin_audit(PmReplay *replay, const PmTraceEvent *event)
{
    for (guint i = 0; i < replay->trace->regions->len; i++)
        if (replay->config->audit && concerns(event, i))
            pm_audit_scope_begin(replay->devices[i].scope, event);
}

static void audit(PmReplay *replay, const PmTraceEvent *event, bool last)
{
    for (guint i = 0; i < replay->trace->regions->len; i++) {
        PmReplayDevice *of = &replay->devices[i];

        if (!replay->config->audit || !concerns(event, i))
            continue;
        pm_audit_scope_conclude(of->scope, last);
        audit_device(replay, of, event);
    }
}

/* At the end: a full audit, unless the last event had one. */
static void audit_the_rest(PmReplay *replay, const PmTraceEvent *event)
{
    for (guint i = 0; i < replay->trace->regions->len; i++) {
        PmReplayDevice *of = &replay->devices[i];

        if (!replay->config->audit || of->scope->everything)
            continue;
        pm_audit_scope_conclude(of->scope, true);
        audit_device(replay, of, event);
    }
}

static uint64_t count_mappings(PmReplay *replay)
{
    return pm_iommu_get_n_mappings(replay->iommu) - replay->own.n_mappings;
}

static uint64_t count_pinned(PmReplay *replay)
{
    return pm_iommu_get_pinned_bytes(replay->iommu) - replay->own.n_bytes;
}

static uint64_t count_blocks(const PmReplay *replay)
{
    uint64_t n_blocks = 0;

    for (guint i = 0; i < replay->trace->regions->len; i++)
        n_blocks += pm_virtio_mem_get_plugged_size(replay->devices[i].device) /
                    replay->devices[i].region->block_size;
    return n_blocks;
}

/* Updates the counters that are derived from the difference made by an event. */
static void count_event(PmReplay *replay, const PmTraceEvent *event, uint64_t blocks_before)
{
    PmReplayResult *result = replay->result;
    uint64_t blocks = count_blocks(replay);

    result->n_played++;
    result->n_requests[event->type]++;
    if (blocks > blocks_before)
        result->n_blocks_plugged += blocks - blocks_before;
    else
        result->n_blocks_unplugged += blocks_before - blocks;
    result->peak_mappings = MAX(result->peak_mappings, count_mappings(replay));
    result->peak_pinned_bytes = MAX(result->peak_pinned_bytes, count_pinned(replay));
}

static bool play_events(PmReplay *replay, GError **error)
{
    const PmReplayConfig *config = replay->config;
    const GArray *events = replay->trace->events;

    for (guint i = 0; i < events->len && !replay->result->stopped; i++) {
        const PmTraceEvent *event = &g_array_index(events, PmTraceEvent, i);
        uint64_t blocks_before = count_blocks(replay);
        bool last;

        begin_audit(replay, event);
        pm_replay_timeline_begin(replay, event);
        if (!pm_replay_play_event(replay, event, error)) {
            g_prefix_error(error, "%s:%u: ", replay->trace->file, event->line);
            return false;
        }
        count_event(replay, event, blocks_before);
        audit(replay, event, i + 1 == events->len);
        if (config->progress != NULL &&
            !config->progress(replay->result, events->len, config->user_data))
            replay->result->stopped = true;
        last = replay->result->stopped || i + 1 == events->len;
        if (last)
            audit_the_rest(replay, event);
        pm_replay_timeline_end(replay, event, last);
    }
    return true;
}

static int compare_ns(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a;
    uint64_t second = *(const uint64_t *)b;

    return (first > second) - (first < second);
}

static bool finish_region(PmReplay *replay, const PmReplayDevice *of, GError **error)
{
    PmReplayResult *result = replay->result;
    PmDiscardManager *manager = pm_virtio_mem_get_manager(of->device);
    PmDiscardSource *source = pm_virtio_mem_get_source(of->device);
    PmReplayRegionEnd end = {.plugged_bytes = pm_virtio_mem_get_plugged_size(of->device)};
    PmReplayRun run = {0};

    if (!pm_ram_resident(pm_discard_manager_get_ram(manager), 0, of->region->size,
                         &end.resident_bytes, error))
        return false;
    end.runs = g_array_new(FALSE, FALSE, sizeof(PmReplayRun));
    while (pm_discard_source_next_populated(source, run.offset + run.size, of->region->size,
                                            &run.offset, &run.size))
        g_array_append_val(end.runs, run);
    end.holders = pm_replay_holders_of(pm_discard_manager_get_ram(manager));
    result->final_plugged_bytes += end.plugged_bytes;
    result->final_resident_bytes += end.resident_bytes;
    g_array_append_val(result->region_ends, end);
    return true;
}

static bool finish_result(PmReplay *replay, GError **error)
{
    PmReplayResult *result = replay->result;

    for (guint i = 0; i < replay->trace->regions->len; i++)
        if (!finish_region(replay, &replay->devices[i], error))
            return false;
    result->n_blocks_final = count_blocks(replay);
    result->mapping_limit = pm_iommu_get_mapping_limit(replay->iommu);
    result->final_mappings = count_mappings(replay);
    result->final_pinned_bytes = count_pinned(replay);
    if (replay->dma_check != NULL)
        result->dma_check = pm_dma_check_get_counts(replay->dma_check);
    for (int call = 0; call < PM_DMA_N_CALLS; call++)
        result->n_calls[call] = pm_recorder_get_n_calls(replay->recorder, (PmDmaCall)call);
    g_array_sort(result->plug_ns, compare_ns);
    g_array_sort(result->unplug_ns, compare_ns);
    return true;
}

PmReplayResult *pm_replay(const PmTrace *trace, const PmReplayConfig *config, GError **error)
{
    g_autoptr(PmReplayResult) result = pm_replay_result_new();
    PmReplay replay = {.trace = trace, .config = config, .result = result};
    uint64_t start = pm_replay_now_ns();
    bool played = pm_replay_set_up(&replay, error) && play_events(&replay, error) &&
                  finish_result(&replay, error);

    pm_replay_tear_down(&replay);
    result->elapsed_ns = pm_replay_now_ns() - start;
    return played ? g_steal_pointer(&result) : NULL;
}
