/* SPDX-License-Identifier: MIT */
/*
 * A mapping of the guest's table, mapped in the address space of its domain: all of it, or nothing.
 *
 * The names, from the table to the kernel:
 *   link    what the host has for one mapping of the guest's table (PmGuestMapping)
 *   part    a range of a mapping in one region, with blocks of one size; only computed, so that all
 *           of a mapping is checked before anything is claimed (guest_split.h)
 *   piece   a part with its claim, so with the blocks that the kernel maps for it (guest_piece.h)
 * A link has one piece for each part of its mapping.
 */
#ifndef PLUGMAP_SRC_MAPPER_GUEST_LINK_H
#define PLUGMAP_SRC_MAPPER_GUEST_LINK_H

#include "mapper/guest_region.h"

typedef struct {
    PmGuestMapping mapping;
    uint64_t n_blocks; /* mappings of the host, if all is populated */
    GPtrArray *pieces; /* of PmGuestPiece, by address; in the index */
} PmGuestLink;

typedef struct {
    const GPtrArray *regions; /* by address */
    PmIntervalIndex *index;
    PmIommu *iommu;
    uint32_t domain;
    uint64_t n_free;       /* how many mappings of the host it may need */
    uint64_t n_max;        /* of how many, for messages */
    bool needs_population; /* all of it must be populated; else only that is mapped */
} PmGuestLinkPlace;

/* Errors: as pm_guest_mapper_follow() lists for MAP. PM_ERROR_QUARANTINED: what was mapped is in
 * quarantine. */
PmGuestLink *pm_guest_link_new(const PmGuestLinkPlace *place, const PmGuestMapping *mapping,
                               GError **error);

/* Unmaps and frees it. On failure it stays, mapped as before. */
bool pm_guest_link_release(PmGuestLink *link, PmIntervalIndex *index, GError **error);

/* For a domain that ends: first releases or abandons the claims, then, once its address space is
 * closed, frees the link. What may still be mapped is in quarantine. */
void pm_guest_link_end(const PmGuestLink *link);
void pm_guest_link_drop(PmGuestLink *link, PmIntervalIndex *index);

#endif
