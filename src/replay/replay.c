/* SPDX-License-Identifier: MIT */
#include "replay/replay.h"

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"
#include "replay/guest.h"
#include "replay/judge.h"
#include "replay/replay_audit.h"

/* Mapped before the region: the DMA check's own memory. */
typedef struct {
    uint64_t n_mappings;
    uint64_t n_bytes;
} PmReplayOwn;

/* A device of the trace. */
typedef struct {
    const PmTraceRegion *region;
    PmVirtioMem *device;
    PmDiscardSource *shared; /* the guest's shared memory; NULL: all of it, always */
    PmReplayJudge *judge;
    PmAuditScope *scope; /* NULL: no audit */
} PmReplayDevice;

/* A running replay: the whole stack, from the devices down. */
typedef struct {
    const PmTrace *trace;
    const PmReplayConfig *config;
    PmReplayResult *result;
    PmKernel *recorder;
    PmIommu *iommu;
    PmReplayDevice *devices; /* one per region of the trace */
    PmMapper *mapper;
    PmReplayGuest *guest;  /* instead of the mapper; owns the address space */
    PmDmaCheck *dma_check; /* NULL: none */
    PmReplayOwn own;
} PmReplay;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static PmVirtioMemRequestType wire_type(PmEventType type)
{
    switch (type) {
    case PM_EVENT_PLUG:
        return PM_VIRTIO_MEM_PLUG;
    case PM_EVENT_UNPLUG:
        return PM_VIRTIO_MEM_UNPLUG;
    case PM_EVENT_STATE:
        return PM_VIRTIO_MEM_STATE;
    default:
        return PM_VIRTIO_MEM_UNPLUG_ALL;
    }
}

/* The device's response. */
typedef struct {
    PmVirtioMemAnswer answer;
    PmVirtioMemState state; /* of STATE */
} Response;

static bool send_request(PmReplay *replay, PmReplayDevice *to, const PmTraceEvent *event,
                         Response *response, GError **error)
{
    PmReplayResult *result = replay->result;
    PmVirtioMemRequest request;
    PmVirtioMemResponse bytes;
    uint64_t start;
    uint64_t elapsed;

    pm_virtio_mem_request_init(&request, wire_type(event->type), event->address, event->n_blocks);
    start = now_ns();
    if (!pm_virtio_mem_handle(to->device, &request, sizeof(request), &bytes, sizeof(bytes), error))
        return false;
    elapsed = now_ns() - start;
    if (!pm_virtio_mem_response_decode(&bytes, &response->answer, &response->state, error))
        return false;
    if (event->type == PM_EVENT_PLUG)
        g_array_append_val(result->plug_ns, elapsed);
    if (event->type == PM_EVENT_UNPLUG)
        g_array_append_val(result->unplug_ns, elapsed);
    result->n_responses[response->answer]++;
    return true;
}

static bool play_request(PmReplay *replay, PmReplayDevice *to, const PmTraceEvent *event,
                         GError **error)
{
    Response response = {0};

    if (!send_request(replay, to, event, &response, error))
        return false;
    pm_replay_judge_compare(to->judge, event, response.answer, response.state);
    return true;
}

/* Lowers the requested size for this request, so that the NACK is reproduced and later requests
 * find the blocks as recorded. The usable region does not shrink. */
static bool play_unknowable(PmReplay *replay, PmReplayDevice *to, const PmTraceEvent *event,
                            GError **error)
{
    uint64_t bound = pm_virtio_mem_get_requested_size(to->device);
    Response response = {0};

    if (!pm_virtio_mem_set_requested_size(to->device, 0, error) ||
        !send_request(replay, to, event, &response, error) ||
        !pm_virtio_mem_set_requested_size(to->device, bound, error))
        return false;
    if (response.answer == PM_VIRTIO_MEM_NACK)
        pm_replay_judge_leave_open(to->judge, event, bound);
    else
        pm_replay_judge_compare(to->judge, event, response.answer, response.state);
    return true;
}

