/* SPDX-License-Identifier: MIT */
/* What the page and the SVG file of a replay have in common. */
#ifndef PLUGMAP_SRC_REPLAY_REPORT_PARTS_H
#define PLUGMAP_SRC_REPLAY_REPORT_PARTS_H

#include "replay/result.h"

/* A file of src/replay/report, which is part of the program; a new string. */
char *pm_report_file(const char *name);

/* "pass", "FAIL", or "interrupted after 10 of 20 events, no failure so far"; a new string. */
char *pm_report_verdict(const PmTrace *trace, const PmReplayResult *result);

/* "b: 4G at 0x100000000, block size 2M"; a new string, of any bytes. */
char *pm_report_region(const PmTraceRegion *region);

#endif
