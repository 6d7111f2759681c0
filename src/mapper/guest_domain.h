/* SPDX-License-Identifier: MIT */
/* A domain of the guest: an address space, and the mappings of the guest's table in it; for bypass
 * a mapper. */
#ifndef PLUGMAP_SRC_MAPPER_GUEST_DOMAIN_H
#define PLUGMAP_SRC_MAPPER_GUEST_DOMAIN_H

#include "base/range_map.h"
#include "mapper/guest_link.h"

typedef struct {
    uint32_t id;
    PmIommu *iommu;
    PmMapper *bypass; /* NULL: translated */
    uint64_t n_endpoints;
    uint64_t n_blocks; /* mappings of the host that its mappings need, if all is populated */
    PmRangeMap *links; /* of PmGuestLinkRecord */
} PmGuestDomain;

typedef struct {
    PmRangeKey iovas;
    PmGuestLink *link;
} PmGuestLinkRecord;

/* Takes @iommu, which has the first endpoint. */
PmGuestDomain *pm_guest_domain_new(uint32_t id, PmIommu *iommu);

/* The same, for bypass; takes @iommu even on failure. Errors: those of pm_mapper_add(). */
PmGuestDomain *pm_guest_domain_new_bypass(PmIommu *iommu, const GPtrArray *regions, GError **error);

/* Ends it: closes its address space, with all mappings. What may still be mapped is in quarantine.
 */
void pm_guest_domain_end(PmGuestDomain *domain, PmIntervalIndex *index);

/* @place: its regions, index, maximum and needs_population; the domain sets the rest. */
bool pm_guest_domain_map(PmGuestDomain *domain, const PmGuestLinkPlace *place,
                         const PmGuestMapping *mapping, GError **error);

bool pm_guest_domain_unmap(PmGuestDomain *domain, PmIntervalIndex *index,
                           const PmGuestMapping *mapping, GError **error);

/* The first link that ends at or after @iova, or NULL. */
PmGuestLink *pm_guest_domain_next_link(const PmGuestDomain *domain, uint64_t iova);

#endif