static bool resize(PmReplayDevice *to, const PmTraceEvent *event, GError **error)
{
    if (pm_virtio_mem_set_requested_size(to->device, event->size, error))
        return true;
    if (error != NULL)
        (*error)->code = PM_ERROR_BAD_INPUT;
    return false;
}

static void play_iommu(PmReplay *replay, const PmTraceEvent *event)
{
    const GError *refusal = NULL;
    PmVirtioIommuStatus status = pm_replay_guest_play(replay->guest, event, &refusal);

    if (event->response >= 0 && event->response != (int)status)
        pm_replay_result_add_divergence(replay->result, NULL, event,
                                        pm_iommu_status_names[event->response],
                                        pm_iommu_status_names[status], (unsigned)status,
                                        refusal != NULL ? refusal->message : NULL, false);
}

/* System reset: the guest's IOMMU first. */
static void reset(PmReplay *replay, const PmTraceEvent *event)
{
    const GError *failure = NULL;

    if (replay->guest != NULL &&
        pm_replay_guest_reset(replay->guest, &failure) != PM_VIRTIO_IOMMU_OK)
        pm_replay_result_add_divergence(replay->result, NULL, event, "done", "refused", 0,
                                        failure->message, false);
    for (guint i = 0; i < replay->trace->regions->len; i++) {
        PmReplayDevice *to = &replay->devices[i];
        g_autoptr(GError) refusal = NULL;

        (void)pm_virtio_mem_system_reset(to->device, &refusal);
        pm_replay_judge_compare_reset(to->judge, event, refusal);
    }
}

/* As a hypervisor does on the guest's request: parts may be in the wanted state already. */
static void convert(const PmReplay *replay, PmReplayDevice *to, const PmTraceEvent *event)
{
    uint64_t offset = event->address - pm_trace_region(replay->trace, event->region)->address;
    g_autoptr(GError) refusal = NULL;

    if (event->shared)
        (void)pm_discard_source_populate(to->shared, offset, event->size, PM_DISCARD_CHANGE_MIXED,
                                         0, &refusal);
    else
        (void)pm_discard_source_discard(to->shared, offset, event->size, PM_DISCARD_CHANGE_MIXED,
                                        &refusal);
    pm_replay_judge_compare_conversion(to->judge, event, refusal);
}

static bool play_event(PmReplay *replay, const PmTraceEvent *event, GError **error)
{
    PmReplayDevice *to = &replay->devices[event->region];

    switch (event->type) {
    case PM_EVENT_RESIZE:
        return resize(to, event, error);
    case PM_EVENT_RESET:
        reset(replay, event);
        return true;
    case PM_EVENT_CONVERT:
        convert(replay, to, event);
        return true;
    case PM_EVENT_IOMMU_MAP:
    case PM_EVENT_IOMMU_UNMAP:
        play_iommu(replay, event);
        return true;
    case PM_EVENT_PLUG:
    case PM_EVENT_UNPLUG:
    case PM_EVENT_UNPLUG_ALL:
    case PM_EVENT_STATE:
    default:
        return pm_replay_judge_can_judge(to->judge, event)
                   ? play_request(replay, to, event, error)
                   : play_unknowable(replay, to, event, error);
    }
}

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

        begin_audit(replay, event);
        if (!play_event(replay, event, error)) {
            g_prefix_error(error, "%s:%u: ", replay->trace->file, event->line);
            return false;
        }
        count_event(replay, event, blocks_before);
        audit(replay, event, i + 1 == events->len);
        if (config->progress != NULL && !config->progress(i + 1, events->len, config->user_data))
            replay->result->stopped = true;
        if (replay->result->stopped || i + 1 == events->len)
            audit_the_rest(replay, event);
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

