/* SPDX-License-Identifier: MIT */
#include "replay/replay_timeline.h"

typedef bool (*NextRunFunc)(const void *of, uint64_t offset, uint64_t end, uint64_t *run_offset,
                            uint64_t *run_size);

/* Guest addresses of a guest IOMMU's mapping. */
typedef struct {
    uint64_t first;
    uint64_t last;
} Range;

/* --- states --- */

static bool next_in_source(const void *of, uint64_t offset, uint64_t end, uint64_t *run_offset,
                           uint64_t *run_size)
{
    return pm_discard_source_next_populated(of, offset, end, run_offset, run_size);
}

static bool next_in_manager(const void *of, uint64_t offset, uint64_t end, uint64_t *run_offset,
                            uint64_t *run_size)
{
    return pm_discard_manager_next_populated(of, offset, end, run_offset, run_size);
}

/* Bytes of [@from, @end) in the runs that @next finds. */
static uint64_t count(NextRunFunc next, const void *of, uint64_t granularity, uint64_t from,
                      uint64_t end)
{
    uint64_t aligned_end = (end + granularity - 1) & ~(granularity - 1);
    uint64_t offset = from & ~(granularity - 1);
    uint64_t n_bytes = 0;
    uint64_t size;

    while (next(of, offset, aligned_end, &offset, &size)) {
        n_bytes += MIN(offset + size, end) - MAX(offset, from);
        offset += size;
    }
    return n_bytes;
}

static uint64_t count_open(const PmReplayDevice *of, uint64_t from, uint64_t end)
{
    const PmDiscardManager *manager = pm_virtio_mem_get_manager(of->device);

    return count(next_in_manager, manager, pm_discard_manager_get_granularity(manager), from, end);
}

/* What the mapper follows is mapped; of a guest IOMMU add_guest_range() adds it. */
static PmTimelineState state_of(const PmReplay *replay, unsigned region, uint64_t from,
                                uint64_t end)
{
    const PmReplayDevice *of = &replay->devices[region];
    uint64_t plugged = count(next_in_source, pm_virtio_mem_get_source(of->device),
                             of->region->block_size, from, end);
    uint64_t open = of->shared != NULL ? count_open(of, from, end) : plugged;

    return (PmTimelineState){
        .plugged = plugged,
        .mapped = replay->guest == NULL ? open : 0,
        .closed = plugged - open,
    };
}

static void set_states(PmReplay *replay, unsigned region)
{
    PmTimeline *timeline = replay->config->timeline;
    const PmTimelineRegion *of = &timeline->regions[region];

    for (unsigned row = 0; row < of->n_rows; row++)
        pm_timeline_cell(timeline, region, row)->state = state_of(
            replay, region, pm_timeline_row_offset(of, row), pm_timeline_row_offset(of, row + 1));
}

/* --- what an event changes --- */

/* Those that change one range are counted there, before and after: the cost does not depend on the
 * region. The states of others are stale, and counted at the end of the column. */
static bool changes_one_range(const PmReplay *replay, const PmTraceEvent *event)
{
    return replay->guest == NULL && event->region < replay->config->timeline->n_regions &&
           (event->type == PM_EVENT_PLUG || event->type == PM_EVENT_UNPLUG ||
            event->type == PM_EVENT_CONVERT);
}

static uint64_t size_of(const PmReplay *replay, const PmTraceEvent *event)
{
    return event->type == PM_EVENT_CONVERT
               ? event->size
               : event->n_blocks * pm_trace_region(replay->trace, event->region)->block_size;
}

/* @sign: 1: adds the state of the event's range to its cells; -1: subtracts it. */
static void add_range(PmReplay *replay, const PmTraceEvent *event, int sign)
{
    PmTimeline *timeline = replay->config->timeline;
    const PmTimelineRegion *region = &timeline->regions[event->region];
    uint64_t factor = (uint64_t)sign;
    uint64_t from = event->address - pm_trace_region(replay->trace, event->region)->address;
    uint64_t end = from + size_of(replay, event);

    while (from < end) {
        unsigned row = pm_timeline_row_of(region, from);
        uint64_t next = MIN(end, pm_timeline_row_offset(region, row + 1));
        const PmTimelineState part = state_of(replay, event->region, from, next);
        PmTimelineState *state = &pm_timeline_cell(timeline, event->region, row)->state;

        state->plugged += factor * part.plugged;
        state->mapped += factor * part.mapped;
        state->closed += factor * part.closed;
        from = next;
    }
}

void pm_replay_timeline_begin(PmReplay *replay, const PmTraceEvent *event)
{
    PmTimeline *timeline = replay->config->timeline;

    if (timeline == NULL)
        return;
    if (changes_one_range(replay, event))
        add_range(replay, event, -1);
    else if (event->type != PM_EVENT_STATE && event->type != PM_EVENT_RESIZE)
        timeline->is_stale = true;
}

/* --- with a guest IOMMU --- */

static int compare_ranges(const void *a, const void *b)
{
    const Range *first = a;
    const Range *second = b;

    return (first->first > second->first) - (first->first < second->first);
}

