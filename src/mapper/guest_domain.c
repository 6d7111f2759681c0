/* SPDX-License-Identifier: MIT */
#include "mapper/guest_domain.h"

#include <inttypes.h>

#include "base/error_text.h"

PmGuestDomain *pm_guest_domain_new(uint32_t id, PmIommu *iommu)
{
    PmGuestDomain *domain = g_new0(PmGuestDomain, 1);

    domain->id = id;
    domain->iommu = iommu;
    domain->n_endpoints = 1;
    domain->links = pm_range_map_new(sizeof(PmGuestLinkRecord));
    return domain;
}

PmGuestDomain *pm_guest_domain_new_bypass(PmIommu *iommu, const GPtrArray *regions, GError **error)
{
    PmGuestDomain *domain = pm_guest_domain_new(PM_GUEST_IOMMU_NO_DOMAIN, iommu);

    domain->bypass = pm_mapper_new(iommu);
    for (guint i = 0; i < regions->len; i++) {
        const PmGuestRegion *region = g_ptr_array_index(regions, i);

        if (pm_mapper_add(domain->bypass, &region->config, error))
            continue;
        pm_guest_domain_end(domain, NULL);
        return NULL;
    }
    return domain;
}

PmGuestLink *pm_guest_domain_next_link(const PmGuestDomain *domain, uint64_t iova)
{
    const PmGuestLinkRecord *record = pm_range_map_find(domain->links, iova);

    return record != NULL ? record->link : NULL;
}

static PmGuestLink *link_after(const PmGuestDomain *domain, const PmGuestLink *link)
{
    if (link->mapping.last == UINT64_MAX)
        return NULL;
    return pm_guest_domain_next_link(domain, link->mapping.last + 1);
}

void pm_guest_domain_end(PmGuestDomain *domain, PmIntervalIndex *index)
{
    PmGuestLink *link = pm_guest_domain_next_link(domain, 0);
    PmGuestLink *next;

    for (; link != NULL; link = link_after(domain, link))
        pm_guest_link_end(link);
    pm_mapper_free(domain->bypass);
    pm_iommu_unref(domain->iommu);
    for (link = pm_guest_domain_next_link(domain, 0); link != NULL; link = next) {
        next = link_after(domain, link);
        pm_guest_link_drop(link, index);
    }
    pm_range_map_free(domain->links);
    g_free(domain);
}

bool pm_guest_domain_map(PmGuestDomain *domain, const PmGuestLinkPlace *place,
                         const PmGuestMapping *mapping, GError **error)
{
    PmGuestLinkPlace here = *place;
    PmGuestLinkRecord record = {{mapping->iova, mapping->last}, NULL};

    if (!pm_range_map_reserve(domain->links, 1))
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for the mappings of domain %" PRIu32,
                       domain->id);
    here.iommu = domain->iommu;
    here.domain = domain->id;
    here.n_free = place->n_max - MIN(domain->n_blocks, place->n_max);
    record.link = pm_guest_link_new(&here, mapping, error);
    if (record.link == NULL)
        return false;
    domain->n_blocks += record.link->n_blocks;
    return pm_range_map_insert(domain->links, &record); /* in reserved memory */
}

bool pm_guest_domain_unmap(PmGuestDomain *domain, PmIntervalIndex *index,
                           const PmGuestMapping *mapping, GError **error)
{
    PmGuestLink *link = pm_guest_domain_next_link(domain, mapping->iova);
    uint64_t n_blocks;

    if (link == NULL || link->mapping.iova != mapping->iova || link->mapping.last != mapping->last)
        return pm_fail(error, PM_ERROR_NO_MAPPING,
                       "domain %" PRIu32 " has no mapping of I/O addresses 0x%" PRIx64
                       "-0x%" PRIx64,
                       domain->id, mapping->iova, mapping->last);
    n_blocks = link->n_blocks;
    if (!pm_guest_link_release(link, index, error))
        return false;
    domain->n_blocks -= n_blocks;
    (void)pm_range_map_remove(domain->links, mapping->iova, mapping->last);
    return true;
}
