/* SPDX-License-Identifier: MIT */
#include "replay/replay.h"

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"
#include "kernel-uapi/virtio_mem.h"
#include "replay/replay_audit.h"

/* What was mapped before the region: the DMA check's own memory. */
typedef struct {
    uint64_t n_mappings;
    uint64_t n_bytes;
} PmReplayOwn;

/* One replay under way: the whole stack, from the device down. */
typedef struct {
    const PmTrace *trace;
    const PmReplayConfig *config;
    PmReplayResult *result;
    PmKernel *recorder;
    PmIommu *iommu;
    PmVirtioMem *device;
    PmMapper *mapper;
    PmDmaCheck *dma_check; /* NULL if not asked for */
    PmReplayOwn own;
} PmReplay;

static void divergence_free(void *data)
{
    PmReplayDivergence *divergence = data;

    g_free(divergence->request);
    g_free(divergence->expected);
    g_free(divergence->got);
    g_free(divergence);
}

static PmReplayResult *result_new(void)
{
    PmReplayResult *result = g_new0(PmReplayResult, 1);

    result->mismatches = g_ptr_array_new_with_free_func(divergence_free);
    result->divergences = g_ptr_array_new_with_free_func(divergence_free);
    result->unjudged = g_ptr_array_new_with_free_func(divergence_free);
    result->plug_ns = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    result->unplug_ns = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    result->final_runs = g_array_new(FALSE, FALSE, sizeof(PmReplayRun));
    return result;
}

