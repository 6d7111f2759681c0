/* SPDX-License-Identifier: MIT */
/* The audits that run after every event of a replay; each compares independent sources. */
#ifndef PLUGMAP_SRC_REPLAY_REPLAY_AUDIT_H
#define PLUGMAP_SRC_REPLAY_REPLAY_AUDIT_H

#include <plugmap/plugmap.h>

#include "dma/check.h"
#include "replay/audit_scope.h"
#include "replay/guest.h"

typedef struct {
    const PmAuditScope *scope;
    PmVirtioMem *device;
    PmIommu *iommu;
    PmMapper *mapper;
    PmReplayGuest *guest; /* instead of @mapper: the device has I/O addresses of its own */
    uint64_t n_own;       /* mappings of the replay itself */
    PmKernel *fake;       /* NULL on the host's kernel */
    unsigned group;
    bool all_resident;     /* plugged memory was faulted in, by pinning or prefaulting */
    PmDmaCheck *dma_check; /* NULL: none */
} PmReplayAuditSubject;

typedef struct {
    bool (*applies)(const PmReplayAuditSubject *subject);
    bool (*check)(const PmReplayAuditSubject *subject, GError **error);
} PmReplayAudit;

#define PM_REPLAY_N_AUDITS 5
extern const PmReplayAudit pm_replay_audits[PM_REPLAY_N_AUDITS];

#endif
