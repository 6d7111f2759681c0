/* SPDX-License-Identifier: MIT */
/* What an offer contains (handover.h). */
#ifndef PLUGMAP_SRC_MIGRATION_HANDOVER_STATE_H
#define PLUGMAP_SRC_MIGRATION_HANDOVER_STATE_H

#include <plugmap/handover.h>

#include "iommu/handover.h"
#include "memory/ram_file.h"
#include "migration/channel.h"
#include "migration/wire.h"

/* Bytes of a device's name. */
#define PM_HANDOVER_MAX_NAME 255

/* PmHandoverRegion: @config without RAM; the RAM is number @ram. @runs: owned. */
typedef struct {
    PmMapperRegion config;
    uint32_t ram;
    PmIommuRun *runs;
    size_t n_runs;
} PmHandoverRegion;

/* PmHandoverMapper: @space: number of its address space. */
typedef struct {
    uint32_t space;
    GArray *regions; /* of PmHandoverRegion */
} PmHandoverMapper;

/*
 * PmHandoverState: all arrays are owned. @spaces: with the descriptors of a sender or of a message.
 * @ram_fds: of each RAM, in the order of @rams.
 */
typedef struct {
    GArray *spaces;  /* of PmIommuFiles */
    GArray *rams;    /* of PmRamFile */
    GArray *ram_fds; /* of int */
    GArray *mappers; /* of PmHandoverMapper */
} PmHandoverState;

void pm_handover_state_init(PmHandoverState *state);
/* Closes no descriptor. */
void pm_handover_state_clear(PmHandoverState *state);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmHandoverState, pm_handover_state_clear)

/* Empty ones; valid until the next is added. */
PmIommuFiles *pm_handover_state_add_space(PmHandoverState *state);
PmHandoverMapper *pm_handover_state_add_mapper(PmHandoverState *state);

PmHandoverMapper *pm_handover_state_mapper(const PmHandoverState *state, size_t index);
PmHandoverRegion *pm_handover_mapper_region(const PmHandoverMapper *mapper, size_t index);

/* The state's descriptors, as pm_handover_state_read() expects them. Returns their number, at most
 * PM_CHANNEL_MAX_FDS, which a sender has checked (handover_party.h). */
size_t pm_handover_state_list_fds(const PmHandoverState *state, int *fds);

/* @writer fails for lack of memory. */
void pm_handover_state_write(const PmHandoverState *state, PmWireWriter *writer);

/* Reads and validates an offer; the descriptors stay the message's. Errors: PM_ERROR_BAD_INPUT,
 * PM_ERROR_MEMORY. */
bool pm_handover_state_read(PmHandoverState *state, const PmMessage *offer, GError **error);

#endif
