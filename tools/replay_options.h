/* SPDX-License-Identifier: MIT */
/* The options of plugmap replay. */
#ifndef PLUGMAP_TOOLS_REPLAY_OPTIONS_H
#define PLUGMAP_TOOLS_REPLAY_OPTIONS_H

#include "tools/fake_options.h"
#include "tools/trace_options.h"

/* Not parsed; NULL if not given. */
typedef struct {
    char *backend;
    char *device;
    PmTraceOptions trace;
    PmFakeOptions fake;
    char *memory;
    char *dma_log;
    char *report;
    char *svg;
    gboolean json;
    gboolean no_audit;
    gboolean dma_check;
    gboolean overcommit;
    gboolean force;
    gboolean verbose;
    gint prefault;
    char **rest; /* the trace */
} PmReplayOptions;

/* The values of --memory; ends with NULL. */
extern const char *const pm_memory_names[];

void pm_replay_options_clear(PmReplayOptions *options);

int pm_replay_main(int argc, char **argv);

/* Rejects options that would have no effect. Errors: PM_ERROR_INVALID_ARGUMENT. */
bool pm_replay_options_check(const PmReplayOptions *options, const PmBackend *backend,
                             GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmReplayOptions, pm_replay_options_clear)

#endif
