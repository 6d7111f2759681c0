/* SPDX-License-Identifier: MIT */
/* Binning: every event counts once, in the right column and row. */
#include "replay/timeline.h"

#include "util/trace_util.h"

#define ADDRESS (4 * PM_GIB)
#define BLOCK   (2 * PM_MIB)

/* Of @n_blocks blocks; the collector does not look at the events. */
static PmTrace *make_trace(unsigned n_regions, uint64_t n_blocks, unsigned n_events)
{
    PmTrace *trace = pm_trace_new("generated");

    for (unsigned i = 0; i < n_regions; i++)
        (void)pm_trace_add_region(trace, (PmTraceRegion){.address = ADDRESS + i * n_blocks * BLOCK,
                                                         .size = n_blocks * BLOCK,
                                                         .block_size = BLOCK});
    g_array_set_size(trace->events, n_events);
    return trace;
}

static PmTimeline *make_timeline(unsigned n_regions, uint64_t n_blocks, unsigned n_events)
{
    g_autoptr(PmTrace) trace = make_trace(n_regions, n_blocks, n_events);
    PmTimeline *timeline = pm_timeline_new(trace, NULL);

    assert_non_null(timeline);
    return timeline;
}

static void end_event(PmTimeline *timeline, uint64_t plugged)
{
    const uint64_t levels[PM_N_LEVELS] = {[PM_LEVEL_PLUGGED] = plugged};

    pm_timeline_end_event(timeline, levels);
}

static PmTraceEvent plug_at(uint64_t offset, unsigned line)
{
    return (PmTraceEvent){
        .type = PM_EVENT_PLUG, .address = ADDRESS + offset, .n_blocks = 1, .line = line};
}

static void refuse(PmTimeline *timeline, uint64_t offset, const char *cause, unsigned line)
{
    const PmTraceEvent event = plug_at(offset, line);

    pm_timeline_refuse(timeline, &event, "busy", cause, "a message");
}

static uint64_t sum_of_events(const PmTimeline *timeline)
{
    uint64_t n_events = 0;

    for (unsigned i = 0; i < timeline->n_columns; i++) {
        assert_int_equal(timeline->columns[i].first, n_events);
        n_events += timeline->columns[i].n_events;
    }
    return n_events;
}

static void few_events_have_a_column_each(void **state)
{
    g_autoptr(PmTimeline) timeline = make_timeline(1, 4, PM_TIMELINE_MAX_COLUMNS);

    (void)state;
    assert_int_equal(timeline->n_columns, PM_TIMELINE_MAX_COLUMNS);
    for (unsigned i = 0; i < PM_TIMELINE_MAX_COLUMNS; i++) {
        assert_int_equal(pm_timeline_n_used(timeline), i);
        assert_true(pm_timeline_ends_column(timeline));
        end_event(timeline, i);
        assert_int_equal(timeline->columns[i].levels[PM_LEVEL_PLUGGED].last, i);
    }
    assert_int_equal(pm_timeline_n_used(timeline), PM_TIMELINE_MAX_COLUMNS);
}

static void a_million_events_are_all_counted(void **state)
{
    const unsigned n_events = 1000003;
    g_autoptr(PmTimeline) timeline = make_timeline(1, 1000, n_events);
    uint64_t n_refused = 0;
    uint64_t n_dma = 0;
    uint64_t n_in_columns = 0;
    unsigned n_ends = 0;

    (void)state;
    for (unsigned i = 0; i < n_events; i++) {
        if (i % 3 == 0)
            refuse(timeline, i % 1000 * BLOCK, "limit", i);
        if (i % 7 == 0)
            pm_timeline_add_dma(timeline, 0, i % 999 * BLOCK);
        n_ends += pm_timeline_ends_column(timeline);
        end_event(timeline, i);
    }
    assert_int_equal(sum_of_events(timeline), n_events);
    assert_int_equal(n_ends, PM_TIMELINE_MAX_COLUMNS);
    for (unsigned i = 0; i < timeline->n_columns; i++) {
        const PmTimelineColumn *column = &timeline->columns[i];

        assert_in_range(column->n_events, n_events / timeline->n_columns,
                        n_events / timeline->n_columns + 1);
        assert_int_equal(column->levels[PM_LEVEL_PLUGGED].min, column->first);
        assert_int_equal(column->levels[PM_LEVEL_PLUGGED].max,
                         column->first + column->n_events - 1);
        n_in_columns += column->n_refused;
        for (unsigned row = 0; row < timeline->regions[0].n_rows; row++) {
            n_refused += pm_timeline_cell_at(timeline, 0, row, i)->n_refused;
            n_dma += pm_timeline_cell_at(timeline, 0, row, i)->n_dma;
        }
    }
    assert_int_equal(n_refused, (n_events + 2) / 3);
    assert_int_equal(n_in_columns, n_refused);
    assert_int_equal(n_dma, (n_events + 6) / 7);
    assert_int_equal(timeline->refusals->len, 1);
    assert_int_equal(pm_timeline_peak(timeline, PM_LEVEL_PLUGGED), n_events - 1);
}

