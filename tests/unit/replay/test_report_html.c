/* SPDX-License-Identifier: MIT */
/* The page and the picture: small, well-formed, and safe whatever is in the trace. */
#include "replay/report_html.h"

#include <json-glib/json-glib.h>

#include "replay/report_svg.h"
#include "replay/svg.h"
#include "util/trace_util.h"

#define ADDRESS (4 * PM_GIB)
#define BLOCK   (2 * PM_MIB)

typedef struct {
    PmTrace *trace;
    PmTimeline *timeline;
    PmReplayResult *result;
} Made;

static void made_clear(Made *made)
{
    pm_replay_result_free(made->result);
    pm_timeline_free(made->timeline);
    pm_trace_free(made->trace);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Made, made_clear)

static void make(Made *made, const char *file, unsigned n_regions, unsigned n_events)
{
    made->trace = pm_trace_new(file);
    made->trace->format = "plugmap";
    made->result = pm_replay_result_new();
    for (unsigned i = 0; i < n_regions; i++) {
        PmReplayRegionEnd end = {.runs = g_array_new(FALSE, FALSE, sizeof(PmReplayRun)),
                                 .holders = g_ptr_array_new()};

        (void)pm_trace_add_region(made->trace,
                                  (PmTraceRegion){.address = ADDRESS + i * UINT64_C(1024) * BLOCK,
                                                  .size = 1024 * BLOCK,
                                                  .block_size = BLOCK,
                                                  .name = n_regions > 1 ? g_strdup(file) : NULL});
        g_array_append_val(made->result->region_ends, end);
    }
    g_array_set_size(made->trace->events, n_events);
    made->timeline = pm_timeline_new(made->trace, NULL);
    made->result->mapping_limit = 65535;
}

static char *make_page(const Made *made)
{
    const PmJsonReport report = {.command = "replay",
                                 .version = "1",
                                 .trace = made->trace,
                                 .backend = "fake",
                                 .result = made->result};

    return pm_report_html(&report, made->timeline);
}

/* Every cell has another state than its neighbours, and everything that can be drawn. */
static void fill_at_random(PmTimeline *timeline)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);

    for (uint64_t i = 0; i < timeline->n_events; i++) {
        const uint64_t levels[PM_N_LEVELS] = {g_rand_int(random), g_rand_int(random),
                                              g_rand_int(random), g_rand_int(random)};

        pm_timeline_end_event(timeline, levels);
    }
    for (unsigned region = 0; region < timeline->n_regions; region++) {
        PmTimelineRegion *of = &timeline->regions[region];

        for (unsigned i = 0; i < of->n_rows * timeline->n_columns; i++) {
            uint64_t plugged = g_rand_int(random) % (16 * BLOCK);
            uint64_t mapped = plugged > 0 ? g_rand_int(random) % plugged : 0;

            of->cells[i] = (PmTimelineCell){
                .state = {.plugged = plugged, .mapped = mapped, .closed = (plugged - mapped) / 2},
                .quarantined = i % 2 * BLOCK,
                .n_refused = i % 2 == 0 ? g_rand_int(random) : 0,
                .n_dma = i % 2,
            };
        }
    }
}

static void assert_well_formed(const char *xml)
{
    static const GMarkupParser parser = {.error = NULL};
    GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, NULL, NULL);
    g_autoptr(GError) error = NULL;

    if (!g_markup_parse_context_parse(context, xml, -1, &error) ||
        !g_markup_parse_context_end_parse(context, &error))
        fail_msg("%s", error->message);
    g_markup_parse_context_free(context);
}

static void a_million_events_of_many_regions_make_a_small_page(void **state)
{
    static const unsigned counts[] = {1, 2, 16, 256};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_auto(Made) made = {0};
        g_autofree char *page = NULL;
        g_autofree char *picture = NULL;

        make(&made, "generated", counts[i], 1000000);
        fill_at_random(made.timeline);
        page = make_page(&made);
        picture = pm_report_svg(made.trace, made.result, made.timeline);
        assert_in_range(strlen(page), 100000, 2 * PM_MIB - 1);
        assert_in_range(strlen(picture), 100000, 2 * PM_MIB - 1);
        assert_well_formed(picture);
    }
}

static void many_findings_make_a_small_page(void **state)
{
    g_auto(Made) made = {0};
    g_autofree char *page = NULL;
    const PmTraceEvent event = {.type = PM_EVENT_PLUG, .n_blocks = 1, .address = ADDRESS};

    (void)state;
    make(&made, "generated", 1, 1);
    for (unsigned i = 0; i < PM_REPLAY_MAX_DIVERGENCES; i++) {
        pm_replay_result_add_divergence(made.result, NULL, &event, "ack", "busy", 1, "a reason",
                                        false);
        pm_replay_result_add_unjudged(made.result, NULL, &event, "ack", "busy");
    }
    page = make_page(&made);
    assert_in_range(strlen(page), 1, PM_MIB / 4);
    assert_non_null(strstr(page, "value=\"100000\">100,000</data>"));
}

