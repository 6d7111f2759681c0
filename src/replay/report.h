/* SPDX-License-Identifier: MIT */
/* What a replay found, for people and for programs. */
#ifndef PLUGMAP_SRC_REPLAY_REPORT_H
#define PLUGMAP_SRC_REPLAY_REPORT_H

#include "replay/replay.h"

/*
 * @backend: 'fake', 'fake-iommufd', 'type1' or 'iommufd'.
 * @width: columns of the terminal; at least 40.
 * @colours: use ANSI colours.
 */
typedef struct {
    const char *backend;
    unsigned width;
    bool colours;
} PmReportStyle;

/* Both return a new string that ends with a newline; free with g_free(). */
char *pm_report_text(const PmTrace *trace, const PmReplayResult *result,
                     const PmReportStyle *style);
char *pm_report_json(const PmReplayResult *result, const char *backend);

#endif
