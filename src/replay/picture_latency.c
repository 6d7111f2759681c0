/* SPDX-License-Identifier: MIT */
#include "replay/picture.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "replay/histogram.h"

#define HEIGHT  120
#define N_UNITS 1000 /* in its height */

static uint64_t highest(const PmHistogram *histogram, unsigned n_bins)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < n_bins; i++)
        count = MAX(count, histogram->counts[i]);
    return count;
}

/* The title is shown by browsers when the pointer is on the bar. */
static void add_bar(GString *svg, const PmHistogram *histogram, unsigned bin, uint64_t top)
{
    uint64_t count = histogram->counts[bin];
    unsigned height = MAX((unsigned)((double)count / (double)top * N_UNITS), N_UNITS / HEIGHT + 1);
    g_autofree char *from = pm_duration_text(pm_histogram_bin_start(histogram, bin));
    g_autofree char *to = pm_duration_text(pm_histogram_bin_start(histogram, bin + 1));
    g_autofree char *requests = pm_counted(count, "request");

    if (count > 0)
        g_string_append_printf(svg,
                               "<rect class=\"bar\" x=\"%u.08\" y=\"%u\" width=\".84\" "
                               "height=\"%u\"><title>%s to %s: %s</title></rect>\n",
                               bin, N_UNITS - height, height, from, to, requests);
}

/* "100 ns", "1 µs". */
static char *decade_text(unsigned decade)
{
    static const char *const numbers[] = {"1", "10", "100"};
    static const char *const units[] = {"ns", "µs", "ms", "s"};

    return decade > 11 ? g_strdup_printf("1e%u s", decade - 9)
                       : g_strdup_printf("%s %s", numbers[decade % 3], units[decade / 3]);
}

unsigned pm_picture_add_latency(GString *svg, const GArray *ns, bool fluid, unsigned top)
{
    const PmSvgPlot plot = {fluid, top, HEIGHT};
    g_auto(PmHistogram) histogram = {0};
    g_autofree char *most = NULL;
    unsigned n_bins;

    pm_histogram_fill(&histogram, ns);
    n_bins = histogram.n_decades * PM_HISTOGRAM_A_DECADE;
    most = pm_count_text(highest(&histogram, n_bins));
    pm_svg_begin_plot(svg, &plot);
    pm_svg_add_y_tick(svg, &plot, 0, "0");
    pm_svg_add_y_tick(svg, &plot, 1, most);
    pm_svg_begin_data(svg, n_bins, N_UNITS);
    for (unsigned i = 0; i < n_bins; i++)
        add_bar(svg, &histogram, i, highest(&histogram, n_bins));
    pm_svg_end_data(svg);
    for (unsigned i = 0; i <= histogram.n_decades; i++) {
        g_autofree char *time = decade_text(histogram.first_decade + i);

        pm_svg_add_x_tick(svg, &plot, (double)i / histogram.n_decades, time);
    }
    pm_svg_end_plot(svg);
    return plot.height + PM_SVG_BOTTOM;
}
