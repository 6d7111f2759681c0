/* SPDX-License-Identifier: MIT */
/* What a replay found, as a page of one file that needs nothing else. */
#ifndef PLUGMAP_SRC_REPLAY_REPORT_HTML_H
#define PLUGMAP_SRC_REPLAY_REPORT_HTML_H

#include "replay/report_json.h"
#include "replay/timeline.h"

/* Findings of a list that the page names; --json has more. */
#define PM_REPORT_MAX_LISTED 100

/* @report: with a result. The page has it, too, with at most PM_REPORT_MAX_LISTED elements in each
 * list. Numbers are <data> elements whose data-field is their path in it. Returns a new string. */
char *pm_report_html(const PmJsonReport *report, const PmTimeline *timeline);

#endif
