/* SPDX-License-Identifier: MIT */
#include "plan/trace_region_state.h"

#include "base/bitmap.h"

struct PmTraceRegionState {
    const PmTraceRegion *region;
    uint64_t factor;
    uint64_t unit; /* bytes of a mapping */
    uint64_t requested_size;
    PmBitmap *plugged;   /* recorded blocks */
    PmBitmap *shared;    /* units; NULL: all, always */
    uint32_t *n_plugged; /* recorded blocks in each block */
    uint64_t n_mapped;   /* units */
};

static uint64_t n_units_of(const PmTraceRegionState *state)
{
    return state->factor * state->region->block_size / state->unit;
}

PmTraceRegionState *pm_trace_region_state_new(const PmTraceRegion *region, uint64_t factor)
{
    g_autoptr(PmTraceRegionState) state = g_new0(PmTraceRegionState, 1);
    uint64_t n_recorded = region->size / region->block_size;
    uint64_t block_size = factor * region->block_size;

    state->region = region;
    state->factor = factor;
    state->requested_size = region->requested_size;
    state->unit = region->granularity != 0 ? MIN(region->granularity, block_size) : block_size;
    state->plugged = pm_bitmap_new(n_recorded);
    state->n_plugged = g_try_new0(uint32_t, n_recorded / factor);
    if (region->granularity != 0)
        state->shared = pm_bitmap_new(region->size / state->unit);
    if (state->plugged == NULL || state->n_plugged == NULL ||
        (region->granularity != 0 && state->shared == NULL))
        return NULL;
    if (state->shared != NULL)
        pm_bitmap_set(state->shared, 0, region->size / state->unit);
    return g_steal_pointer(&state);
}

void pm_trace_region_state_free(PmTraceRegionState *state)
{
    g_clear_pointer(&state->plugged, pm_bitmap_free);
    g_clear_pointer(&state->shared, pm_bitmap_free);
    g_free(state->n_plugged);
    g_free(state);
}

static uint64_t count_shared(const PmTraceRegionState *state, uint64_t first, uint64_t end)
{
    uint64_t n_shared = 0;

    if (state->shared == NULL)
        return end - first;
    while ((first = pm_bitmap_next_set(state->shared, first, end)) < end) {
        uint64_t clear = pm_bitmap_next_clear(state->shared, first, end);

        n_shared += clear - first;
        first = clear;
    }
    return n_shared;
}

static uint64_t count_in_block(const PmTraceRegionState *state, uint64_t block)
{
    uint64_t n_units = n_units_of(state);

    return count_shared(state, block * n_units, (block + 1) * n_units);
}

static void plug(PmTraceRegionState *state, uint64_t first, uint64_t count)
{
    pm_bitmap_set(state->plugged, first, count);
    for (uint64_t i = first; i < first + count; i++)
        if (state->n_plugged[i / state->factor]++ == 0)
            state->n_mapped += count_in_block(state, i / state->factor);
}

static void unplug(PmTraceRegionState *state, uint64_t first, uint64_t count)
{
    pm_bitmap_clear(state->plugged, first, count);
    for (uint64_t i = first; i < first + count; i++)
        if (--state->n_plugged[i / state->factor] == 0)
            state->n_mapped -= count_in_block(state, i / state->factor);
}

static void unplug_all(PmTraceRegionState *state)
{
    uint64_t n_recorded = pm_bitmap_n_bits(state->plugged);
    uint64_t first = 0;

    while ((first = pm_bitmap_next_set(state->plugged, first, n_recorded)) < n_recorded) {
        uint64_t end = pm_bitmap_next_clear(state->plugged, first, n_recorded);

        unplug(state, first, end - first);
        first = end;
    }
}

/* Units of plugged blocks in [@first, @end) that are mapped. */
static uint64_t count_mapped(const PmTraceRegionState *state, uint64_t first, uint64_t end)
{
    uint64_t n_units = n_units_of(state);
    uint64_t n_mapped = 0;

    for (uint64_t at = first; at < end; at = (at / n_units + 1) * n_units)
        if (state->n_plugged[at / n_units] > 0)
            n_mapped += count_shared(state, at, MIN(end, (at / n_units + 1) * n_units));
    return n_mapped;
}

static void convert(PmTraceRegionState *state, const PmTraceEvent *event)
{
    uint64_t first = (event->address - state->region->address) / state->unit;
    uint64_t count = event->size / state->unit;

    state->n_mapped -= count_mapped(state, first, first + count);
    if (event->shared)
        pm_bitmap_set(state->shared, first, count);
    else
        pm_bitmap_clear(state->shared, first, count);
    state->n_mapped += count_mapped(state, first, first + count);
}

static bool is_inside(const PmTraceRegionState *state, const PmTraceEvent *event)
{
    const PmTraceRegion *region = state->region;

    return (event->address - region->address) % region->block_size == 0 &&
           pm_trace_region_check_range(region, event->address, event->n_blocks, NULL);
}

/* Whether a request succeeds, but for the limits of the host; a recorded response says so, unless
 * it contradicts earlier ones. */
static bool is_granted(const PmTraceRegionState *state, const PmTraceEvent *event, uint64_t first)
{
    uint64_t end = first + event->n_blocks;
    uint64_t size = (pm_bitmap_n_set(state->plugged) + event->n_blocks) * state->region->block_size;

    if (!is_inside(state, event))
        return false;
    if (event->type == PM_EVENT_UNPLUG)
        return pm_bitmap_next_clear(state->plugged, first, end) == end;
    return pm_bitmap_next_set(state->plugged, first, end) == end &&
           (event->response >= 0 || state->region->requested_is_bound ||
            size <= state->requested_size);
}

void pm_trace_region_state_play(PmTraceRegionState *state, const PmTraceEvent *event)
{
    uint64_t first = (event->address - state->region->address) / state->region->block_size;

    switch (event->type) {
    case PM_EVENT_PLUG:
        if (is_granted(state, event, first))
            plug(state, first, event->n_blocks);
        break;
    case PM_EVENT_UNPLUG:
        if (is_granted(state, event, first))
            unplug(state, first, event->n_blocks);
        break;
    case PM_EVENT_UNPLUG_ALL:
    case PM_EVENT_RESET:
        unplug_all(state);
        break;
    case PM_EVENT_RESIZE:
        state->requested_size = event->size;
        break;
    case PM_EVENT_CONVERT:
        convert(state, event);
        break;
    default:
        break;
    }
}

uint64_t pm_trace_region_state_n_mapped(const PmTraceRegionState *state)
{
    return state->n_mapped;
}

uint64_t pm_trace_region_state_n_bytes(const PmTraceRegionState *state)
{
    return state->n_mapped * state->unit;
}
