/* SPDX-License-Identifier: MIT */
/* What 'plugmap watch' knows: of the requests of a guest, of the DMA calls, of both. */
#ifndef PLUGMAP_SRC_WATCH_WATCH_H
#define PLUGMAP_SRC_WATCH_WATCH_H

#include "watch/dma_state.h"
#include "watch/dma_statistics.h"
#include "watch/guest.h"
#include "watch/limit.h"

#define PM_WATCH_MAX_WARNINGS  100
#define PM_WATCH_MAX_BAD_LINES 10

typedef enum {
    PM_WATCH_UNKNOWN,  /* a log that has no line yet which says what it is */
    PM_WATCH_TRACE,    /* requests, and the DMA calls of their replay */
    PM_WATCH_QEMU_LOG, /* requests; a mapping is a plugged block */
    PM_WATCH_DMA_LOG,  /* DMA calls */
} PmWatchKind;

typedef void (*PmWatchWarningFunc)(const char *warning, void *user_data);

typedef struct {
    PmWatchKind kind;
    char *file;                /* for messages */
    PmWatchWarningFunc warned; /* called for each warning; NULL: nothing */
    void *user_data;

    PmWatchGuest guest;
    uint64_t block_size; /* of the guest; 0: not known */
    PmLatency plug;
    PmLatency unplug;

    uint64_t n_audits; /* of a replay */
    uint64_t n_failed_audits;
    uint64_t n_differing; /* responses */

    PmDmaState *state;
    PmDmaStatistics calls;

    PmLimit mappings; /* of the fullest address space */
    PmLimit locked;   /* bytes that the process with the most has pinned */
    bool locked_is_known;

    bool has_times;   /* of the log */
    bool has_rate;    /* times are of the log or its arrival */
    int64_t first_ns; /* of the first event; -1: none so far */
    int64_t time_ns;  /* of the last event */
    uint64_t n_events;
    char *last;          /* the last event, for people; NULL: none */
    char *first_failure; /* NULL: none */
    GPtrArray *warnings; /* the first PM_WATCH_MAX_WARNINGS, new strings */
    uint64_t n_warnings;
    uint64_t n_bad_lines;
} PmWatch;

/* @entry_limit, @memlock: PM_LIMIT_NO_LIMIT: none. */
PmWatch *pm_watch_new(PmWatchKind kind, const char *file, uint64_t entry_limit, uint64_t memlock);
void pm_watch_free(PmWatch *watch);

/* @time_ns: of the log, or of its arrival. Errors: those of pm_dma_state_apply(). */
bool pm_watch_add_call(PmWatch *watch, const PmDmaLogCall *call, int64_t time_ns, GError **error);

/* The mappings of a replay are those of its calls, of a log those of its events. */
void pm_watch_add_event(PmWatch *watch, const PmTraceEvent *event, int64_t time_ns);

/* Time has passed without events. */
void pm_watch_pass(PmWatch *watch, int64_t time_ns);

/* Takes ownership of the text. */
void pm_watch_warn(PmWatch *watch, char *warning);

/* A line that does not parse. */
void pm_watch_add_bad_line(PmWatch *watch, const GError *error);

/* Mappings now, of all address spaces. */
uint64_t pm_watch_n_mappings(const PmWatch *watch);

/* "pass"; "leak": an address space had mappings when it ended; "fail": of a replay. */
const char *pm_watch_verdict(const PmWatch *watch);
bool pm_watch_passes(const PmWatch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmWatch, pm_watch_free)

#endif