/* Maps the engine's memory before the region, so that the region's budget accounts for it. */
static bool set_up_dma_check(PmReplay *replay, uint64_t address, uint64_t size, GError **error)
{
    PmDmaEngine *engine;

    if (replay->config->dma_device == NULL)
        return true;
    if (replay->trace->regions->len > 1)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "%s: --dma-check supports one device, the trace has %u", replay->trace->file,
                       replay->trace->regions->len);
    engine = pm_dma_engine_attach(replay->iommu, replay->recorder, replay->config->dma_device,
                                  address, size, error);
    if (engine == NULL)
        return false;
    replay->result->dma_engine = g_strdup(pm_dma_engine_name(engine));
    replay->dma_check = pm_dma_check_new(engine, replay->devices[0].device, PM_IOMMU_READ_WRITE);
    replay->own.n_mappings = pm_iommu_get_n_mappings(replay->iommu);
    replay->own.n_bytes = pm_iommu_get_pinned_bytes(replay->iommu);
    return true;
}

static PmIommu *open_iommu(const PmReplayConfig *config, PmKernel *kernel, GError **error)
{
    const PmType1Config type1 = {
        .struct_size = sizeof(type1),
        .kernel = kernel,
        .device = config->device,
        .has_group = config->device == NULL,
        .group = config->group,
    };
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = kernel, .device = config->device};

    return config->backend == PM_IOMMU_IOMMUFD ? pm_iommu_iommufd_new(&iommufd, error)
                                               : pm_iommu_type1_new(&type1, error);
}

/* The source of conversions between shared and private: everything is shared at first. */
static bool add_shared(PmReplayDevice *made, GError **error)
{
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = "the guest's shared memory",
        .granularity = made->region->granularity,
        .flags = PM_DISCARD_SOURCE_POPULATED,
    };

    if (made->region->granularity == 0)
        return true;
    made->shared =
        pm_discard_manager_add_source(pm_virtio_mem_get_manager(made->device), &config, error);
    return made->shared != NULL;
}

static bool make_device(PmReplay *replay, PmReplayDevice *made, GError **error)
{
    const PmTraceRegion *region = made->region;
    g_autoptr(PmRam) ram =
        pm_ram_new(replay->config->memory, region->size, region->block_size, error);
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram,
        .address = region->address,
        .block_size = region->block_size,
        .requested_size = region->requested_size,
        .usable_extent = region->requested_is_bound ? PM_TRACE_USABLE_EXTENT : 0,
        .prefault_threads = replay->config->prefault_threads,
    };

    if (ram == NULL)
        return false;
    made->device = pm_virtio_mem_new(&config, error);
    if (made->device == NULL || !add_shared(made, error))
        return false;
    if (replay->config->audit)
        made->scope = pm_audit_scope_new(made->device);
    made->judge = pm_replay_judge_new(region, made->device, replay->result, error);
    return made->judge != NULL;
}

/* Names the device if there are several. */
static void prefix_device(const PmReplay *replay, const PmReplayDevice *device, GError **error)
{
    if (replay->trace->regions->len > 1)
        g_prefix_error(error, "device %s: ", device->region->name);
}

static bool make_devices(PmReplay *replay, GError **error)
{
    guint n_devices = replay->trace->regions->len;

    replay->devices = g_new0(PmReplayDevice, n_devices);
    for (guint i = 0; i < n_devices; i++) {
        replay->devices[i].region = pm_trace_region(replay->trace, i);
        if (!make_device(replay, &replay->devices[i], error)) {
            prefix_device(replay, &replay->devices[i], error);
            return false;
        }
    }
    return true;
}

static PmMapperRegion region_of(const PmReplay *replay, const PmReplayDevice *of)
{
    return (PmMapperRegion){
        .struct_size = sizeof(PmMapperRegion),
        .ram = pm_discard_manager_get_ram(pm_virtio_mem_get_manager(of->device)),
        .size = of->region->size,
        .address = of->region->address,
        .access = PM_IOMMU_READ_WRITE,
        .flags = replay->config->overcommit ? PM_MAPPER_OVERCOMMIT : PM_MAPPER_STRICT,
    };
}

