/* SPDX-License-Identifier: MIT */
#include "replay/timeline.h"

#include "base/error_text.h"

static void refusal_free(void *data)
{
    PmTimelineRefusal *refusal = data;

    g_free(refusal->message);
    g_free(refusal);
}

/* Whole blocks in each row. */
static unsigned count_rows(uint64_t n_blocks, unsigned n_regions)
{
    uint64_t n_rows = MIN(PM_TIMELINE_MAX_ROWS, PM_TIMELINE_ALL_ROWS / n_regions);

    return (unsigned)CLAMP(n_blocks, 1, n_rows);
}

static bool add_region(PmTimeline *timeline, unsigned index, const PmTraceRegion *of)
{
    PmTimelineRegion *region = &timeline->regions[index];

    region->address = of->address;
    region->size = of->size;
    region->block_size = of->block_size;
    region->n_rows = count_rows(of->size / of->block_size, timeline->n_regions);
    region->cells = g_try_new0(PmTimelineCell, (gsize)region->n_rows * timeline->n_columns);
    return region->cells != NULL;
}

PmTimeline *pm_timeline_new(const PmTrace *trace, GError **error)
{
    g_autoptr(PmTimeline) timeline = g_new0(PmTimeline, 1);

    timeline->n_events = trace->events->len;
    timeline->n_columns = CLAMP(trace->events->len, 1, PM_TIMELINE_MAX_COLUMNS);
    timeline->columns = g_new0(PmTimelineColumn, timeline->n_columns);
    timeline->n_regions = MIN(trace->regions->len, PM_TIMELINE_MAX_REGIONS);
    timeline->regions = g_new0(PmTimelineRegion, timeline->n_regions);
    timeline->refusals = g_ptr_array_new_with_free_func(refusal_free);
    for (unsigned i = 0; i < timeline->n_regions; i++) {
        if (add_region(timeline, i, pm_trace_region(trace, i)))
            continue;
        pm_fail(error, PM_ERROR_MEMORY, "out of memory for the timeline of the replay");
        return NULL;
    }
    return g_steal_pointer(&timeline);
}

void pm_timeline_free(PmTimeline *timeline)
{
    if (timeline == NULL)
        return;
    for (unsigned i = 0; i < timeline->n_regions; i++)
        g_free(timeline->regions[i].cells);
    g_free(timeline->regions);
    g_free(timeline->columns);
    g_ptr_array_unref(timeline->refusals);
    g_free(timeline);
}

/* --- rows and columns --- */

static unsigned column_of(const PmTimeline *timeline, uint64_t event)
{
    event = MIN(event, MAX(timeline->n_events, 1) - 1);
    return (unsigned)(event * timeline->n_columns / MAX(timeline->n_events, 1));
}

static unsigned current_column(const PmTimeline *timeline)
{
    return column_of(timeline, timeline->n_played);
}

uint64_t pm_timeline_row_offset(const PmTimelineRegion *region, unsigned row)
{
    uint64_t n_blocks = region->size / region->block_size;
    uint64_t whole = n_blocks / region->n_rows;
    uint64_t rest = n_blocks % region->n_rows;

    if (row == region->n_rows)
        return region->size;
    return (whole * row + MIN(row, rest)) * region->block_size;
}

unsigned pm_timeline_row_of(const PmTimelineRegion *region, uint64_t offset)
{
    uint64_t n_blocks = region->size / region->block_size;
    uint64_t whole = n_blocks / region->n_rows;
    uint64_t rest = n_blocks % region->n_rows;
    uint64_t block = offset / region->block_size;
    uint64_t large = rest * (whole + 1); /* blocks in the rows with one more */

    if (block >= n_blocks)
        return region->n_rows - 1;
    return (unsigned)(block < large ? block / (whole + 1) : rest + (block - large) / whole);
}

PmTimelineCell *pm_timeline_cell(PmTimeline *timeline, unsigned region, unsigned row)
{
    return &timeline->regions[region].cells[row * timeline->n_columns + current_column(timeline)];
}

const PmTimelineCell *pm_timeline_cell_at(const PmTimeline *timeline, unsigned region, unsigned row,
                                          unsigned column)
{
    return &timeline->regions[region].cells[row * timeline->n_columns + column];
}

/* --- while an event is played --- */

static bool has_picture(const PmTimeline *timeline, unsigned region, uint64_t offset)
{
    return region < timeline->n_regions && offset < timeline->regions[region].size;
}

static PmTimelineRefusal *find_refusal(PmTimeline *timeline, PmEventType type, const char *response,
                                       const char *cause)
{
    for (guint i = 0; i < timeline->refusals->len; i++) {
        PmTimelineRefusal *refusal = g_ptr_array_index(timeline->refusals, i);

        if (refusal->type == type && g_str_equal(refusal->response, response) &&
            g_str_equal(refusal->cause, cause))
            return refusal;
    }
    return NULL;
}