static unsigned count(const char *text, const char *part)
{
    g_auto(GStrv) parts = g_strsplit(text, part, -1);

    return g_strv_length(parts) - 1;
}

/* Text of the trace is never markup, script or a place in the template. */
static void names_from_outside_are_escaped(void **state)
{
    static const char name[] = "<script>alert(1)</script>\"'&@body@<!--\x01\xff\xef\xbf\xbf";
    const PmTraceEvent event = {.type = PM_EVENT_PLUG, .n_blocks = 1, .address = ADDRESS};
    g_auto(Made) made = {0};
    g_autofree char *page = NULL;
    g_autofree char *picture = NULL;

    (void)state;
    make(&made, name, 2, 1);
    made.trace->warning = g_strdup(name);
    pm_timeline_refuse(made.timeline, &event, "busy", "limit", name);
    pm_replay_result_add_divergence(made.result, pm_trace_region(made.trace, 0), &event, name, name,
                                    1, name, false);
    pm_replay_result_add_mismatch(made.result, pm_trace_region(made.trace, 0), &event, 1, name);
    page = make_page(&made);
    picture = pm_report_svg(made.trace, made.result, made.timeline);
    assert_well_formed(picture);
    assert_true(g_utf8_validate(page, -1, NULL));
    assert_null(strstr(page, "<script>alert"));
    assert_null(strstr(picture, "<script"));
    assert_null(strchr(page, '\x01'));
    assert_null(strchr(picture, '\x01'));
    assert_null(strstr(page, "&#x1;"));
    assert_null(strstr(picture, "&#x1;"));
    assert_null(strstr(page, "<!--\xef"));
    assert_int_equal(count(page, "<script"), 3);
    assert_int_equal(count(page, "<main>"), 1);
    assert_true(count(page, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&apos;&amp;@body@") +
                    count(page, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;@body@") >=
                8);
}

static char *between(const char *text, const char *before, const char *after)
{
    const char *from = strstr(text, before);
    const char *end;

    assert_non_null(from);
    from += strlen(before);
    end = strstr(from, after);
    assert_non_null(end);
    return g_strndup(from, (gsize)(end - from));
}

static void the_page_has_the_report_and_allows_nothing_else(void **state)
{
    g_auto(Made) made = {0};
    g_autofree char *page = NULL;
    g_autofree char *json = NULL;
    g_autofree char *timeline = NULL;
    g_autoptr(JsonParser) parser = json_parser_new();

    (void)state;
    make(&made, "a </script> b", 1, 1);
    page = make_page(&made);
    json = between(page, "<script type=\"application/json\" id=\"report\">", "</script>");
    timeline = between(page, "<script type=\"application/json\" id=\"timeline\">", "</script>");
    assert_true(json_parser_load_from_data(parser, timeline, -1, NULL));
    assert_true(json_parser_load_from_data(parser, json, -1, NULL));
    assert_string_equal(json_object_get_string_member(
                            json_object_get_object_member(
                                json_node_get_object(json_parser_get_root(parser)), "trace"),
                            "file"),
                        "a </script> b");
    assert_non_null(strstr(page, "default-src 'none'; img-src data:; style-src 'sha256-"));
    assert_null(strstr(page, " src="));
    assert_int_equal(count(page, " href="), 1);
    assert_non_null(strstr(page, "<link rel=\"icon\" href=\"data:,\">"));
    assert_null(strstr(page, "style=\""));
    assert_null(strstr(page, "@import"));
}

static void an_interrupted_replay_is_marked_as_partial(void **state)
{
    g_auto(Made) made = {0};
    g_autofree char *page = NULL;
    g_autofree char *picture = NULL;
    const uint64_t levels[PM_N_LEVELS] = {0};

    (void)state;
    make(&made, "generated", 1, 40);
    made.result->stopped = true;
    for (unsigned i = 0; i < 10; i++)
        pm_timeline_end_event(made.timeline, levels);
    made.result->n_played = 10;
    page = make_page(&made);
    picture = pm_report_svg(made.trace, made.result, made.timeline);
    assert_non_null(strstr(page, "pass so far, interrupted after 10 of 40 events"));
    assert_non_null(strstr(picture, "pass so far, interrupted after 10 of 40 events"));
    assert_non_null(strstr(picture, "<rect class=\"rest\" x=\"10\" width=\"30\""));
}

static void a_trace_without_events_has_a_page(void **state)
{
    g_auto(Made) made = {0};
    g_autofree char *page = NULL;
    g_autofree char *picture = NULL;

    (void)state;
    make(&made, "generated", 1, 0);
    page = make_page(&made);
    picture = pm_report_svg(made.trace, made.result, made.timeline);
    assert_non_null(strstr(page, "nothing to check"));
    assert_well_formed(picture);
    assert_null(strstr(picture, "d=\"H"));
    assert_null(strstr(picture, "nan"));
    assert_null(strstr(page, "\"inf"));
}

static char *picture_of(const Made *made)
{
    return pm_report_svg(made->trace, made->result, made->timeline);
}

/* Two rows of 512 blocks, three events. */
static void make_known(Made *made)
{
    const uint64_t sizes[] = {0, PM_MIB, 2 * PM_MIB};
    PmTimelineCell *cells;

    make(made, "known", 1, 3);
    made->timeline->regions[0].n_rows = 2;
    cells = made->timeline->regions[0].cells;
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t levels[PM_N_LEVELS] = {sizes[i], 2 * PM_MIB, sizes[i], i};

        pm_timeline_end_event(made->timeline, levels);
    }
    cells[0].state = (PmTimelineState){512 * BLOCK, 512 * BLOCK, 0};
    cells[1].state = (PmTimelineState){512 * BLOCK, 512 * BLOCK, 0};
    cells[2].state = (PmTimelineState){256 * BLOCK, 1, BLOCK};
    cells[3].state = (PmTimelineState){512 * BLOCK - 1, 512 * BLOCK - 1, 0};
    cells[4].n_refused = 2;
    cells[5].n_dma = 1;
}

static void bands_are_as_high_as_their_share(void **state)
{
    g_auto(Made) made = {0};
    g_autofree char *picture = NULL;

    (void)state;
    make_known(&made);
    picture = picture_of(&made);
    /* All, then something, which is never nothing; the upper row: nearly all is never all. */
    assert_non_null(
        strstr(picture, "<path class=\"mapped\" d=\"M0 16v-8h2v7h1v1zM0 8v-7h1v7z\"/>"));
    assert_non_null(
        strstr(picture, "<path class=\"plugged\" d=\"M0 16v-8h2v5h1v3zM0 8v-7h1v7z\"/>"));
    assert_non_null(
        strstr(picture, "<path class=\"closed\" d=\"M0 16v-8h2v4h1v4zM0 8v-7h1v7z\"/>"));
    assert_non_null(strstr(picture, "<path class=\"refused\" d=\"M1.5 4h0\"/>"));
    assert_non_null(strstr(picture, "<path class=\"dma\" d=\"M2.5 4h0\"/>"));
}

static void lines_are_as_high_as_their_value(void **state)
{
    g_auto(Made) made = {0};
    g_autofree char *picture = NULL;

    (void)state;
    make_known(&made);
    picture = picture_of(&made);
    assert_non_null(strstr(picture, "<path class=\"line-plugged\" d=\"M0 1000H1V500H2V0H3\"/>"));
    assert_non_null(strstr(picture, "<path class=\"line-requested\" d=\"M0 0H3\"/>"));
}

static void long_addresses_are_condensed_to_fit(void **state)
{
    g_autoptr(GString) svg = g_string_new(NULL);
    const PmSvgPlot plot = {true, 0, 100};

    (void)state;
    pm_svg_add_y_tick(svg, &plot, 0, "0x1000000000");
    assert_null(strstr(svg->str, "textLength"));
    pm_svg_add_y_tick(svg, &plot, 0, "0x10000000000");
    assert_non_null(strstr(svg->str, " y=\"100\" textLength=\"84\" "
                                     "lengthAdjust=\"spacingAndGlyphs\">0x10000000000</text>"));
}

static void the_script_gets_shares_and_counts(void **state)
{
    g_auto(Made) made = {0};
    g_autofree char *page = NULL;

    (void)state;
    make_known(&made);
    page = make_page(&made);
    assert_non_null(strstr(page, "\"rows\":[\"0x100000000\",\"0x140000000\",\"0x180000000\"]"));
    assert_non_null(strstr(page, "\"cells\":[\"_AAAAAACBfBAAAAB\",\"-AAAAAABAAAACAABAAAAABAB\"]"));
    assert_non_null(strstr(page, "\"events\":[[0,1,0,0,2097152,0,0],[1,1,0,1048576,2097152,"));
}

static void numbers_have_the_decimals_they_need(void **state)
{
    g_autoptr(GString) svg = g_string_new(NULL);

    (void)state;
    pm_svg_add_number(svg, 12.5);
    pm_svg_add_number(svg, 100);
    assert_string_equal(svg->str, "12.5100");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_events_of_many_regions_make_a_small_page),
        cmocka_unit_test(many_findings_make_a_small_page),
        cmocka_unit_test(names_from_outside_are_escaped),
        cmocka_unit_test(the_page_has_the_report_and_allows_nothing_else),
        cmocka_unit_test(an_interrupted_replay_is_marked_as_partial),
        cmocka_unit_test(a_trace_without_events_has_a_page),
        cmocka_unit_test(bands_are_as_high_as_their_share),
        cmocka_unit_test(lines_are_as_high_as_their_value),
        cmocka_unit_test(long_addresses_are_condensed_to_fit),
        cmocka_unit_test(the_script_gets_shares_and_counts),
        cmocka_unit_test(numbers_have_the_decimals_they_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
