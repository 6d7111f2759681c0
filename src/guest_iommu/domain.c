/* SPDX-License-Identifier: MIT */
#include "guest_iommu/domain.h"

PmDomain *pm_domain_next(const PmGuestIommu *iommu, uint32_t id)
{
    const PmDomainRecord *record = pm_range_map_find(iommu->domains, id);

    return record != NULL ? record->domain : NULL;
}

PmDomain *pm_domain_find(const PmGuestIommu *iommu, uint32_t id)
{
    PmDomain *domain = pm_domain_next(iommu, id);

    return domain != NULL && domain->id == id ? domain : NULL;
}

PmDomain *pm_domain_new(PmGuestIommu *iommu, uint32_t id, bool bypass)
{
    PmDomain *domain;

    if (!pm_range_map_reserve(iommu->domains, 1))
        return NULL;
    domain = g_try_malloc_n(1, sizeof(PmDomain));
    if (domain == NULL)
        return NULL;
    *domain = (PmDomain){.id = id, .bypass = bypass};
    if (!bypass)
        domain->mappings = pm_range_map_new(sizeof(PmMappingRecord));
    return domain;
}

void pm_domain_free(PmDomain *domain)
{
    pm_range_map_free(domain->mappings);
    g_free(domain);
}

void pm_domain_insert(PmGuestIommu *iommu, PmDomain *domain)
{
    const PmDomainRecord record = {.key = {domain->id, domain->id}, .domain = domain};

    (void)pm_range_map_insert(iommu->domains, &record);
}

void pm_domain_end(PmGuestIommu *iommu, PmDomain *domain)
{
    (void)pm_range_map_remove(iommu->domains, domain->id, domain->id);
    pm_domain_free(domain);
}

void pm_domain_add_endpoint(PmDomain *domain, PmEndpoint *endpoint)
{
    endpoint->domain = domain;
    endpoint->next = domain->endpoints;
    domain->endpoints = endpoint;
    domain->n_endpoints++;
}

void pm_domain_remove_endpoint(PmDomain *domain, PmEndpoint *endpoint)
{
    PmEndpoint **link = &domain->endpoints;

    while (*link != endpoint)
        link = &(*link)->next;
    *link = endpoint->next;
    domain->n_endpoints--;
    endpoint->domain = NULL;
    endpoint->next = NULL;
}

bool pm_domain_next_mapping(const PmDomain *domain, uint64_t iova, PmGuestMapping *mapping)
{
    const PmMappingRecord *record =
        domain->mappings != NULL ? pm_range_map_find(domain->mappings, iova) : NULL;

    if (record == NULL)
        return false;
    *mapping = (PmGuestMapping){
        .iova = record->key.first,
        .last = record->key.last,
        .address = record->address,
        .access = record->access,
        .flags = record->flags,
    };
    return true;
}

char *pm_domain_text(const PmDomain *domain)
{
    if (domain->id == PM_GUEST_IOMMU_NO_DOMAIN)
        return g_strdup("bypass");
    return g_strdup_printf("%s %u", domain->bypass ? "bypass domain" : "domain", domain->id);
}
