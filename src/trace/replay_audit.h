/* SPDX-License-Identifier: MIT */
/* What is compared after every request of a replay, each from a source of its own. */
#ifndef PLUGMAP_TRACE_REPLAY_AUDIT_H
#define PLUGMAP_TRACE_REPLAY_AUDIT_H

#include <plugmap/plugmap.h>

typedef struct {
    PmVirtioMem *device;
    PmMapper *mapper;
    PmKernel *fake; /* NULL on the host's kernel */
    unsigned group;
} PmReplayAuditSubject;

typedef struct {
    bool (*check)(const PmReplayAuditSubject *subject, GError **error);
    bool needs_fake;
} PmReplayAudit;

#define PM_REPLAY_N_AUDITS 3
extern const PmReplayAudit pm_replay_audits[PM_REPLAY_N_AUDITS];

#endif
