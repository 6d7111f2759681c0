/* SPDX-License-Identifier: MIT */
#include "replay/report_html.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "replay/picture.h"
#include "replay/report_data.h"
#include "replay/report_numbers.h"
#include "replay/report_parts.h"

static void add_escaped(GString *html, const char *before, const char *text, const char *after)
{
    g_autofree char *escaped = pm_svg_escape(text);

    g_string_append_printf(html, "%s%s%s", before, escaped, after);
}

/* --- header --- */

static void add_subject(GString *html, const PmJsonReport *report)
{
    const PmTrace *trace = report->trace;

    if (trace->regions->len == 1) {
        g_autofree char *region = pm_report_region(pm_trace_region(trace, 0));

        add_escaped(html, "", region, "");
    } else {
        g_string_append_printf(html, "%u devices", trace->regions->len);
    }
    if (report->backend != NULL)
        add_escaped(html, ", backend ", report->backend, "");
}

static void add_header(GString *html, const PmJsonReport *report)
{
    g_autofree char *name = g_path_get_basename(report->trace->file);
    g_autofree char *verdict = pm_report_verdict(report->trace, report->result);
    bool good = pm_replay_is_right(report->result) && !report->result->stopped;

    g_string_append(html, "<header>\n");
    add_escaped(html, "<h1>", name, "</h1>\n");
    add_escaped(html, good ? "<p class=\"verdict\">" : "<p class=\"verdict bad\">", verdict,
                "</p>\n");
    g_string_append(html, "<p class=\"subject\">");
    add_subject(html, report);
    g_string_append(html, "</p>\n</header>\n");
    if (report->trace->warning != NULL)
        add_escaped(html, "<p class=\"note\">warning: ", report->trace->warning, "</p>\n");
}

/* --- pictures --- */

static void add_legend(GString *html, const PmPictureLegend *legend, unsigned shows)
{
    g_string_append(html, "<ul class=\"legend\">\n");
    for (unsigned i = 0; legend[i].name != NULL; i++)
        if (shows & 1U << i)
            g_string_append_printf(
                html,
                "<li><svg class=\"picture-swatch\" width=\"18\" height=\"12\" aria-hidden=\"true\">"
                "<path class=\"%s\" d=\"%s\"/></svg>%s</li>\n",
                legend[i].name, legend[i].is_line ? "M3 6h12" : "M1 0h16v12h-16z", legend[i].text);
    g_string_append(html, "</ul>\n");
}

/* The caller makes the picture first: the height is written before it. */
static void add_picture(GString *html, const char *attribute, const char *label, unsigned height,
                        const GString *picture)
{
    g_string_append_printf(html,
                           "<figure %s><svg class=\"picture\" role=\"img\" height=\"%u\" "
                           "aria-label=\"%s\">\n%s</svg></figure>\n",
                           attribute, height, label, picture->str);
}

static void add_regions(GString *html, const PmJsonReport *report, const PmTimeline *timeline)
{
    for (unsigned i = 0; i < timeline->n_regions; i++) {
        g_autoptr(GString) picture = g_string_new(NULL);
        const char *name = pm_trace_region(report->trace, i)->name;
        g_autofree char *attribute = g_strdup_printf("data-region=\"%u\"", i);
        g_autofree char *region = pm_report_region(pm_trace_region(report->trace, i));
        unsigned height = pm_picture_add_region(picture, timeline, i, true, 6) + 6;

        add_escaped(html, "<section>\n<h2>Region ", name != NULL ? name : "",
                    name != NULL ? " " : "");
        add_escaped(html, "over time</h2>\n<p class=\"note\">", region, "");
        g_string_append_printf(html,
                               ": addresses by event, in %u rows that are filled by share</p>\n",
                               timeline->regions[i].n_rows);
        add_legend(html, pm_picture_states, pm_timeline_shows(timeline, i));
        add_picture(html, attribute, "The region's addresses over time", height, picture);
        g_string_append(html, "</section>\n");
    }
    if (report->trace->regions->len > timeline->n_regions)
        g_string_append_printf(html, "<p class=\"note\">%u more regions have no picture.</p>\n",
                               report->trace->regions->len - timeline->n_regions);
}

static void add_sizes(GString *html, const PmTimeline *timeline)
{
    g_autoptr(GString) picture = g_string_new(NULL);
    unsigned height = pm_picture_add_sizes(picture, timeline, true, 8) + 8;

    g_string_append(html, "<section>\n<h2>Sizes</h2>\n");
    add_legend(html, pm_picture_sizes, ~0U);
    add_picture(html, "data-levels=\"0 1 2\"", "Plugged, requested and pinned size", height,
                picture);
    g_string_append(html, "</section>\n");
}

