/* SPDX-License-Identifier: MIT */
#include "replay/replay_event.h"

#include <time.h>

#include "replay/replay_timeline.h"

uint64_t pm_replay_now_ns(void)
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
    start = pm_replay_now_ns();
    if (!pm_virtio_mem_handle(to->device, &request, sizeof(request), &bytes, sizeof(bytes), error))
        return false;
    elapsed = pm_replay_now_ns() - start;
    if (!pm_virtio_mem_response_decode(&bytes, &response->answer, &response->state, error))
        return false;
    if (event->type == PM_EVENT_PLUG)
        g_array_append_val(result->plug_ns, elapsed);
    if (event->type == PM_EVENT_UNPLUG)
        g_array_append_val(result->unplug_ns, elapsed);
    result->n_responses[response->answer]++;
    return true;
}

static void note_refusal(PmReplay *replay, const PmReplayDevice *to, const PmTraceEvent *event,
                         PmVirtioMemAnswer answer)
{
    const GError *refusal = NULL;
    PmRefusal cause = pm_virtio_mem_last_refusal(to->device, &refusal);

    if (answer != PM_VIRTIO_MEM_ACK)
        pm_replay_timeline_refuse(replay, event, pm_response_names[answer],
                                  pm_refusal_code_name(cause),
                                  refusal != NULL ? refusal->message : NULL);
}

static bool play_request(PmReplay *replay, PmReplayDevice *to, const PmTraceEvent *event,
                         GError **error)
{
    Response response = {0};

    if (!send_request(replay, to, event, &response, error))
        return false;
    note_refusal(replay, to, event, response.answer);
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
    if (response.answer == PM_VIRTIO_MEM_NACK) {
        pm_replay_timeline_refuse(replay, event, pm_response_names[PM_VIRTIO_MEM_NACK],
                                  pm_refusal_code_name(PM_REFUSAL_REQUESTED_SIZE),
                                  "as recorded; the requested size is not recorded");
        pm_replay_judge_leave_open(to->judge, event, bound);
        return true;
    }
    note_refusal(replay, to, event, response.answer);
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

static void note_failure(PmReplay *replay, const PmTraceEvent *event, const char *response,
                         const GError *failure)
{
    pm_replay_timeline_refuse(replay, event, response, pm_replay_timeline_cause_of(failure),
                              failure != NULL ? failure->message : NULL);
}

static void play_iommu(PmReplay *replay, const PmTraceEvent *event)
{
    const GError *refusal = NULL;
    PmVirtioIommuStatus status = pm_replay_guest_play(replay->guest, event, &refusal);

    replay->result->n_iommu_statuses[status]++;
    if (status != PM_VIRTIO_IOMMU_OK)
        note_failure(replay, event, pm_iommu_status_names[status], refusal);
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
        pm_replay_guest_reset(replay->guest, &failure) != PM_VIRTIO_IOMMU_OK) {
        note_failure(replay, event, "refused", failure);
        pm_replay_result_add_divergence(replay->result, NULL, event, "done", "refused", 0,
                                        failure->message, false);
    }
    for (guint i = 0; i < replay->trace->regions->len; i++) {
        PmReplayDevice *to = &replay->devices[i];
        g_autoptr(GError) refusal = NULL;

        if (!pm_virtio_mem_system_reset(to->device, &refusal))
            note_failure(replay, event, "refused", refusal);
        pm_replay_judge_compare_reset(to->judge, event, refusal);
    }
}

/* As a hypervisor does on the guest's request: parts may be in the wanted state already. */
static void convert(PmReplay *replay, PmReplayDevice *to, const PmTraceEvent *event)
{
    uint64_t offset = event->address - pm_trace_region(replay->trace, event->region)->address;
    g_autoptr(GError) refusal = NULL;

    if (event->shared ? !pm_discard_source_populate(to->shared, offset, event->size,
                                                    PM_DISCARD_CHANGE_MIXED, 0, &refusal)
                      : !pm_discard_source_discard(to->shared, offset, event->size,
                                                   PM_DISCARD_CHANGE_MIXED, &refusal))
        note_failure(replay, event, "refused", refusal);
    pm_replay_judge_compare_conversion(to->judge, event, refusal);
}

bool pm_replay_play_event(PmReplay *replay, const PmTraceEvent *event, GError **error)
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
