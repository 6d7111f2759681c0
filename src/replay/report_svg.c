/* SPDX-License-Identifier: MIT */
#include "replay/report_svg.h"

#include <string.h>

#include "replay/picture.h"
#include "replay/report_parts.h"

#define MARGIN       24
#define CHARACTER    7 /* pixels, about */
#define SWATCH       14
#define LEGEND_LINE  22
#define HEADING_LINE 30

static void add_text(GString *svg, const char *class_name, unsigned x, unsigned y, const char *text)
{
    g_autofree char *escaped = pm_svg_escape(text);

    g_string_append_printf(svg, "<text class=\"%s\" x=\"%u\" y=\"%u\">%s</text>\n", class_name, x,
                           y, escaped);
}

static void add_swatch(GString *svg, const PmPictureLegend *entry, unsigned x, unsigned y)
{
    if (entry->is_line)
        g_string_append_printf(svg, "<path class=\"%s\" d=\"M%u %uh%d\"/>", entry->name, x, y - 4,
                               SWATCH);
    else
        g_string_append_printf(svg,
                               "<rect class=\"%s\" x=\"%u\" y=\"%u\" width=\"%d\" "
                               "height=\"12\"/>",
                               entry->name, x, y - 10, SWATCH);
}

/* @shows: which entries, by bit. Returns the height. */
static unsigned add_legend(GString *svg, const PmPictureLegend *legend, unsigned shows,
                           unsigned top)
{
    unsigned x = PM_SVG_LEFT;

    for (unsigned i = 0; legend[i].name != NULL; i++) {
        if ((shows & 1U << i) == 0)
            continue;
        add_swatch(svg, &legend[i], x, top + 12);
        add_text(svg, "note", x + SWATCH + 7, top + 12, legend[i].text);
        x += SWATCH + 7 + (unsigned)strlen(legend[i].text) * CHARACTER + 14;
    }
    return LEGEND_LINE;
}

static unsigned add_heading(GString *svg, unsigned top, const char *text)
{
    add_text(svg, "subheading", PM_SVG_LEFT, top + 18, text);
    return HEADING_LINE;
}

static unsigned add_title(GString *svg, const PmTrace *trace, const PmReplayResult *result)
{
    g_autofree char *name = g_path_get_basename(trace->file);
    g_autofree char *verdict = pm_report_verdict(trace, result);

    add_text(svg, "heading", PM_SVG_LEFT, MARGIN + 20, name);
    add_text(svg, "note", PM_SVG_LEFT, MARGIN + 42, verdict);
    return MARGIN + 56;
}

static unsigned add_pictures(GString *svg, const PmTrace *trace, const PmTimeline *timeline,
                             unsigned top)
{
    for (unsigned i = 0; i < timeline->n_regions; i++) {
        g_autofree char *heading = pm_report_region(pm_trace_region(trace, i));

        top += add_heading(svg, top, heading);
        top += add_legend(svg, pm_picture_states, pm_timeline_shows(timeline, i), top);
        top += pm_picture_add_region(svg, timeline, i, false, top);
    }
    top += add_heading(svg, top, "Sizes");
    top += add_legend(svg, pm_picture_sizes, ~0U, top);
    return top + pm_picture_add_sizes(svg, timeline, false, top);
}

char *pm_report_svg(const PmTrace *trace, const PmReplayResult *result, const PmTimeline *timeline)
{
    g_autoptr(GString) body = g_string_new(NULL);
    g_autofree char *style = pm_report_file("picture.css");
    g_autofree char *name = g_path_get_basename(trace->file);
    g_autofree char *title = pm_svg_escape(name);
    unsigned height = add_pictures(body, trace, timeline, add_title(body, trace, result)) + MARGIN;

    return g_strdup_printf(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"picture\" role=\"img\" "
        "width=\"%d\" height=\"%u\" viewBox=\"0 0 %d %u\">\n"
        "<title>%s</title>\n"
        "<style>%s</style>\n"
        "<rect class=\"paper\" width=\"100%%\" height=\"100%%\"/>\n"
        "%s</svg>\n",
        PM_SVG_WIDTH, height, PM_SVG_WIDTH, height, title, style, body->str);
}
