/* SPDX-License-Identifier: MIT */
/* Guest memory that a guest IOMMU's domains map: a region, and the listener that keeps the pieces
 * in it (guest_piece.h), of all domains, mapped where the discard manager has it populated. */
#ifndef PLUGMAP_SRC_MAPPER_GUEST_REGION_H
#define PLUGMAP_SRC_MAPPER_GUEST_REGION_H

#include <plugmap/guest_mapper.h>

#include "base/interval_index.h"
#include "mapper/guest_piece.h"

/* The manager holds a reference as long as pieces may have blocks of its RAM mapped: longer than
 * the mapper, if unmapping failed. */
typedef struct PmGuestRegion {
    gatomicrefcount references;
    PmMapperRegion config; /* with a reference to the RAM */
    PmGuestUnplug unplug;
    PmIntervalIndex *index;      /* the mapper's: pieces by guest address; NULL: abandoned */
    PmDiscardManager *manager;   /* NULL: plain RAM, or abandoned */
    PmDiscardListener *listener; /* owned by the manager */
    uint64_t exclusion;          /* of a manager, for plain RAM; 0: none */
    uint64_t granularity;        /* of the manager */
    GPtrArray *suspects; /* pieces with unknown or lost blocks; owns those that are orphans */
} PmGuestRegion;

/* Follows the manager of a valid region, or excludes one. No kernel call. Errors: those of
 * pm_discard_manager_register(), PM_ERROR_BUSY (a manager was made meanwhile), PM_ERROR_MEMORY. */
PmGuestRegion *pm_guest_region_new(const PmMapperRegion *config, PmGuestUnplug unplug,
                                   PmIntervalIndex *index, GError **error);

void pm_guest_region_unref(PmGuestRegion *region);

/* Of the region's addresses. */
uint64_t pm_guest_region_last(const PmGuestRegion *region);

/* Retries to unmap orphans. Errors: PM_ERROR_QUARANTINED. */
bool pm_guest_region_settle(PmGuestRegion *region, GError **error);

/* Stops following the manager, and drops a reference. There are no pieces but orphans: what they
 * may still have stays in quarantine. Cannot fail. */
void pm_guest_region_end(PmGuestRegion *region);

/* Frees a piece without mapping, which is not in the index any more. What it may still have mapped
 * is in quarantine. */
void pm_guest_region_drop_piece(PmGuestRegion *region, PmGuestPiece *piece);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmGuestRegion, pm_guest_region_unref)

#endif