static void rows_cover_the_region_in_whole_blocks(void **state)
{
    static const uint64_t counts[] = {1, 2, 63, 64, 65, 100, 127, 128, 1000, 2048, 1000003};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_autoptr(PmTimeline) timeline = make_timeline(1, counts[i], 1);
        const PmTimelineRegion *region = &timeline->regions[0];

        assert_int_equal(region->n_rows, MIN(counts[i], PM_TIMELINE_MAX_ROWS));
        assert_int_equal(pm_timeline_row_offset(region, 0), 0);
        assert_int_equal(pm_timeline_row_offset(region, region->n_rows), counts[i] * BLOCK);
        for (unsigned row = 0; row < region->n_rows; row++) {
            uint64_t from = pm_timeline_row_offset(region, row);
            uint64_t end = pm_timeline_row_offset(region, row + 1);

            assert_in_range((end - from) / BLOCK, counts[i] / region->n_rows,
                            counts[i] / region->n_rows + 1);
            assert_int_equal(pm_timeline_row_of(region, from), row);
            assert_int_equal(pm_timeline_row_of(region, end - 1), row);
        }
    }
}

static void a_state_lasts_until_it_changes(void **state)
{
    g_autoptr(PmTimeline) timeline = make_timeline(1, 4, 3);

    (void)state;
    pm_timeline_cell(timeline, 0, 1)->state.plugged = BLOCK;
    pm_timeline_cell(timeline, 0, 2)->quarantined = BLOCK;
    pm_timeline_add_dma(timeline, 0, BLOCK);
    end_event(timeline, 0);
    end_event(timeline, 0);
    assert_int_equal(pm_timeline_cell_at(timeline, 0, 1, 1)->state.plugged, BLOCK);
    assert_int_equal(pm_timeline_cell_at(timeline, 0, 1, 2)->state.plugged, BLOCK);
    assert_int_equal(pm_timeline_cell_at(timeline, 0, 2, 1)->quarantined, 0);
    assert_int_equal(pm_timeline_cell_at(timeline, 0, 1, 1)->n_dma, 0);
    assert_int_equal(pm_timeline_shows(timeline, 0),
                     PM_SHOWS_PLUGGED | PM_SHOWS_QUARANTINED | PM_SHOWS_DMA | PM_SHOWS_UNPLUGGED);
}

static void refusals_of_one_cause_are_one_with_its_lines(void **state)
{
    g_autoptr(PmTimeline) timeline = make_timeline(1, 4, 3);
    const PmTraceEvent outside = plug_at(100 * BLOCK, 9);
    const PmTraceEvent below = {.type = PM_EVENT_PLUG, .address = ADDRESS - BLOCK, .line = 10};
    const PmTimelineRefusal *first;

    (void)state;
    refuse(timeline, 0, "limit", 5);
    refuse(timeline, BLOCK, "limit", 6);
    refuse(timeline, BLOCK, "memory", 7);
    pm_timeline_refuse(timeline, &outside, "error", "limit", NULL);
    pm_timeline_refuse(timeline, &below, "error", "limit", NULL);
    assert_int_equal(timeline->refusals->len, 3);
    first = g_ptr_array_index(timeline->refusals, 0);
    assert_int_equal(first->count, 2);
    assert_int_equal(first->first_line, 5);
    assert_int_equal(first->last_line, 6);
    assert_string_equal(first->message, "a message");
    assert_int_equal(timeline->columns[0].n_refused, 5);
    assert_int_equal(pm_timeline_cell_at(timeline, 0, 0, 0)->n_refused, 1);
    assert_int_equal(pm_timeline_cell_at(timeline, 0, 1, 0)->n_refused, 2);
    assert_int_equal(pm_timeline_cell_at(timeline, 0, 3, 0)->n_refused, 0);
}

static void an_empty_trace_has_an_empty_timeline(void **state)
{
    g_autoptr(PmTimeline) timeline = make_timeline(1, 4, 0);

    (void)state;
    assert_int_equal(pm_timeline_n_used(timeline), 0);
    assert_int_equal(timeline->n_columns, 1);
    assert_int_equal(pm_timeline_peak(timeline, PM_LEVEL_PINNED), 0);
}

static void many_regions_share_the_rows(void **state)
{
    static const struct {
        unsigned n_regions;
        unsigned n_rows;
        unsigned n_drawn;
    } cases[] = {{2, 48, 2}, {3, 32, 3}, {16, 6, 16}, {256, 6, 16}};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(PmTimeline) timeline = make_timeline(cases[i].n_regions, 1000, 1);

        assert_int_equal(timeline->n_regions, cases[i].n_drawn);
        assert_int_equal(timeline->regions[0].n_rows, cases[i].n_rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_events_have_a_column_each),
        cmocka_unit_test(a_million_events_are_all_counted),
        cmocka_unit_test(rows_cover_the_region_in_whole_blocks),
        cmocka_unit_test(a_state_lasts_until_it_changes),
        cmocka_unit_test(refusals_of_one_cause_are_one_with_its_lines),
        cmocka_unit_test(an_empty_trace_has_an_empty_timeline),
        cmocka_unit_test(many_regions_share_the_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
