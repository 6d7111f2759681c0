/* SPDX-License-Identifier: MIT */
/* The numbers of the page. */
#ifndef PLUGMAP_SRC_REPLAY_REPORT_NUMBERS_H
#define PLUGMAP_SRC_REPLAY_REPORT_NUMBERS_H

#include "replay/report_json.h"

/* The most important ones, large. */
void pm_report_add_tiles(GString *html, const PmJsonReport *report);

/* All of them. */
void pm_report_add_facts(GString *html, const PmReplayResult *result);

/* "p50 18 µs, p99 36 µs, max 61 µs". @name: "plug" or "unplug". */
void pm_report_add_percentiles(GString *html, const char *name, const GArray *ns);

/* Peak, limit, and how much of it. */
void pm_report_add_mappings(GString *html, const PmReplayResult *result);

#endif
