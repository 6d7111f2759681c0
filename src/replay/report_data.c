/* SPDX-License-Identifier: MIT */
#include "replay/report_data.h"

#include <inttypes.h>
#include <string.h>

#define N_DIGITS 6
#define ALL      63

/* Something is never nothing, and a part never everything. */
static unsigned share(uint64_t part, uint64_t whole)
{
    if (part == 0)
        return 0;
    if (part >= whole)
        return ALL;
    return CLAMP((unsigned)((double)part * ALL / (double)whole), 1, ALL - 1);
}

static void encode(const PmTimelineCell *cell, uint64_t size, unsigned digits[N_DIGITS])
{
    const PmTimelineState *state = &cell->state;

    digits[0] = share(state->mapped, size);
    digits[1] = share(state->plugged - state->mapped - state->closed, size);
    digits[2] = share(state->closed, size);
    digits[3] = share(cell->quarantined, size);
    digits[4] = (unsigned)MIN(cell->n_refused, ALL);
    digits[5] = (unsigned)MIN(cell->n_dma, ALL);
}

static void add_run(GString *json, const unsigned digits[N_DIGITS], unsigned n_columns)
{
    static const char names[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for (unsigned i = 0; i < N_DIGITS; i++)
        g_string_append_c(json, names[digits[i]]);
    g_string_append_c(json, names[n_columns / (ALL + 1)]);
    g_string_append_c(json, names[n_columns % (ALL + 1)]);
}

static void add_row(GString *json, const PmTimeline *timeline, unsigned region, unsigned row)
{
    const PmTimelineRegion *of = &timeline->regions[region];
    uint64_t size = pm_timeline_row_offset(of, row + 1) - pm_timeline_row_offset(of, row);
    unsigned current[N_DIGITS];
    unsigned n_columns = 0;

    g_string_append(json, row > 0 ? ",\"" : "\"");
    for (unsigned column = 0; column < pm_timeline_n_used(timeline); column++) {
        unsigned next[N_DIGITS];

        encode(pm_timeline_cell_at(timeline, region, row, column), size, next);
        if (n_columns > 0 && memcmp(current, next, sizeof(next)) != 0) {
            add_run(json, current, n_columns);
            n_columns = 0;
        }
        memcpy(current, next, sizeof(next));
        n_columns++;
    }
    if (n_columns > 0)
        add_run(json, current, n_columns);
    g_string_append_c(json, '"');
}

static void add_region(GString *json, const PmTimeline *timeline, unsigned region)
{
    const PmTimelineRegion *of = &timeline->regions[region];

    g_string_append(json, "{\"rows\":[");
    for (unsigned row = 0; row <= of->n_rows; row++)
        g_string_append_printf(json, "%s\"0x%" PRIx64 "\"", row > 0 ? "," : "",
                               of->address + pm_timeline_row_offset(of, row));
    g_string_append(json, "],\"cells\":[");
    for (unsigned row = 0; row < of->n_rows; row++)
        add_row(json, timeline, region, row);
    g_string_append(json, "]}");
}

static void add_column(GString *json, const PmTimelineColumn *column)
{
    g_string_append_printf(json, "[%" PRIu64 ",%" PRIu64 ",%" PRIu64, column->first,
                           column->n_events, column->n_refused);
    for (unsigned i = 0; i < PM_N_LEVELS; i++)
        g_string_append_printf(json, ",%" PRIu64, column->levels[i].last);
    g_string_append_c(json, ']');
}

char *pm_report_data(const PmTimeline *timeline)
{
    GString *json = g_string_new(NULL);

    g_string_append_printf(json, "{\"columns\":%u,\"events\":[", timeline->n_columns);
    for (unsigned i = 0; i < pm_timeline_n_used(timeline); i++) {
        g_string_append(json, i > 0 ? "," : "");
        add_column(json, &timeline->columns[i]);
    }
    g_string_append(json, "],\"regions\":[");
    for (unsigned i = 0; i < timeline->n_regions; i++) {
        g_string_append(json, i > 0 ? "," : "");
        add_region(json, timeline, i);
    }
    g_string_append(json, "]}");
    return g_string_free(json, FALSE);
}
