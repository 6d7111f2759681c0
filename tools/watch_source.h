/* SPDX-License-Identifier: MIT */
/* What 'plugmap watch' reads: a trace that it replays, a DMA log, a log that grows. */
#ifndef PLUGMAP_TOOLS_WATCH_SOURCE_H
#define PLUGMAP_TOOLS_WATCH_SOURCE_H

#include "tools/watch_session.h"

/*
 * What the file is, by its first lines unless @format says it; takes nothing out of a pipe. A pipe
 * opens once: it becomes standard input, and *path "-". Errors: PM_ERROR_BAD_INPUT.
 */
bool pm_watch_source_detect(const char *format, const char **path, PmWatchKind *kind, bool *is_pipe,
                            GError **error);

/* Each reads the source of a session that has not begun until its end, or until the session is
 * stopped. Errors: PM_ERROR_BAD_INPUT, those of a replay and of pm_watch_add_call(). */

/* Replays the trace on the fake kernel with the session's limits. */
bool pm_watch_play_trace(PmWatchSession *session, GError **error);

/* Plays a DMA log. */
bool pm_watch_play_dma_log(PmWatchSession *session, GError **error);

/* Reads a log as it grows, or a DMA log from a pipe. */
bool pm_watch_follow(PmWatchSession *session, GError **error);

#endif
