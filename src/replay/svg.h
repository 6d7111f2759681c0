/* SPDX-License-Identifier: MIT */
/* Pieces of SVG pictures: text, and plots with axes. */
#ifndef PLUGMAP_SRC_REPLAY_SVG_H
#define PLUGMAP_SRC_REPLAY_SVG_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define PM_SVG_WIDTH  960
#define PM_SVG_LEFT   96 /* of a plot: labels of the y axis */
#define PM_SVG_RIGHT  16
#define PM_SVG_BOTTOM 34 /* labels of the x axis */

/* Text of any bytes for XML and HTML; a new string. What XML 1.0 does not allow becomes U+FFFD. */
char *pm_svg_escape(const char *text);

/*
 * A plot: a box with axes. Inside, x is in per cent.
 * @fluid: as wide as the picture, which leaves room for the labels around it (page.css); else
 * PM_SVG_WIDTH with the labels.
 * @top: of the box. @height: in pixels.
 */
typedef struct {
    bool fluid;
    unsigned top;
    unsigned height;
} PmSvgPlot;

void pm_svg_begin_plot(GString *svg, const PmSvgPlot *plot);
void pm_svg_end_plot(GString *svg);

/* A grid line and its label. @share: 0: at the bottom (left), 1: at the top (right). */
void pm_svg_add_y_tick(GString *svg, const PmSvgPlot *plot, double share, const char *label);
void pm_svg_add_x_tick(GString *svg, const PmSvgPlot *plot, double share, const char *label);

/* Stretches what follows over the plot, in units of its own. */
void pm_svg_begin_data(GString *svg, unsigned width, unsigned height);
void pm_svg_end_data(GString *svg);

/* A number with as many decimals as it needs, in the C locale. */
void pm_svg_add_number(GString *svg, double number);

#endif
