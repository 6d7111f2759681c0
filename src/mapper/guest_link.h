/* SPDX-License-Identifier: MIT */
/* A mapping of the guest's table, mapped in the address space of its domain: all of it, or nothing.
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
