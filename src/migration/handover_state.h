/* SPDX-License-Identifier: MIT */
/* What an offer contains (handover.h). */
#ifndef PLUGMAP_SRC_MIGRATION_HANDOVER_STATE_H
#define PLUGMAP_SRC_MIGRATION_HANDOVER_STATE_H

#include "iommu/handover.h"
#include "mapper/mapper_private.h"
#include "memory/ram_file.h"
#include "migration/channel.h"
#include "migration/wire.h"

/* PmHandoverRegion: @config without RAM; the RAM is number @ram. */
typedef struct {
    PmMapperRegion config;
    uint32_t ram;
    PmIommuRun *runs;
    size_t n_runs;
} PmHandoverRegion;

/*
 * PmHandoverState: all arrays are owned. @files: has the descriptors of a sender or of a message.
 * @ram_fds: of each RAM, in the order of @rams.
 */
typedef struct {
    PmIommuFiles files;
    GArray *rams;    /* of PmRamFile */
    GArray *ram_fds; /* of int */
    GArray *regions; /* of PmHandoverRegion */
} PmHandoverState;

void pm_handover_state_init(PmHandoverState *state);
/* Closes no descriptor. */
void pm_handover_state_clear(PmHandoverState *state);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmHandoverState, pm_handover_state_clear)

/* Describes the mapper. Errors: PM_ERROR_BUSY (claims without a region, or the other way round),
 * PM_ERROR_LIMIT (too many descriptors), PM_ERROR_MEMORY. */
bool pm_handover_state_collect(PmHandoverState *state, PmMapper *mapper, GError **error);

/* The state's descriptors, as pm_handover_state_read() expects them. Returns their number. */
size_t pm_handover_state_list_fds(const PmHandoverState *state, int *fds);

/* @writer fails for lack of memory. */
void pm_handover_state_write(const PmHandoverState *state, PmWireWriter *writer);

/* Reads and validates an offer; the descriptors stay the message's. Errors: PM_ERROR_BAD_INPUT,
 * PM_ERROR_MEMORY. */
bool pm_handover_state_read(PmHandoverState *state, const PmMessage *offer, GError **error);

#endif
