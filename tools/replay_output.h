/* SPDX-License-Identifier: MIT */
/* The files that a replay writes: its DMA log, its page and its picture. */
#ifndef PLUGMAP_TOOLS_REPLAY_OUTPUT_H
#define PLUGMAP_TOOLS_REPLAY_OUTPUT_H

#include "replay/report_html.h"
#include "tools/output.h"
#include "tools/replay_options.h"

/* Those that were not asked for are not open. */
typedef struct {
    PmOutput dma_log;
    PmOutput page;
    PmOutput picture;
} PmReplayOutput;

/* Opens what the options name, before the replay, to report early what is not writable.
 * Errors: PM_ERROR_INVALID_ARGUMENT (two outputs are one file), those of pm_output_open(). */
bool pm_replay_output_open(PmReplayOutput *output, const PmReplayOptions *options, GError **error);

/* Whether standard output gets the page or the picture, in place of the report in text. */
bool pm_replay_output_replaces_text(const PmReplayOutput *output, const PmReplayOptions *options);

/* Writes and finishes them. An interrupted replay discards its DMA log, which is incomplete; page
 * and picture say that they are. Errors: those of pm_output_finish(). */
bool pm_replay_output_finish(PmReplayOutput *output, const PmJsonReport *report,
                             const PmTimeline *timeline, GError **error);

void pm_replay_output_clear(PmReplayOutput *output);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmReplayOutput, pm_replay_output_clear)

#endif