static void draw_refusal(PmTimeline *timeline, const PmTraceEvent *event)
{
    uint64_t offset;

    if (!pm_event_type_has_blocks(event->type) && event->type != PM_EVENT_CONVERT)
        return;
    if (event->region >= timeline->n_regions)
        return;
    offset = event->address - timeline->regions[event->region].address;
    if (has_picture(timeline, event->region, offset))
        pm_timeline_cell(timeline, event->region,
                         pm_timeline_row_of(&timeline->regions[event->region], offset))
            ->n_refused++;
}

void pm_timeline_refuse(PmTimeline *timeline, const PmTraceEvent *event, const char *response,
                        const char *cause, const char *message)
{
    PmTimelineRefusal *refusal = find_refusal(timeline, event->type, response, cause);

    if (refusal == NULL) {
        refusal = g_new(PmTimelineRefusal, 1);
        *refusal = (PmTimelineRefusal){.type = event->type,
                                       .response = response,
                                       .cause = cause,
                                       .first_line = event->line,
                                       .message = g_strdup(message)};
        g_ptr_array_add(timeline->refusals, refusal);
    }
    refusal->count++;
    refusal->last_line = event->line;
    timeline->columns[current_column(timeline)].n_refused++;
    draw_refusal(timeline, event);
}

void pm_timeline_add_dma(PmTimeline *timeline, unsigned region, uint64_t offset)
{
    if (has_picture(timeline, region, offset))
        pm_timeline_cell(timeline, region, pm_timeline_row_of(&timeline->regions[region], offset))
            ->n_dma++;
}

/* --- the end of an event --- */

bool pm_timeline_ends_column(const PmTimeline *timeline)
{
    return timeline->n_played + 1 >= timeline->n_events ||
           column_of(timeline, timeline->n_played + 1) != current_column(timeline);
}

static void extend(PmTimelineRange *range, uint64_t value, bool is_first)
{
    range->min = is_first ? value : MIN(range->min, value);
    range->max = MAX(range->max, value);
    range->last = value;
}

/* The state lasts until a later event changes it. */
static void begin_column(PmTimeline *timeline, unsigned column)
{
    for (unsigned i = 0; i < timeline->n_regions; i++) {
        PmTimelineRegion *region = &timeline->regions[i];

        for (unsigned row = 0; row < region->n_rows; row++) {
            PmTimelineCell *cell = &region->cells[row * timeline->n_columns + column];

            cell->state = cell[-1].state;
        }
    }
}

void pm_timeline_end_event(PmTimeline *timeline, const uint64_t levels[PM_N_LEVELS])
{
    unsigned number = current_column(timeline);
    PmTimelineColumn *column = &timeline->columns[number];

    for (unsigned i = 0; i < PM_N_LEVELS; i++)
        extend(&column->levels[i], levels[i], column->n_events == 0);
    if (column->n_events == 0)
        column->first = timeline->n_played;
    column->n_events++;
    timeline->n_played++;
    if (current_column(timeline) != number)
        begin_column(timeline, current_column(timeline));
}

/* --- for reports --- */

unsigned pm_timeline_n_used(const PmTimeline *timeline)
{
    return timeline->n_played == 0 ? 0 : column_of(timeline, timeline->n_played - 1) + 1;
}

uint64_t pm_timeline_peak(const PmTimeline *timeline, PmTimelineLevel level)
{
    uint64_t peak = 0;

    for (unsigned i = 0; i < timeline->n_columns; i++)
        peak = MAX(peak, timeline->columns[i].levels[level].max);
    return peak;
}

static unsigned shows(const PmTimelineCell *cell)
{
    const PmTimelineState *state = &cell->state;

    return (state->mapped > 0 ? PM_SHOWS_MAPPED : 0) | (state->closed > 0 ? PM_SHOWS_CLOSED : 0) |
           (state->plugged > state->mapped + state->closed ? PM_SHOWS_PLUGGED : 0) |
           (cell->quarantined > 0 ? PM_SHOWS_QUARANTINED : 0) |
           (cell->n_refused > 0 ? PM_SHOWS_REFUSED : 0) | (cell->n_dma > 0 ? PM_SHOWS_DMA : 0);
}

unsigned pm_timeline_shows(const PmTimeline *timeline, unsigned region)
{
    const PmTimelineRegion *of = &timeline->regions[region];
    unsigned all = PM_SHOWS_UNPLUGGED;

    for (unsigned i = 0; i < of->n_rows * timeline->n_columns; i++)
        all |= shows(&of->cells[i]);
    return all;
}
