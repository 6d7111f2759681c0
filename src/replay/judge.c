/* SPDX-License-Identifier: MIT */
#include "replay/judge.h"

#include "base/bitmap.h"
#include "base/error_text.h"

struct PmReplayJudge {
    const PmTraceRegion *region;
    PmVirtioMem *device;
    PmReplayResult *result;
    PmBitmap *recorded; /* blocks plugged at this point of the recording */
};

/* Blocks of the region. */
typedef struct {
    uint64_t first;
    uint64_t count;
} Blocks;

PmReplayJudge *pm_replay_judge_new(const PmTraceRegion *region, PmVirtioMem *device,
                                   PmReplayResult *result, GError **error)
{
    PmBitmap *recorded = pm_bitmap_new(region->size / region->block_size);
    PmReplayJudge *judge;

    if (recorded == NULL) {
        pm_fail(error, PM_ERROR_MEMORY, "out of memory for the block bitmap of the region");
        return NULL;
    }
    judge = g_new0(PmReplayJudge, 1);
    *judge = (PmReplayJudge){region, device, result, recorded};
    return judge;
}

void pm_replay_judge_free(PmReplayJudge *judge)
{
    if (judge == NULL)
        return;
    pm_bitmap_free(judge->recorded);
    g_free(judge);
}

/* --- the recorded state --- */

/* Empty only for requests that a device never carries out. */
static Blocks blocks_of(const PmReplayJudge *judge, const PmTraceEvent *event)
{
    uint64_t offset = event->address - judge->region->address;

    if (!pm_event_type_has_blocks(event->type))
        return (Blocks){0, pm_bitmap_n_bits(judge->recorded)};
    if (offset % judge->region->block_size != 0)
        return (Blocks){0};
    return (Blocks){offset / judge->region->block_size, event->n_blocks};
}

/* A response that was not recorded is assumed to have been the same. */
static void note(PmReplayJudge *judge, const PmTraceEvent *event, int response)
{
    Blocks blocks = blocks_of(judge, event);

    if ((event->response >= 0 ? event->response : response) != PM_VIRTIO_MEM_ACK ||
        blocks.count == 0)
        return;
    if (event->type == PM_EVENT_PLUG)
        pm_bitmap_set(judge->recorded, blocks.first, blocks.count);
    else if (event->type != PM_EVENT_STATE)
        pm_bitmap_clear(judge->recorded, blocks.first, blocks.count);
}

/* Whether all of the blocks were plugged, or all unplugged. */
static bool all_recorded_as(const PmReplayJudge *judge, Blocks blocks, bool plugged)
{
    uint64_t end = blocks.first + blocks.count;

    return (plugged ? pm_bitmap_next_clear(judge->recorded, blocks.first, end)
                    : pm_bitmap_next_set(judge->recorded, blocks.first, end)) == end;
}

static bool is_as_recorded(const PmReplayJudge *judge, Blocks blocks)
{
    const PmDiscardSource *source = pm_virtio_mem_get_source(judge->device);
    uint64_t block_size = judge->region->block_size;
    uint64_t end = blocks.first + blocks.count;
    uint64_t block = blocks.first;
    uint64_t offset;
    uint64_t size;

    while (pm_discard_source_next_populated(source, block * block_size, end * block_size, &offset,
                                            &size)) {
        Blocks gap = {block, offset / block_size - block};
        Blocks run = {offset / block_size, size / block_size};

        if (!all_recorded_as(judge, gap, false) || !all_recorded_as(judge, run, true))
            return false;
        block = run.first + run.count;
    }
    return all_recorded_as(judge, (Blocks){block, end - block}, false);
}

static uint64_t count_before(const PmReplayJudge *judge, const PmTraceEvent *event, int response)
{
    uint64_t plugged = pm_virtio_mem_get_plugged_size(judge->device) / judge->region->block_size;

    return event->type == PM_EVENT_PLUG && response == PM_VIRTIO_MEM_ACK ? plugged - event->n_blocks
                                                                         : plugged;
}

