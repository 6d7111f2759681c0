/* SPDX-License-Identifier: MIT */
/* What is compared after every event of a replay, each from a source of its own. */
#ifndef PLUGMAP_SRC_REPLAY_REPLAY_AUDIT_H
#define PLUGMAP_SRC_REPLAY_REPLAY_AUDIT_H

#include <plugmap/plugmap.h>

#include "dma/check.h"
#include "replay/audit_scope.h"

typedef struct {
    const PmAuditScope *scope;
    PmVirtioMem *device;
    PmIommu *iommu;
    PmMapper *mapper;
    PmKernel *fake; /* NULL on the host's kernel */
    unsigned group;
    bool all_resident;     /* what is plugged was brought in, by pinning or before */
    PmDmaCheck *dma_check; /* NULL if not asked for */
} PmReplayAuditSubject;

typedef struct {
    bool (*applies)(const PmReplayAuditSubject *subject);
    bool (*check)(const PmReplayAuditSubject *subject, GError **error);
} PmReplayAudit;

#define PM_REPLAY_N_AUDITS 5
extern const PmReplayAudit pm_replay_audits[PM_REPLAY_N_AUDITS];

#endif
