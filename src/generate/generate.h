/* SPDX-License-Identifier: MIT */
/*
 * Simulates a Linux guest with a virtio-mem device and writes down what it asks for: a trace. The
 * same configuration results in the same trace.
 */
#ifndef PLUGMAP_SRC_GENERATE_GENERATE_H
#define PLUGMAP_SRC_GENERATE_GENERATE_H

#include "generate/generate_config.h"
#include "trace/trace.h"

/* One step, when the next one begins. */
typedef struct {
    PmStepType type;
    uint64_t requested_size;
    uint64_t plugged_size;
    uint64_t n_requests;
    uint64_t n_tries; /* how often the timer of the next try expired */
    int64_t time_ns;  /* when it began */
} PmGenerateStep;

typedef struct {
    uint64_t n_events[PM_EVENT_N_TYPES];
    uint64_t n_answers[PM_TRACE_N_RESPONSES]; /* indexed by PmVirtioMemAnswer */
    int64_t duration_ns;
    GArray *steps; /* of PmGenerateStep */
} PmGenerateResult;

/* All zero: empty. */
void pm_generate_result_clear(PmGenerateResult *result);

/* Called for each event, in their order. */
typedef void (*PmGenerateFunc)(const PmTraceEvent *event, void *user_data);

/* Errors: those of pm_generate_config_check() and pm_guest_device_new(), PM_ERROR_MEMORY. */
bool pm_generate(const PmGenerateConfig *config, PmGenerateFunc emit, void *user_data,
                 PmGenerateResult *result, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmGenerateResult, pm_generate_result_clear)

#endif
