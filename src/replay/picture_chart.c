/* SPDX-License-Identifier: MIT */
/* Sizes and counts over time, as lines. */
#include "replay/picture.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"

#define HEIGHT      160
#define N_UNITS     1000 /* in a plot's height */
#define MAX_TICKS   4
#define LAST_TICK   0.75 /* room for the label at the end */
#define LIMIT_RATIO 4    /* a limit beyond so many times the peak is not drawn */

const PmPictureLegend pm_picture_sizes[] = {
    {"line-pinned", "pinned", true},
    {"line-plugged", "plugged", true},
    {"line-requested", "requested", true},
    {NULL, NULL, false},
};

/* 1, 2 or 5 times a power of ten. */
static uint64_t count_step(uint64_t top)
{
    static const uint64_t factors[] = {1, 2, 5};

    for (uint64_t ten = 1; ten < UINT64_MAX / 100; ten *= 10)
        for (size_t i = 0; i < G_N_ELEMENTS(factors); i++)
            if (top / (factors[i] * ten) < MAX_TICKS)
                return factors[i] * ten;
    return UINT64_MAX / 2;
}

void pm_picture_add_event_ticks(GString *svg, const PmSvgPlot *plot, const PmTimeline *timeline)
{
    uint64_t n_events = timeline->n_events;
    uint64_t step = count_step(n_events);
    g_autofree char *last = pm_count_text(n_events);
    g_autofree char *label = g_strdup_printf("event %s", last);

    for (uint64_t i = 0; (double)i < LAST_TICK * (double)n_events; i += step) {
        g_autofree char *number = pm_count_text(i);

        pm_svg_add_x_tick(svg, plot, (double)i / (double)n_events, number);
    }
    pm_svg_add_x_tick(svg, plot, 1, label);
}

static unsigned unit_of(uint64_t value, uint64_t top)
{
    return N_UNITS - (unsigned)((double)value / (double)top * N_UNITS + 0.5);
}

/* The value after each column's last event. */
static void add_line(GString *svg, const PmTimeline *timeline, PmTimelineLevel level,
                     const char *name, uint64_t top)
{
    unsigned n_used = pm_timeline_n_used(timeline);
    unsigned before = 0;

    if (n_used == 0)
        return;
    g_string_append_printf(svg, "<path class=\"%s\" d=\"", name);
    for (unsigned i = 0; i < n_used; i++) {
        unsigned y = unit_of(timeline->columns[i].levels[level].last, top);

        if (i == 0)
            g_string_append_printf(svg, "M0 %u", y);
        else if (y != before)
            g_string_append_printf(svg, "H%uV%u", i, y);
        before = y;
    }
    g_string_append_printf(svg, "H%u\"/>\n", n_used);
}

/* From the least to the largest value of each column. */
static void add_band(GString *svg, const PmTimeline *timeline, PmTimelineLevel level,
                     const char *name, uint64_t top)
{
    g_string_append_printf(svg, "<path class=\"%s band\" d=\"", name);
    for (unsigned i = 0; i < pm_timeline_n_used(timeline); i++) {
        const PmTimelineRange *range = &timeline->columns[i].levels[level];

        if (range->min != range->max)
            g_string_append_printf(svg, "M%u %uh1V%uh-1z", i, unit_of(range->min, top),
                                   unit_of(range->max, top));
    }
    g_string_append(svg, "\"/>\n");
}

/* --- sizes --- */

/* A power of two that divides @top into at most MAX_TICKS parts. */
static uint64_t size_step(uint64_t top)
{
    uint64_t step = 4096;

    while (step < UINT64_C(1) << 62 && top / step + (top % step != 0) > MAX_TICKS)
        step *= 2;
    return step;
}

static uint64_t top_of(uint64_t peak, uint64_t step)
{
    uint64_t rest = peak % step;

    return peak == 0 ? step : rest == 0 || peak > UINT64_MAX - step ? peak : peak - rest + step;
}

unsigned pm_picture_add_sizes(GString *svg, const PmTimeline *timeline, bool fluid, unsigned top)
{
    static const PmTimelineLevel levels[] = {PM_LEVEL_PINNED, PM_LEVEL_PLUGGED, PM_LEVEL_REQUESTED};
    const PmSvgPlot plot = {fluid, top, HEIGHT};
    uint64_t peak = MAX(MAX(pm_timeline_peak(timeline, PM_LEVEL_PLUGGED),
                            pm_timeline_peak(timeline, PM_LEVEL_REQUESTED)),
                        pm_timeline_peak(timeline, PM_LEVEL_PINNED));
    uint64_t step = size_step(peak);
    uint64_t axis = top_of(peak, step);

    pm_svg_begin_plot(svg, &plot);
    for (uint64_t i = 0; i <= axis / step; i++) {
        g_autofree char *size = pm_size_format(i * step);

        pm_svg_add_y_tick(svg, &plot, (double)(i * step) / (double)axis, size);
    }
    pm_svg_begin_data(svg, timeline->n_columns, N_UNITS);
    add_band(svg, timeline, PM_LEVEL_PLUGGED, "line-plugged", axis);
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
        add_line(svg, timeline, levels[i], pm_picture_sizes[i].name, axis);
    pm_svg_end_data(svg);
    pm_picture_add_event_ticks(svg, &plot, timeline);
    pm_svg_end_plot(svg);
    return plot.height + PM_SVG_BOTTOM;
}

/* --- mappings --- */

bool pm_picture_has_limit(const PmTimeline *timeline, uint64_t limit)
{
    uint64_t peak = pm_timeline_peak(timeline, PM_LEVEL_MAPPINGS);

    return limit != UINT64_MAX && limit / LIMIT_RATIO <= peak;
}

unsigned pm_picture_add_mappings(GString *svg, const PmTimeline *timeline, uint64_t limit,
                                 bool fluid, unsigned top)
{
    const PmSvgPlot plot = {fluid, top, HEIGHT};
    uint64_t peak = pm_timeline_peak(timeline, PM_LEVEL_MAPPINGS);
    bool has_limit = pm_picture_has_limit(timeline, limit);
    uint64_t highest = has_limit ? MAX(peak, limit) : peak;
    uint64_t step = count_step(highest);
    uint64_t axis = top_of(highest, step);

    pm_svg_begin_plot(svg, &plot);
    for (uint64_t i = 0; i <= axis / step; i++) {
        g_autofree char *count = pm_count_text(i * step);

        pm_svg_add_y_tick(svg, &plot, (double)(i * step) / (double)axis, count);
    }
    pm_svg_begin_data(svg, timeline->n_columns, N_UNITS);
    add_band(svg, timeline, PM_LEVEL_MAPPINGS, "line-mappings", axis);
    add_line(svg, timeline, PM_LEVEL_MAPPINGS, "line-mappings", axis);
    if (has_limit)
        g_string_append_printf(svg, "<path class=\"line-limit\" d=\"M0 %uH%u\"/>\n",
                               unit_of(limit, axis), timeline->n_columns);
    pm_svg_end_data(svg);
    pm_picture_add_event_ticks(svg, &plot, timeline);
    pm_svg_end_plot(svg);
    return plot.height + PM_SVG_BOTTOM;
}
