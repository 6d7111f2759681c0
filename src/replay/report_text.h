/* SPDX-License-Identifier: MIT */
/* What a replay found, for people. */
#ifndef PLUGMAP_SRC_REPLAY_REPORT_TEXT_H
#define PLUGMAP_SRC_REPLAY_REPORT_TEXT_H

#include "replay/result.h"

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

/* Returns a new string that ends with a newline; free with g_free(). */
char *pm_report_text(const PmTrace *trace, const PmReplayResult *result,
                     const PmReportStyle *style);

#endif
