/* SPDX-License-Identifier: MIT */
/* A running 'plugmap watch': waits for what is next while it handles keys and signals, and draws.
 */
#ifndef PLUGMAP_TOOLS_WATCH_SESSION_H
#define PLUGMAP_TOOLS_WATCH_SESSION_H

#include "tools/trace_options.h"
#include "tools/watch_terminal.h"
#include "watch/pace.h"
#include "watch/watch.h"

typedef struct {
    PmTraceOptions trace;
    char *speed;
    gboolean follow;
    char *entry_limit;
    char *memlock;
    gboolean json;
    char **rest;
} PmWatchOptions;

typedef struct {
    const PmWatchOptions *options;
    const char *path;
    PmWatch *watch;
    PmPace pace;
    bool is_live; /* events are taken as they arrive */
    uint64_t n_total;
    PmWatchTerminal terminal;
    bool is_open; /* the terminal and the signals are in use */
    int signal_fd;
    int signal_number; /* that ends it; 0: none */
    bool stopped;
    int64_t checked_ns; /* when keys and signals were last looked at */
    int64_t drawn_ns;
    char *drawn; /* the last picture */
} PmWatchSession;

int64_t pm_watch_now_ns(void);

/* Takes over signals and, without --json, the terminal; from now on pm_watch_session_end() must be
 * called. */
void pm_watch_session_begin(PmWatchSession *session);
void pm_watch_session_end(PmWatchSession *session);

/* Waits until @fd (-1: none) is readable, or so long, or for a key or signal. Returns false if the
 * session was stopped. */
bool pm_watch_session_wait(PmWatchSession *session, int fd, int64_t timeout_ns);

/* Waits until an event of a recording is due. Returns false if the session was stopped. */
bool pm_watch_session_wait_for(PmWatchSession *session, int64_t event_ns);

/* Looks at keys and signals, and draws, from time to time. Returns false if the session was
 * stopped. */
bool pm_watch_session_look(PmWatchSession *session);

#endif
