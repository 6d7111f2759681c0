/* SPDX-License-Identifier: MIT */
/* Domains: the address spaces of a guest IOMMU. */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_DOMAIN_H
#define PLUGMAP_SRC_GUEST_IOMMU_DOMAIN_H

#include "guest_iommu/state.h"

/* The domain with this number, or NULL. */
PmDomain *pm_domain_find(const PmGuestIommu *iommu, uint32_t id);

/* The first domain whose number is at least @id, or NULL. */
PmDomain *pm_domain_next(const PmGuestIommu *iommu, uint32_t id);

/* A domain without endpoints, and room for it in @iommu->domains. NULL if out of memory. */
PmDomain *pm_domain_new(PmGuestIommu *iommu, uint32_t id, bool bypass);

void pm_domain_free(PmDomain *domain);

/* Adds a domain that pm_domain_new() made. Cannot fail. */
void pm_domain_insert(PmGuestIommu *iommu, PmDomain *domain);

/* Removes and frees a domain; not @iommu->no_domain. */
void pm_domain_end(PmGuestIommu *iommu, PmDomain *domain);

void pm_domain_add_endpoint(PmDomain *domain, PmEndpoint *endpoint);
void pm_domain_remove_endpoint(PmDomain *domain, PmEndpoint *endpoint);

/* The first mapping that ends at or after @iova. */
bool pm_domain_next_mapping(const PmDomain *domain, uint64_t iova, PmGuestMapping *mapping);

/* "domain 1", "bypass domain 1", "bypass"; a new string. */
char *pm_domain_text(const PmDomain *domain);

#endif
