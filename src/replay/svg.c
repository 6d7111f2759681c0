/* SPDX-License-Identifier: MIT */
#include "replay/svg.h"

/* Longer labels of the y axis are condensed to fit beside it. */
#define LABEL_LENGTH 12
#define LABEL_WIDTH  84

static bool is_allowed(gunichar c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c != 0xfffe && c != 0xffff);
}

char *pm_svg_escape(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autoptr(GString) allowed = g_string_new(NULL);

    for (const char *at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        g_string_append_unichar(allowed, is_allowed(c) ? c : 0xfffd);
    }
    return g_markup_escape_text(allowed->str, (gssize)allowed->len);
}

void pm_svg_add_number(GString *svg, double number)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append(svg, g_ascii_formatd(text, sizeof(text), "%.4g", number));
}

void pm_svg_begin_plot(GString *svg, const PmSvgPlot *plot)
{
    g_string_append_printf(svg, "<svg class=\"plot\" y=\"%u\" height=\"%u\" overflow=\"visible\"",
                           plot->top, plot->height);
    if (!plot->fluid)
        g_string_append_printf(svg, " x=\"%d\" width=\"%d\"", PM_SVG_LEFT,
                               PM_SVG_WIDTH - PM_SVG_LEFT - PM_SVG_RIGHT);
    g_string_append(svg, ">\n<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n");
}

void pm_svg_end_plot(GString *svg)
{
    g_string_append(svg, "</svg>\n");
}

void pm_svg_add_y_tick(GString *svg, const PmSvgPlot *plot, double share, const char *label)
{
    g_autofree char *escaped = pm_svg_escape(label);
    bool is_long = g_utf8_strlen(label, -1) > LABEL_LENGTH;
    double y = (1 - share) * plot->height;

    g_string_append(svg, "<line class=\"grid\" x2=\"100%\" y1=\"");
    pm_svg_add_number(svg, y);
    g_string_append(svg, "\" y2=\"");
    pm_svg_add_number(svg, y);
    g_string_append(svg, "\"/><text class=\"tick\" x=\"-8\" dy=\".32em\" text-anchor=\"end\" y=\"");
    pm_svg_add_number(svg, y);
    g_string_append_c(svg, '"');
    if (is_long)
        g_string_append_printf(svg, " textLength=\"%d\" lengthAdjust=\"spacingAndGlyphs\"",
                               LABEL_WIDTH);
    g_string_append_printf(svg, ">%s</text>\n", escaped);
}

void pm_svg_add_x_tick(GString *svg, const PmSvgPlot *plot, double share, const char *label)
{
    const char *anchor = share <= 0 ? "start" : share >= 1 ? "end" : "middle";
    g_autofree char *escaped = pm_svg_escape(label);

    g_string_append_printf(svg, "<text class=\"tick\" text-anchor=\"%s\" y=\"%u\" x=\"", anchor,
                           plot->height + 18);
    pm_svg_add_number(svg, share * 100);
    g_string_append_printf(svg, "%%\">%s</text>\n", escaped);
}

void pm_svg_begin_data(GString *svg, unsigned width, unsigned height)
{
    g_string_append_printf(svg,
                           "<svg width=\"100%%\" height=\"100%%\" viewBox=\"0 0 %u %u\" "
                           "preserveAspectRatio=\"none\" overflow=\"visible\">\n",
                           width, height);
}

void pm_svg_end_data(GString *svg)
{
    g_string_append(svg, "</svg>\n");
}