/* How much of the limit was used at most. */
static void add_meter(GString *html, const PmReplayResult *result)
{
    double used = (double)result->peak_mappings / (double)result->mapping_limit;

    g_string_append(html, "<svg class=\"meter\" role=\"img\" aria-label=\"Share of the limit\">"
                          "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>"
                          "<rect class=\"bar\" height=\"100%\" width=\"");
    pm_svg_add_number(html, MIN(used, 1) * 100);
    g_string_append(html, "%\"/></svg>\n");
}

static void add_mappings(GString *html, const PmReplayResult *result, const PmTimeline *timeline)
{
    static const PmPictureLegend legend[] = {
        {"line-mappings", "mappings", true}, {"line-limit", "limit", true}, {NULL, NULL, false}};
    g_autoptr(GString) picture = g_string_new(NULL);
    bool has_limit = pm_picture_has_limit(timeline, result->mapping_limit);
    unsigned height =
        pm_picture_add_mappings(picture, timeline, result->mapping_limit, true, 8) + 8;

    g_string_append(html, "<section>\n<h2>Mappings</h2>\n<p class=\"note\">");
    pm_report_add_mappings(html, result);
    g_string_append(html, "</p>\n");
    if (result->mapping_limit != UINT64_MAX && result->mapping_limit > 0)
        add_meter(html, result);
    add_legend(html, legend, has_limit ? 3 : 1);
    add_picture(html, "data-levels=\"3\"", "Mappings over time", height, picture);
    g_string_append(html, "</section>\n");
}

static void add_latency(GString *html, const char *title, const char *name, const GArray *ns)
{
    g_autoptr(GString) picture = g_string_new(NULL);
    unsigned height;

    if (ns->len == 0)
        return;
    height = pm_picture_add_latency(picture, ns, true, 8) + 8;
    g_string_append_printf(html,
                           "<section><h2>%s</h2>\n<p class=\"note\">requests by time: ", title);
    pm_report_add_percentiles(html, name, ns);
    g_string_append(html, "</p>\n");
    add_picture(html, "", title, height, picture);
    g_string_append(html, "</section>\n");
}

/* --- tables --- */

/* @columns: titles; NULL-terminated; the first one's are numbers. */
static void begin_table(GString *html, const char *title, const char *const *columns)
{
    g_string_append_printf(html, "<h2>%s</h2>\n<div class=\"scroll\"><table>\n<thead><tr>", title);
    for (unsigned i = 0; columns[i] != NULL; i++)
        g_string_append_printf(html, "<th%s>%s</th>", i == 0 ? " class=\"number\"" : "",
                               columns[i]);
    g_string_append(html, "</tr></thead>\n");
}

static void end_table(GString *html)
{
    g_string_append(html, "</table></div>\n");
}

/* The first cells of a row: how many, and the lines of the trace. */
static void begin_row(GString *html, uint64_t count, unsigned first, unsigned last)
{
    g_autofree char *text = pm_count_text(count);

    g_string_append_printf(html, "<tbody><tr><td class=\"number\">%s</td><td class=\"nowrap\">%u",
                           text, first);
    if (first != last)
        g_string_append_printf(html, " to %u", last);
    g_string_append(html, "</td>");
}

/* Ends the row with a line for a long text. */
static void end_row(GString *html, const char *text)
{
    g_string_append(html, "</tr>\n");
    if (text != NULL)
        add_escaped(html, "<tr class=\"more\"><td></td><td colspan=\"4\">", text, "</td></tr>");
    g_string_append(html, "</tbody>\n");
}

static void add_refusals(GString *html, const GPtrArray *refusals)
{
    static const char *const columns[] = {"Count", "Lines", "Request", "Response", "Cause", NULL};

    if (refusals->len == 0) {
        g_string_append(html, "<h2>Refused requests</h2>\n<p class=\"note\">none</p>\n");
        return;
    }
    begin_table(html, "Refused requests", columns);
    for (guint i = 0; i < refusals->len; i++) {
        const PmTimelineRefusal *refusal = g_ptr_array_index(refusals, i);

        begin_row(html, refusal->count, refusal->first_line, refusal->last_line);
        g_string_append_printf(html, "<td class=\"nowrap\">%s</td><td>%s</td><td>%s</td>",
                               pm_event_type_name(refusal->type), refusal->response,
                               refusal->cause);
        end_row(html, refusal->message);
    }
    end_table(html);
}

static void add_finding(GString *html, const PmReplayCause *cause)
{
    const PmReplayDivergence *first = cause->first;
    g_autofree char *got = g_strdup_printf(
        "got %s%s", first->got,
        first->is_consequence ? " (a consequence: the device's state had already diverged)" : "");

    begin_row(html, cause->count, first->line, cause->last_line);
    add_escaped(html, "<td>", first->device != NULL ? first->device : "",
                first->device != NULL ? ": " : "");
    add_escaped(html, "", first->request, "</td>");
    add_escaped(html, "<td>", first->expected, "</td>");
    end_row(html, got);
}