/* With the mapper, or the guest's IOMMU. */
static bool map_devices(PmReplay *replay, GError **error)
{
    for (guint i = 0; i < replay->trace->regions->len; i++) {
        const PmReplayDevice *of = &replay->devices[i];
        const PmMapperRegion region = region_of(replay, of);

        if (replay->guest != NULL ? !pm_replay_guest_add(replay->guest, &region, error)
                                  : !pm_mapper_add(replay->mapper, &region, error)) {
            prefix_device(replay, of, error);
            return false;
        }
    }
    return true;
}

static PmIommu *open_for_guest(void *user_data, GError **error)
{
    const PmReplay *replay = user_data;

    return open_iommu(replay->config, replay->recorder, error);
}

/* @address, @size: the I/O addresses that the DMA check's own memory must avoid. */
static bool set_up_guest(PmReplay *replay, uint64_t address, uint64_t size, GError **error)
{
    replay->guest = pm_replay_guest_new(open_for_guest, replay, error);
    if (replay->guest == NULL || !make_devices(replay, error) || !map_devices(replay, error) ||
        !pm_replay_guest_start(replay->guest, error))
        return false;
    replay->iommu = pm_replay_guest_get_iommu(replay->guest);
    return set_up_dma_check(replay, address, size, error);
}

/* Sets up the stack, bottom up. */
static bool set_up(PmReplay *replay, GError **error)
{
    const PmReplayConfig *config = replay->config;
    bool has_guest = pm_replay_guest_is_in(replay->trace);
    uint64_t address;
    uint64_t size;

    if (has_guest)
        pm_replay_guest_window(replay->trace, &address, &size);
    else
        pm_trace_get_window(replay->trace, &address, &size);
    replay->recorder =
        pm_recorder_new(config->kernel, address, size, config->dma_func, config->user_data);
    if (has_guest)
        return set_up_guest(replay, address, size, error);
    replay->iommu = open_iommu(config, replay->recorder, error);
    if (replay->iommu == NULL || !make_devices(replay, error) ||
        !set_up_dma_check(replay, address, size, error))
        return false;
    replay->mapper = pm_mapper_new(replay->iommu);
    return map_devices(replay, error);
}

/* Unmaps during teardown are not part of the trace. */
static void tear_down(PmReplay *replay)
{
    if (replay->recorder != NULL)
        pm_recorder_stop(replay->recorder);
    g_clear_pointer(&replay->dma_check, pm_dma_check_free);
    g_clear_pointer(&replay->mapper, pm_mapper_free);
    if (replay->guest != NULL)
        replay->iommu = NULL; /* the guest's */
    g_clear_pointer(&replay->guest, pm_replay_guest_free);
    for (guint i = 0; replay->devices != NULL && i < replay->trace->regions->len; i++) {
        pm_replay_judge_free(replay->devices[i].judge);
        g_free(replay->devices[i].scope);
        g_clear_pointer(&replay->devices[i].device, pm_virtio_mem_free);
    }
    g_clear_pointer(&replay->devices, g_free);
    g_clear_pointer(&replay->iommu, pm_iommu_unref);
    g_clear_pointer(&replay->recorder, pm_kernel_unref);
}

PmReplayResult *pm_replay(const PmTrace *trace, const PmReplayConfig *config, GError **error)
{
    g_autoptr(PmReplayResult) result = pm_replay_result_new();
    PmReplay replay = {.trace = trace, .config = config, .result = result};
    uint64_t start = now_ns();
    bool played =
        set_up(&replay, error) && play_events(&replay, error) && finish_result(&replay, error);

    tear_down(&replay);
    result->elapsed_ns = now_ns() - start;
    return played ? g_steal_pointer(&result) : NULL;
}
