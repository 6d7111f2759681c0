/* SPDX-License-Identifier: MIT */
/* A handover at its receiver: handover_receive.c makes it, handover_take_over.c ends it. */
#ifndef PLUGMAP_SRC_MIGRATION_HANDOVER_PRIVATE_H
#define PLUGMAP_SRC_MIGRATION_HANDOVER_PRIVATE_H

#include "migration/handover_state.h"

#define PM_HANDOVER_SENDER "the sender of the handover"

struct PmHandover {
    PmKernel *kernel;
    int socket;
    PmMessage offer; /* owns the descriptors that nobody has taken yet */
    PmHandoverState state;
    GPtrArray *rams; /* of PmRam */
    bool decided;    /* the old process has an answer */
};

/* @fd has a new owner, who closes it. */
void pm_handover_take_fd(PmHandover *handover, int fd);

/* Sends the last word, unless it was sent. */
void pm_handover_refuse(PmHandover *handover, const GError *failure);

#endif