static void add_findings(GString *html, const char *title, const GPtrArray *causes)
{
    static const char *const columns[] = {"Count", "Lines", "Request", "Expected", NULL};

    if (causes->len == 0)
        return;
    begin_table(html, title, columns);
    for (guint i = 0; i < MIN(causes->len, PM_REPORT_MAX_LISTED); i++)
        add_finding(html, g_ptr_array_index(causes, i));
    end_table(html);
}

static void add_claims(GString *html, const PmTrace *trace, const PmReplayResult *result)
{
    g_string_append(html, "<h2>Discard claims</h2>\n");
    for (guint i = 0; i < MIN(result->region_ends->len, PM_REPORT_MAX_LISTED); i++) {
        const PmTraceRegion *region = pm_trace_region(trace, i);
        g_autofree char *holders = pm_replay_holders_describe(
            g_array_index(result->region_ends, PmReplayRegionEnd, i).holders, 4);

        add_escaped(html, "<p class=\"note\">", region->name != NULL ? region->name : "",
                    region->name != NULL ? ": " : "");
        add_escaped(html, "", holders, "</p>\n");
    }
}

/* --- the page --- */

static char *make_body(const PmJsonReport *report, const PmTimeline *timeline)
{
    const PmReplayResult *result = report->result;
    GString *html = g_string_new(NULL);

    add_header(html, report);
    pm_report_add_tiles(html, report);
    add_findings(html, "Failed audits", result->mismatch_causes);
    add_findings(html, "Differing responses", result->causes);
    add_regions(html, report, timeline);
    add_sizes(html, timeline);
    add_mappings(html, result, timeline);
    g_string_append(html, "<div class=\"pair\">\n");
    add_latency(html, "Plug latency", "plug", result->plug_ns);
    add_latency(html, "Unplug latency", "unplug", result->unplug_ns);
    g_string_append(html, "</div>\n");
    add_refusals(html, timeline->refusals);
    g_string_append(html, "<h2>All numbers</h2>\n");
    pm_report_add_facts(html, result);
    add_claims(html, report->trace, result);
    add_escaped(html, "<footer>plugmap ", report->version, "");
    add_escaped(html, ", replay of ", report->trace->file, "</footer>\n");
    return g_string_free(html, FALSE);
}

/* A script element ends at the first "</script", whatever its type; "<" is only in JSON's text. */
static char *make_json(const PmJsonReport *report)
{
    PmJsonReport bounded = *report;
    g_autofree char *json = NULL;
    g_autoptr(GString) text = NULL;

    bounded.max_listed = PM_REPORT_MAX_LISTED;
    json = pm_report_json(&bounded);
    text = g_string_new(json);
    g_string_replace(text, "<", "\\u003c", 0);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* For the Content-Security-Policy: what else gets into the page does not run. */
static char *hash_of(const char *text)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[32];
    gsize size = sizeof(digest);
    g_autofree char *base64 = NULL;

    g_checksum_update(checksum, (const guchar *)text, -1);
    g_checksum_get_digest(checksum, digest, &size);
    base64 = g_base64_encode(digest, size);
    return g_strconcat("sha256-", base64, NULL);
}

/* Replaces each @NAME@ of the template once: not in what it was replaced with. Takes the values. */
static char *fill_template(const char *template, GHashTable *values)
{
    g_auto(GStrv) parts = g_strsplit(template, "@", -1);
    GString *page = g_string_new(NULL);

    for (guint i = 0; parts[i] != NULL; i++)
        g_string_append(page, i % 2 == 0 ? parts[i] : g_hash_table_lookup(values, parts[i]));
    return g_string_free(page, FALSE);
}

char *pm_report_html(const PmJsonReport *report, const PmTimeline *timeline)
{
    g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    g_autofree char *template = pm_report_file("page.html");
    g_autofree char *picture_style = pm_report_file("picture.css");
    g_autofree char *page_style = pm_report_file("page.css");
    g_autofree char *name = g_path_get_basename(report->trace->file);
    g_autofree char *title = g_strdup_printf("%s - plugmap replay", name);
    char *style = g_strconcat(picture_style, page_style, NULL);
    char *script = pm_report_file("page.js");

    g_hash_table_insert(values, (char *)"style", style);
    g_hash_table_insert(values, (char *)"style-hash", hash_of(style));
    g_hash_table_insert(values, (char *)"script", script);
    g_hash_table_insert(values, (char *)"script-hash", hash_of(script));
    g_hash_table_insert(values, (char *)"title", pm_svg_escape(title));
    g_hash_table_insert(values, (char *)"body", make_body(report, timeline));
    g_hash_table_insert(values, (char *)"report", make_json(report));
    g_hash_table_insert(values, (char *)"timeline", pm_report_data(timeline));
    return fill_template(template, values);
}
