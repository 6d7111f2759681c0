/* SPDX-License-Identifier: MIT */
/* The pictures of a timeline: SVG elements, for a page or a file of their own. */
#ifndef PLUGMAP_SRC_REPLAY_PICTURE_H
#define PLUGMAP_SRC_REPLAY_PICTURE_H

#include "replay/svg.h"
#include "replay/timeline.h"

/* The region's addresses over time. Returns the height, with the labels. */
unsigned pm_picture_add_region(GString *svg, const PmTimeline *timeline, unsigned region,
                               bool fluid, unsigned top);

/* An entry of a legend. @name: the class of the path. */
typedef struct {
    const char *name;
    const char *text;
    bool is_line;
} PmPictureLegend;

/* What pm_timeline_shows(), by bit; ends with a NULL name. */
extern const PmPictureLegend pm_picture_states[];

/* Plugged, pinned and requested size. Returns the height. */
unsigned pm_picture_add_sizes(GString *svg, const PmTimeline *timeline, bool fluid, unsigned top);
extern const PmPictureLegend pm_picture_sizes[];

/* Mappings, and @limit if it is not far away; UINT64_MAX: none. Returns the height. */
unsigned pm_picture_add_mappings(GString *svg, const PmTimeline *timeline, uint64_t limit,
                                 bool fluid, unsigned top);

/* Whether that picture has the limit. */
bool pm_picture_has_limit(const PmTimeline *timeline, uint64_t limit);

/* A histogram of ascending times; at least one. Returns the height. */
unsigned pm_picture_add_latency(GString *svg, const GArray *ns, bool fluid, unsigned top);

/* Labels of the events, below a plot. */
void pm_picture_add_event_ticks(GString *svg, const PmSvgPlot *plot, const PmTimeline *timeline);

#endif
