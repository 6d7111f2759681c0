/* SPDX-License-Identifier: MIT */
/*
 * The ranges to audit: those that the event touched, and periodically, and at the end, the whole
 * region. The cost per event does not depend on the size of the region; errors outside the touched
 * ranges are found by the next full audit.
 */
#ifndef PLUGMAP_SRC_REPLAY_AUDIT_SCOPE_H
#define PLUGMAP_SRC_REPLAY_AUDIT_SCOPE_H

#include <plugmap/plugmap.h>

#include "trace/trace.h"

/* Further runs of blocks are merged into the last range. */
#define PM_AUDIT_SCOPE_MAX_RANGES 4096

/* Credit per event for full audits: one every 1024 events for 64 GiB. */
#define PM_AUDIT_SCOPE_EXTRA (64 * PM_MIB)

/*
 * @everything: full audit: the whole region, and what can only be compared as a whole; else
 * @ranges, of which there is at least one.
 * @n_events: since the last full audit, including the current one.
 */
typedef struct {
    PmVirtioMem *device;
    bool everything;
    size_t n_ranges;
    PmIovaRange ranges[PM_AUDIT_SCOPE_MAX_RANGES];
    uint64_t n_events;
    uint64_t credit; /* in bytes */
    uint64_t cost;   /* of a full audit, in bytes */
} PmAuditScope;

/* Starts with a full scope. @device must outlive it. Free with g_free(). */
PmAuditScope *pm_audit_scope_new(PmVirtioMem *device);

/* Call before playing @event: records the ranges that it may touch. */
void pm_audit_scope_begin(PmAuditScope *scope, const PmTraceEvent *event);

/* Call after playing it: decides whether to do a full audit. @last: always. */
void pm_audit_scope_conclude(PmAuditScope *scope, bool last);

#endif
