/* SPDX-License-Identifier: MIT */
/* The requests of a guest, and what they leave plugged according to the recorded responses. */
#ifndef PLUGMAP_SRC_WATCH_GUEST_H
#define PLUGMAP_SRC_WATCH_GUEST_H

#include "trace/trace.h"

/* All zero: no requests. */
typedef struct {
    uint64_t n_requests[PM_EVENT_N_TYPES];
    uint64_t n_responses[PM_TRACE_N_RESPONSES];
    uint64_t n_blocks;
} PmWatchGuest;

/* Of one device; without a recorded response a request changes no blocks. */
void pm_watch_guest_add(PmWatchGuest *guest, const PmTraceEvent *event);

/* "PLUG of 4 blocks at 0x100000000: nack", as far as it is known; a new string. */
char *pm_watch_guest_describe(const PmTraceEvent *event);

/* Whether the response is recorded and a refusal. */
bool pm_watch_guest_is_refused(const PmTraceEvent *event);

#endif
