/* SPDX-License-Identifier: MIT */
/* State shared by all parts of the fake kernel. */
#ifndef PLUGMAP_SRC_FAKE_MACHINE_MACHINE_H
#define PLUGMAP_SRC_FAKE_MACHINE_MACHINE_H

#include <pthread.h>

#include "fake/machine/charges.h"
#include "fake/machine/config.h"
#include "fake/machine/dma_fault_log.h"
#include "fake/machine/fault_plan.h"
#include "fake/machine/file_table.h"

typedef struct {
    pthread_mutex_t lock; /* for everything; no GMutex, which the thread sanitizer does not see */
    PmFakeConfig config;
    PmFileTable files;
    PmFaultPlan plan;
    PmCharges charges;
    PmDmaFaultLog dma_faults;
} PmFakeMachine;

/* @config: already checked; copied. */
void pm_fake_machine_init(PmFakeMachine *machine, const PmFakeConfig *config);
/* All files must be closed. */
void pm_fake_machine_clear(PmFakeMachine *machine);

#endif
