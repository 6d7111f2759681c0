/* SPDX-License-Identifier: MIT */
/* The region over time: each row is a band as high as its share in each state, stacked. */
#include "replay/picture.h"

#include <inttypes.h>

#include "base/error_text.h"

#define HEIGHT   320
#define N_STEPS  8 /* heights within a row */
#define N_STACKS 3
#define N_TICKS  4

const PmPictureLegend pm_picture_states[] = {
    {"mapped", "plugged and mapped", false},
    {"plugged", "plugged, not mapped", false},
    {"closed", "plugged, private (second source)", false},
    {"quarantined", "in quarantine", false},
    {"refused", "refused request", true},
    {"dma", "checked by DMA", true},
    {"ground", "unplugged", false},
    {NULL, NULL, false},
};

/* Something is never nothing, and a part never everything. */
static unsigned steps(uint64_t part, uint64_t whole)
{
    if (part == 0)
        return 0;
    if (part >= whole)
        return N_STEPS;
    return CLAMP((unsigned)((double)part * N_STEPS / (double)whole), 1, N_STEPS - 1);
}

/* The upper end of the mapped, the plugged and the closed part. */
static unsigned stack_end(const PmTimelineState *state, unsigned stack, uint64_t whole)
{
    const uint64_t parts[N_STACKS] = {state->mapped, state->plugged - state->closed,
                                      state->plugged};

    return steps(parts[stack], whole);
}

static uint64_t row_size(const PmTimelineRegion *region, unsigned row)
{
    return pm_timeline_row_offset(region, row + 1) - pm_timeline_row_offset(region, row);
}

/* A band from the row's lower edge up; covered by the stacks below it, which are drawn later. */
static void add_band(GString *path, const PmTimeline *timeline, unsigned region, unsigned row,
                     unsigned stack)
{
    const PmTimelineRegion *of = &timeline->regions[region];
    unsigned n_used = pm_timeline_n_used(timeline);
    unsigned end = 0;
    unsigned from = 0;

    for (unsigned column = 0; column <= n_used; column++) {
        unsigned next = 0;

        if (column < n_used)
            next = stack_end(&pm_timeline_cell_at(timeline, region, row, column)->state, stack,
                             row_size(of, row));
        if (next == end)
            continue;
        if (end == 0)
            g_string_append_printf(path, "M%u %uv-%u", column, (of->n_rows - row) * N_STEPS, next);
        else
            g_string_append_printf(path, "h%uv%d", column - from, (int)end - (int)next);
        if (next == 0)
            g_string_append_c(path, 'z');
        end = next;
        from = column;
    }
}

static void add_stacks(GString *svg, const PmTimeline *timeline, unsigned region)
{
    for (unsigned stack = N_STACKS; stack-- > 0;) {
        g_string_append_printf(svg, "<path class=\"%s\" d=\"", pm_picture_states[stack].name);
        for (unsigned row = 0; row < timeline->regions[region].n_rows; row++)
            add_band(svg, timeline, region, row, stack);
        g_string_append(svg, "\"/>\n");
    }
}

static bool is_quarantined(const PmTimelineCell *cell)
{
    return cell->quarantined > 0;
}

static bool is_refused(const PmTimelineCell *cell)
{
    return cell->n_refused > 0;
}

static bool is_tried(const PmTimelineCell *cell)
{
    return cell->n_dma > 0;
}

typedef bool (*CellFunc)(const PmTimelineCell *cell);

/* The first column from @column on where @is differs. */
static unsigned run_end(const PmTimeline *timeline, unsigned region, unsigned row, unsigned column,
                        CellFunc is)
{
    unsigned n_used = pm_timeline_n_used(timeline);
    bool first = is(pm_timeline_cell_at(timeline, region, row, column));

    while (column < n_used && is(pm_timeline_cell_at(timeline, region, row, column)) == first)
        column++;
    return column;
}

/* Lines along the middle of rows; a single cell is a dot. With @whole: the cells. */
static void add_marks(GString *svg, const PmTimeline *timeline, unsigned region, const char *name,
                      CellFunc is, bool whole)
{
    unsigned n_rows = timeline->regions[region].n_rows;

    g_string_append_printf(svg, "<path class=\"%s\" d=\"", name);
    for (unsigned row = 0; row < n_rows; row++) {
        unsigned end;

        for (unsigned column = 0; column < pm_timeline_n_used(timeline); column = end) {
            end = run_end(timeline, region, row, column, is);
            if (!is(pm_timeline_cell_at(timeline, region, row, column)))
                continue;
            if (whole)
                g_string_append_printf(svg, "M%u %uh%uv-%dH%uz", column, (n_rows - row) * N_STEPS,
                                       end - column, N_STEPS, column);
            else
                g_string_append_printf(svg, "M%u.5 %uh%u", column,
                                       (n_rows - row) * N_STEPS - N_STEPS / 2, end - column - 1);
        }
    }
    g_string_append(svg, "\"/>\n");
}

static void add_addresses(GString *svg, const PmSvgPlot *plot, const PmTimelineRegion *region)
{
    for (unsigned i = 0; i <= N_TICKS; i++) {
        g_autofree char *address =
            g_strdup_printf("0x%" PRIx64, region->address + region->size / N_TICKS * i);

        pm_svg_add_y_tick(svg, plot, (double)i / N_TICKS, address);
    }
}

/* Events that were not played because the replay was interrupted. */
static void add_rest(GString *svg, const PmTimeline *timeline, unsigned height)
{
    unsigned n_used = pm_timeline_n_used(timeline);

    if (n_used < timeline->n_columns)
        g_string_append_printf(svg, "<rect class=\"rest\" x=\"%u\" width=\"%u\" height=\"%u\"/>\n",
                               n_used, timeline->n_columns - n_used, height);
}

unsigned pm_picture_add_region(GString *svg, const PmTimeline *timeline, unsigned region,
                               bool fluid, unsigned top)
{
    const PmTimelineRegion *of = &timeline->regions[region];
    const PmSvgPlot plot = {fluid, top, MAX(HEIGHT / of->n_rows, 1) * of->n_rows};

    pm_svg_begin_plot(svg, &plot);
    pm_svg_begin_data(svg, timeline->n_columns, of->n_rows * N_STEPS);
    add_stacks(svg, timeline, region);
    add_marks(svg, timeline, region, "quarantined", is_quarantined, true);
    add_rest(svg, timeline, of->n_rows * N_STEPS);
    pm_svg_end_data(svg);
    add_addresses(svg, &plot, of);
    pm_svg_begin_data(svg, timeline->n_columns, of->n_rows * N_STEPS);
    add_marks(svg, timeline, region, "dma", is_tried, false);
    add_marks(svg, timeline, region, "refused", is_refused, false);
    pm_svg_end_data(svg);
    pm_picture_add_event_ticks(svg, &plot, timeline);
    pm_svg_end_plot(svg);
    return plot.height + PM_SVG_BOTTOM;
}