/*
 * Whether the state that determines the response had already diverged before the request: the state
 * of its blocks and, for a PLUG, the total number of plugged blocks. An ACK implies the state
 * before.
 */
static bool is_consequence(const PmReplayJudge *judge, const PmTraceEvent *event, int response)
{
    Blocks blocks = blocks_of(judge, event);
    bool as_recorded;

    if (event->type == PM_EVENT_PLUG &&
        count_before(judge, event, response) != pm_bitmap_n_set(judge->recorded))
        return true;
    if (blocks.count == 0)
        return false;
    if (response == PM_VIRTIO_MEM_ACK && event->type == PM_EVENT_PLUG)
        as_recorded = all_recorded_as(judge, blocks, false);
    else if (response == PM_VIRTIO_MEM_ACK && event->type == PM_EVENT_UNPLUG)
        as_recorded = all_recorded_as(judge, blocks, true);
    else if (response == PM_VIRTIO_MEM_ACK && event->type == PM_EVENT_UNPLUG_ALL)
        as_recorded = true;
    else
        as_recorded = is_as_recorded(judge, blocks);
    return !as_recorded;
}

/* --- responses --- */

/* If only a bound of the requested size is known, a recorded NACK within the bound may be correct:
 * the host may have requested less. */
bool pm_replay_judge_can_judge(const PmReplayJudge *judge, const PmTraceEvent *event)
{
    uint64_t plugged = pm_virtio_mem_get_plugged_size(judge->device);
    uint64_t requested = pm_virtio_mem_get_requested_size(judge->device);
    uint64_t size = event->n_blocks * judge->region->block_size;

    return !judge->region->requested_is_bound || event->type != PM_EVENT_PLUG ||
           event->response != PM_VIRTIO_MEM_NACK || plugged > requested ||
           size > requested - plugged;
}

void pm_replay_judge_leave_open(PmReplayJudge *judge, const PmTraceEvent *event, uint64_t bound)
{
    g_autofree char *size = pm_size_format(bound);
    g_autofree char *got =
        g_strdup_printf("ack or nack: requested size not recorded, at most %s", size);

    pm_replay_result_add_unjudged(judge->result, judge->region, event,
                                  pm_response_names[event->response], got);
}

void pm_replay_judge_compare(PmReplayJudge *judge, const PmTraceEvent *event,
                             PmVirtioMemAnswer answer, PmVirtioMemState state)
{
    int type = (int)answer;
    const GError *error = NULL;
    PmRefusal refusal = pm_virtio_mem_last_refusal(judge->device, &error);

    if (event->response >= 0 && event->response != type)
        pm_replay_result_add_divergence(
            judge->result, judge->region, event, pm_response_names[event->response],
            pm_response_names[type], (unsigned)type << 8 | (unsigned)refusal,
            error != NULL ? error->message : NULL, is_consequence(judge, event, type));
    else if (event->type == PM_EVENT_STATE && type == PM_VIRTIO_MEM_ACK && event->state >= 0 &&
             event->state != (int)state)
        pm_replay_result_add_divergence(judge->result, judge->region, event,
                                        pm_state_names[event->state], pm_state_names[state],
                                        (unsigned)state, NULL, is_consequence(judge, event, type));
    note(judge, event, type);
}

void pm_replay_judge_compare_conversion(PmReplayJudge *judge, const PmTraceEvent *event,
                                        const GError *refusal)
{
    if (refusal != NULL)
        pm_replay_result_add_divergence(judge->result, judge->region, event, "done", "refused",
                                        (unsigned)refusal->code, refusal->message, false);
}

void pm_replay_judge_compare_reset(PmReplayJudge *judge, const PmTraceEvent *event,
                                   const GError *refusal)
{
    PmRefusal cause = pm_virtio_mem_last_refusal(judge->device, NULL);

    if (refusal != NULL)
        pm_replay_result_add_divergence(judge->result, judge->region, event, "done", "refused",
                                        cause, refusal->message,
                                        is_consequence(judge, event, PM_VIRTIO_MEM_BUSY));
    note(judge, event, PM_VIRTIO_MEM_ACK);
}
