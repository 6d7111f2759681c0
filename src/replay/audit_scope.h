/* SPDX-License-Identifier: MIT */
/*
 * Where an audit looks: at what the event has touched, and now and then, and at the end, at
 * everything. So an event takes no longer in a larger region, and what goes wrong elsewhere is
 * found at the next look at everything.
 */
#ifndef PLUGMAP_SRC_REPLAY_AUDIT_SCOPE_H
#define PLUGMAP_SRC_REPLAY_AUDIT_SCOPE_H

#include <plugmap/plugmap.h>

#include "trace/trace.h"

/* Runs of blocks that are told apart; the last one reaches over all others. */
#define PM_AUDIT_SCOPE_MAX_RANGES 4096

/* What an event may look at beyond what it has touched: 1024 events for 64 GiB. */
#define PM_AUDIT_SCOPE_EXTRA (64 * PM_MIB)

/*
 * @everything: the whole region, and what is compared only as a whole; else @ranges, of which there
 * is at least one.
 * @n_events: since everything was looked at last, with the event of now.
 */
typedef struct {
    PmVirtioMem *device;
    bool everything;
    size_t n_ranges;
    PmIovaRange ranges[PM_AUDIT_SCOPE_MAX_RANGES];
    uint64_t n_events;
    uint64_t credit; /* bytes that may be looked at */
    uint64_t cost;   /* of looking at everything, in bytes of memory */
} PmAuditScope;

/* Of everything, until an event is concluded. @device lives as long. Free with g_free(). */
PmAuditScope *pm_audit_scope_new(PmVirtioMem *device);

/* Before @event is played: notes what it is about to touch. */
void pm_audit_scope_begin(PmAuditScope *scope, const PmTraceEvent *event);

/* After it was played: decides whether everything is looked at. @last: whatever it costs. */
void pm_audit_scope_conclude(PmAuditScope *scope, bool last);

#endif
