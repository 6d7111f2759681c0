/* SPDX-License-Identifier: MIT */
/* What the script of the page shows below the pointer. */
#ifndef PLUGMAP_SRC_REPLAY_REPORT_DATA_H
#define PLUGMAP_SRC_REPLAY_REPORT_DATA_H

#include "replay/timeline.h"

/*
 * JSON without any text of the trace; a new string. events: for each column its first event, and
 * how many, refused requests, and the levels (PmTimelineLevel) after it. regions[].rows: addresses
 * at which rows begin, and the end. regions[].cells: for each row a text of runs of equal columns:
 * six digits to the base 64 for mapped, plugged otherwise, private and quarantined (63: all), and
 * the numbers of refused requests and pages of the DMA check (63: or more), then two for the number
 * of columns.
 */
char *pm_report_data(const PmTimeline *timeline);

#endif