void pm_replay_result_free(PmReplayResult *result)
{
    if (result == NULL)
        return;
    g_ptr_array_unref(result->mismatches);
    g_ptr_array_unref(result->divergences);
    g_ptr_array_unref(result->unjudged);
    g_array_unref(result->plug_ns);
    g_array_unref(result->unplug_ns);
    g_array_unref(result->final_runs);
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

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static char *describe_event(const PmTraceEvent *event)
{
    const char *name = pm_event_type_name(event->type);
    g_autofree char *size = NULL;
    g_autofree char *blocks = NULL;

    switch (event->type) {
    case PM_EVENT_PLUG:
    case PM_EVENT_UNPLUG:
    case PM_EVENT_STATE:
        blocks = pm_counted(event->n_blocks, "block");
        return g_strdup_printf("%s of %s at 0x%" PRIx64, name, blocks, event->address);
    case PM_EVENT_RESIZE:
        size = pm_size_format(event->size);
        return g_strdup_printf("%s to %s", name, size);
    case PM_EVENT_UNPLUG_ALL:
    case PM_EVENT_RESET:
    default:
        return g_strdup(name);
    }
}

static void add_divergence(GPtrArray *divergences, guint max, const PmTraceEvent *event,
                           const char *expected, const char *got)
{
    PmReplayDivergence *divergence;

    if (divergences->len >= max)
        return;
    divergence = g_new0(PmReplayDivergence, 1);
    divergence->line = event->line;
    divergence->request = describe_event(event);
    divergence->expected = g_strdup(expected);
    divergence->got = g_strdup(got);
    g_ptr_array_add(divergences, divergence);
}

static void diverge(PmReplay *replay, const PmTraceEvent *event, const char *expected,
                    const char *got, const char *reason)
{
    g_autofree char *whole = reason != NULL ? g_strdup_printf("%s: %s", got, reason) : NULL;

    replay->result->n_divergences++;
    add_divergence(replay->result->divergences, PM_REPLAY_MAX_DIVERGENCES, event, expected,
                   whole != NULL ? whole : got);
}

/* Whether the host asked for less than the bound when it refused a PLUG that the bound has room
 * for. Nobody knows, so that the recorded answer can only be believed. */
static bool is_unknowable(const PmReplay *replay, const PmTraceEvent *event)
{
    uint64_t plugged = pm_virtio_mem_get_plugged_size(replay->device);
    uint64_t requested = pm_virtio_mem_get_requested_size(replay->device);
    uint64_t size = event->n_blocks * pm_trace_region(replay->trace, 0)->block_size;

    return pm_trace_region(replay->trace, 0)->requested_is_bound && event->type == PM_EVENT_PLUG &&
           event->response == VIRTIO_MEM_RESP_NACK && plugged <= requested &&
           size <= requested - plugged;
}

static void leave_unjudged(PmReplay *replay, const PmTraceEvent *event, uint64_t bound)
{
    g_autofree char *size = pm_size_format(bound);
    g_autofree char *got = g_strdup_printf(
        "ack or nack: the trace only says that the requested size was at most %s", size);

    replay->result->n_unjudged++;
    add_divergence(replay->result->unjudged, PM_REPLAY_MAX_DIVERGENCES, event,
                   pm_response_names[event->response], got);
}

static void compare_answer(PmReplay *replay, const PmTraceEvent *event,
                           const struct virtio_mem_resp *response)
{
    int type = GUINT16_FROM_LE(response->type);
    int state = GUINT16_FROM_LE(response->u.state.state);
    const char *reason;

    if (event->response >= 0 && event->response != type) {
        pm_virtio_mem_last_refusal(replay->device, &reason);
        diverge(replay, event, pm_response_names[event->response], pm_response_names[type], reason);
    } else if (event->type == PM_EVENT_STATE && type == VIRTIO_MEM_RESP_ACK && event->state >= 0 &&
               event->state != state) {
        diverge(replay, event, pm_state_names[event->state], pm_state_names[state], NULL);
    }
}

static uint16_t wire_type(PmEventType type)
{
    switch (type) {
    case PM_EVENT_PLUG:
        return VIRTIO_MEM_REQ_PLUG;
    case PM_EVENT_UNPLUG:
        return VIRTIO_MEM_REQ_UNPLUG;
    case PM_EVENT_STATE:
        return VIRTIO_MEM_REQ_STATE;
    default:
        return VIRTIO_MEM_REQ_UNPLUG_ALL;
    }
}

/* The three requests with a range have the same layout. */
static bool send_request(PmReplay *replay, const PmTraceEvent *event,
                         struct virtio_mem_resp *response, GError **error)
{
    PmReplayResult *result = replay->result;
    struct virtio_mem_req request = {
        .type = GUINT16_TO_LE(wire_type(event->type)),
        .u.plug = {.addr = GUINT64_TO_LE(event->address),
                   .nb_blocks = GUINT16_TO_LE(event->n_blocks)},
    };
    uint64_t start = now_ns();
    uint64_t elapsed;

    if (!pm_virtio_mem_handle(replay->device, &request, sizeof(request), response,
                              sizeof(*response), error))
        return false;
    elapsed = now_ns() - start;
    if (event->type == PM_EVENT_PLUG)
        g_array_append_val(result->plug_ns, elapsed);
    if (event->type == PM_EVENT_UNPLUG)
        g_array_append_val(result->unplug_ns, elapsed);
    result->n_responses[GUINT16_FROM_LE(response->type)]++;
    return true;
}

static bool play_request(PmReplay *replay, const PmTraceEvent *event, GError **error)
{
    struct virtio_mem_resp response = {0};

    if (!send_request(replay, event, &response, error))
        return false;
    compare_answer(replay, event, &response);
    return true;
}

/* Played as if the host had asked for less, so that what follows meets the blocks as they were. The
 * usable region does not shrink by it. */
static bool play_unknowable(PmReplay *replay, const PmTraceEvent *event, GError **error)
{
    uint64_t bound = pm_virtio_mem_get_requested_size(replay->device);
    struct virtio_mem_resp response = {0};

    if (!pm_virtio_mem_set_requested_size(replay->device, 0, error) ||
        !send_request(replay, event, &response, error) ||
        !pm_virtio_mem_set_requested_size(replay->device, bound, error))
        return false;
    if (GUINT16_FROM_LE(response.type) == VIRTIO_MEM_RESP_NACK)
        leave_unjudged(replay, event, bound);
    else
        compare_answer(replay, event, &response);
    return true;
}

static bool play_event(PmReplay *replay, const PmTraceEvent *event, GError **error)
{
    g_autoptr(GError) reset_error = NULL;

    switch (event->type) {
    case PM_EVENT_RESIZE:
        if (pm_virtio_mem_set_requested_size(replay->device, event->size, error))
            return true;
        g_prefix_error(error, "%s:%u: ", replay->trace->file, event->line);
        if (error != NULL)
            (*error)->code = PM_ERROR_BAD_INPUT;
        return false;
    case PM_EVENT_RESET:
        if (!pm_virtio_mem_system_reset(replay->device, &reset_error))
            diverge(replay, event, "done", "refused", reset_error->message);
        return true;
    case PM_EVENT_PLUG:
    case PM_EVENT_UNPLUG:
    case PM_EVENT_UNPLUG_ALL:
    case PM_EVENT_STATE:
    default:
        return is_unknowable(replay, event) ? play_unknowable(replay, event, error)
                                            : play_request(replay, event, error);
    }
}

static void add_mismatch(PmReplay *replay, const PmTraceEvent *event, const GError *error)
{
    replay->result->n_mismatches++;
    add_divergence(replay->result->mismatches, PM_REPLAY_MAX_MISMATCHES, event, "plugged = mapped",
                   error->message);
}

static void audit(PmReplay *replay, const PmTraceEvent *event)
{
    const PmReplayAuditSubject subject = {
        .device = replay->device,
        .iommu = replay->iommu,
        .mapper = replay->mapper,
        .fake = replay->config->fake,
        .group = replay->config->group,
        .all_resident = !replay->config->only_counts || replay->config->prefault_threads > 0,
        .dma_check = replay->dma_check,
    };

    for (size_t i = 0; i < PM_REPLAY_N_AUDITS; i++) {
        g_autoptr(GError) error = NULL;

        if (!pm_replay_audits[i].applies(&subject))
            continue;
        replay->result->n_checks++;
        if (!pm_replay_audits[i].check(&subject, &error))
            add_mismatch(replay, event, error);
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

/* Keeps the counts that only the difference over an event tells. */
static void count_event(PmReplay *replay, const PmTraceEvent *event, uint64_t plugged_before)
{
    PmReplayResult *result = replay->result;
    uint64_t block_size = pm_trace_region(replay->trace, 0)->block_size;
    uint64_t plugged = pm_virtio_mem_get_plugged_size(replay->device);

    result->n_requests[event->type]++;
    if (plugged > plugged_before)
        result->n_blocks_plugged += (plugged - plugged_before) / block_size;
    else
        result->n_blocks_unplugged += (plugged_before - plugged) / block_size;
    result->peak_mappings = MAX(result->peak_mappings, count_mappings(replay));
    result->peak_pinned_bytes = MAX(result->peak_pinned_bytes, count_pinned(replay));
}

static bool play_events(PmReplay *replay, GError **error)
{
    const PmReplayConfig *config = replay->config;
    const GArray *events = replay->trace->events;

    for (guint i = 0; i < events->len; i++) {
        const PmTraceEvent *event = &g_array_index(events, PmTraceEvent, i);
        uint64_t plugged_before = pm_virtio_mem_get_plugged_size(replay->device);

        if (!play_event(replay, event, error))
            return false;
        count_event(replay, event, plugged_before);
        if (config->audit)
            audit(replay, event);
        if (config->progress != NULL)
            config->progress(i + 1, events->len, config->user_data);
    }
    return true;
}

static int compare_ns(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a;
    uint64_t second = *(const uint64_t *)b;

    return (first > second) - (first < second);
}

static bool finish_result(PmReplay *replay, GError **error)
{
    PmReplayResult *result = replay->result;
    PmDiscardManager *manager = pm_virtio_mem_get_manager(replay->device);
    uint64_t size = pm_trace_region(replay->trace, 0)->size;
    PmReplayRun run = {0};

    if (!pm_ram_resident(pm_discard_manager_get_ram(manager), 0, size,
                         &result->final_resident_bytes, error))
        return false;
    result->n_blocks_final = pm_virtio_mem_get_plugged_size(replay->device) /
                             pm_trace_region(replay->trace, 0)->block_size;
    result->mapping_limit = pm_iommu_get_mapping_limit(replay->iommu);
    result->final_mappings = count_mappings(replay);
    result->final_pinned_bytes = count_pinned(replay);
    if (replay->dma_check != NULL)
        result->dma_check = pm_dma_check_get_counts(replay->dma_check);
    for (int call = 0; call < PM_DMA_N_CALLS; call++)
        result->n_calls[call] = pm_recorder_get_n_calls(replay->recorder, (PmDmaCall)call);
    g_array_sort(result->plug_ns, compare_ns);
    g_array_sort(result->unplug_ns, compare_ns);
    while (pm_discard_manager_next_populated(manager, run.offset + run.size, size, &run.offset,
                                             &run.size))
        g_array_append_val(result->final_runs, run);
    return true;
}

/* The engine's memory is mapped before the region, which then knows what is left for it. */
static bool set_up_dma_check(PmReplay *replay, GError **error)
{
    const PmTrace *trace = replay->trace;
    PmDmaEngine *engine;

    if (replay->config->dma_device == NULL)
        return true;
    engine = pm_dma_engine_attach(replay->iommu, replay->recorder, replay->config->dma_device,
                                  pm_trace_region(trace, 0)->address,
                                  pm_trace_region(trace, 0)->size, error);
    if (engine == NULL)
        return false;
    replay->result->dma_engine = g_strdup(pm_dma_engine_name(engine));
    replay->dma_check = pm_dma_check_new(engine, replay->device);
    replay->own.n_mappings = pm_iommu_get_n_mappings(replay->iommu);
    replay->own.n_bytes = pm_iommu_get_pinned_bytes(replay->iommu);
    return true;
}

static PmIommu *open_iommu(const PmReplayConfig *config, PmKernel *kernel, GError **error)
{
    const PmType1Config type1 = {
        .kernel = kernel,
        .device = config->device,
        .has_group = config->device == NULL,
        .group = config->group,
    };
    const PmIommufdConfig iommufd = {
        .kernel = kernel, .device = config->device, .device_file = config->device_file};

    return config->backend == PM_IOMMU_IOMMUFD ? pm_iommu_iommufd_new(&iommufd, error)
                                               : pm_iommu_type1_new(&type1, error);
}

/* Builds the stack from the bottom up. */
static bool set_up(PmReplay *replay, GError **error)
{
    const PmTrace *trace = replay->trace;
    const PmReplayConfig *config = replay->config;
    g_autoptr(PmRam) ram = NULL;
    PmVirtioMemConfig device_config = {
        .address = pm_trace_region(trace, 0)->address,
        .block_size = pm_trace_region(trace, 0)->block_size,
        .requested_size = pm_trace_region(trace, 0)->requested_size,
        .usable_extent = pm_trace_region(trace, 0)->requested_is_bound ? PM_TRACE_USABLE_EXTENT : 0,
        .prefault_threads = config->prefault_threads,
    };
    PmMapperRegion region = {
        .size = pm_trace_region(trace, 0)->size,
        .address = pm_trace_region(trace, 0)->address,
        .access = PM_IOMMU_READ_WRITE,
    };

    replay->recorder =
        pm_recorder_new(config->kernel, pm_trace_region(trace, 0)->address,
                        pm_trace_region(trace, 0)->size, config->dma_func, config->user_data);
    replay->iommu = open_iommu(config, replay->recorder, error);
    if (replay->iommu == NULL)
        return false;
    ram = pm_ram_new(config->memory, pm_trace_region(trace, 0)->size,
                     pm_trace_region(trace, 0)->block_size, error);
    if (ram == NULL)
        return false;
    device_config.ram = ram;
    replay->device = pm_virtio_mem_new(&device_config, error);
    if (replay->device == NULL || !set_up_dma_check(replay, error))
        return false;
    replay->mapper = pm_mapper_new(replay->iommu);
    region.ram = ram;
    return pm_mapper_add(replay->mapper, &region, error);
}

/* What the end of the replay unmaps was not in the trace. */
static void tear_down(PmReplay *replay)
{
    if (replay->recorder != NULL)
        pm_recorder_stop(replay->recorder);
    g_clear_pointer(&replay->dma_check, pm_dma_check_free);
    g_clear_pointer(&replay->mapper, pm_mapper_free);
    g_clear_pointer(&replay->device, pm_virtio_mem_free);
    g_clear_pointer(&replay->iommu, pm_iommu_unref);
    g_clear_pointer(&replay->recorder, pm_kernel_unref);
}

PmReplayResult *pm_replay(const PmTrace *trace, const PmReplayConfig *config, GError **error)
{
    g_autoptr(PmReplayResult) result = result_new();
    PmReplay replay = {.trace = trace, .config = config, .result = result};
    uint64_t start = now_ns();
    bool played =
        set_up(&replay, error) && play_events(&replay, error) && finish_result(&replay, error);

    tear_down(&replay);
    result->elapsed_ns = now_ns() - start;
    return played ? g_steal_pointer(&result) : NULL;
}