/* Ascending; overlapping ones are merged, because memory may be mapped several times. */
static GArray *guest_ranges(const PmReplayGuest *guest)
{
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(Range));
    PmGuestMapping mapping;
    guint n_merged = 0;

    for (uint64_t iova = 0; pm_replay_guest_next_mapping(guest, iova, &mapping);
         iova = mapping.last + 1) {
        const Range range = {mapping.address, mapping.address + (mapping.last - mapping.iova)};

        g_array_append_val(ranges, range);
        if (mapping.last == UINT64_MAX)
            break;
    }
    g_array_sort(ranges, compare_ranges);
    for (guint i = 0; i < ranges->len; i++) {
        Range range = g_array_index(ranges, Range, i);
        Range *last = &g_array_index(ranges, Range, n_merged > 0 ? n_merged - 1 : 0);

        if (n_merged > 0 && range.first <= last->last)
            last->last = MAX(last->last, range.last);
        else
            g_array_index(ranges, Range, n_merged++) = range;
    }
    g_array_set_size(ranges, n_merged);
    return ranges;
}

static void add_guest_range(PmReplay *replay, unsigned region, const Range *range)
{
    PmTimeline *timeline = replay->config->timeline;
    const PmTimelineRegion *of = &timeline->regions[region];
    uint64_t first = MAX(range->first, of->address);
    uint64_t last = MIN(range->last, of->address + (of->size - 1));

    while (first <= last) {
        uint64_t from = first - of->address;
        unsigned row = pm_timeline_row_of(of, from);
        uint64_t end = MIN(pm_timeline_row_offset(of, row + 1), last - of->address + 1);

        pm_timeline_cell(timeline, region, row)->state.mapped +=
            count_open(&replay->devices[region], from, end);
        first = of->address + end;
    }
}

/* After set_states(). */
static void sample_guest(PmReplay *replay)
{
    const PmTimeline *timeline = replay->config->timeline;
    g_autoptr(GArray) ranges = guest_ranges(replay->guest);

    for (unsigned region = 0; region < timeline->n_regions; region++)
        for (guint i = 0; i < ranges->len; i++)
            add_guest_range(replay, region, &g_array_index(ranges, Range, i));
}

/* --- quarantine --- */

static uint64_t count_quarantined(const PmDiscardManager *manager, uint64_t from, uint64_t end)
{
    uint64_t n_bytes = 0;
    uint64_t offset = from;
    uint64_t size;

    while (offset < end &&
           pm_discard_manager_next_quarantined(manager, offset, &offset, &size, NULL, NULL) &&
           offset < end) {
        n_bytes += MIN(offset + size, end) - MAX(offset, from);
        offset += size;
    }
    return n_bytes;
}

/* It may end before the column does. */
static void sample_quarantine(PmReplay *replay)
{
    PmTimeline *timeline = replay->config->timeline;

    for (unsigned region = 0; region < timeline->n_regions; region++) {
        const PmDiscardManager *manager = pm_virtio_mem_get_manager(replay->devices[region].device);
        const PmTimelineRegion *of = &timeline->regions[region];

        if (pm_discard_manager_get_quarantined(manager) == 0)
            continue;
        for (unsigned row = 0; row < of->n_rows; row++) {
            PmTimelineCell *cell = pm_timeline_cell(timeline, region, row);

            cell->quarantined =
                MAX(cell->quarantined, count_quarantined(manager, pm_timeline_row_offset(of, row),
                                                         pm_timeline_row_offset(of, row + 1)));
        }
    }
}

/* --- events --- */

const char *pm_replay_timeline_cause_of(const GError *error)
{
    if (error != NULL && error->domain == PM_ERROR)
        return pm_error_code_name((PmError)error->code);
    if (error != NULL && error->domain == PM_REFUSAL)
        return pm_refusal_code_name((PmRefusal)error->code);
    return "unknown";
}

/* Only a failed event puts memory into quarantine. */
void pm_replay_timeline_refuse(PmReplay *replay, const PmTraceEvent *event, const char *response,
                               const char *cause, const char *message)
{
    if (replay->config->timeline == NULL)
        return;
    pm_timeline_refuse(replay->config->timeline, event, response, cause, message);
    sample_quarantine(replay);
}

static void read_levels(PmReplay *replay, uint64_t levels[PM_N_LEVELS])
{
    for (guint i = 0; i < replay->trace->regions->len; i++) {
        const PmVirtioMem *device = replay->devices[i].device;

        levels[PM_LEVEL_PLUGGED] += pm_virtio_mem_get_plugged_size(device);
        levels[PM_LEVEL_REQUESTED] += pm_virtio_mem_get_requested_size(device);
    }
    levels[PM_LEVEL_PINNED] = pm_iommu_get_pinned_bytes(replay->iommu) - replay->own.n_bytes;
    levels[PM_LEVEL_MAPPINGS] = pm_iommu_get_n_mappings(replay->iommu) - replay->own.n_mappings;
}

static void refresh(PmReplay *replay)
{
    PmTimeline *timeline = replay->config->timeline;

    for (unsigned region = 0; region < timeline->n_regions; region++)
        set_states(replay, region);
    if (replay->guest != NULL)
        sample_guest(replay);
    timeline->is_stale = false;
}

void pm_replay_timeline_end(PmReplay *replay, const PmTraceEvent *event, bool last)
{
    PmTimeline *timeline = replay->config->timeline;
    uint64_t levels[PM_N_LEVELS] = {0};

    if (timeline == NULL)
        return;
    if (changes_one_range(replay, event))
        add_range(replay, event, 1);
    if (last || pm_timeline_ends_column(timeline)) {
        if (timeline->is_stale)
            refresh(replay);
        sample_quarantine(replay);
    }
    read_levels(replay, levels);
    pm_timeline_end_event(timeline, levels);
}
