/* SPDX-License-Identifier: MIT */
/* The pictures of a replay in an SVG file of their own. */
#ifndef PLUGMAP_SRC_REPLAY_REPORT_SVG_H
#define PLUGMAP_SRC_REPLAY_REPORT_SVG_H

#include "replay/result.h"
#include "replay/timeline.h"

/* Returns a new string: the regions over time, and the sizes. Always valid XML. */
char *pm_report_svg(const PmTrace *trace, const PmReplayResult *result, const PmTimeline *timeline);

#endif
