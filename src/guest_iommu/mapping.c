/* SPDX-License-Identifier: MIT */
#include "guest_iommu/mapping.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "guest_iommu/domain.h"
#include "guest_iommu/endpoint.h"
#include "guest_iommu/follower.h"
#include "guest_iommu/refusal.h"
#include "kernel-uapi/virtio_iommu.h"

#define KNOWN_FLAGS PM_GUEST_MAPPING_MMIO

/* The next mapping after @mapping that begins at or before @last. */
static bool next_in_range(const PmDomain *domain, uint64_t last, PmGuestMapping *mapping)
{
    return mapping->last < last && pm_domain_next_mapping(domain, mapping->last + 1, mapping) &&
           mapping->iova <= last;
}

static bool first_in_range(const PmDomain *domain, uint64_t first, uint64_t last,
                           PmGuestMapping *mapping)
{
    return pm_domain_next_mapping(domain, first, mapping) && mapping->iova <= last;
}

void pm_mappings_restore(PmGuestIommu *iommu, PmDomain *domain, uint64_t first, uint64_t last,
                         GError *failure)
{
    unsigned status = iommu->status;
    uint64_t n_lost = 0;
    PmGuestMapping mapping;
    PmGuestMapping first_lost = {0};
    g_autoptr(GError) first_error = NULL;
    g_autofree char *lost = NULL;
    bool more;

    for (more = first_in_range(domain, first, last, &mapping); more;
         more = next_in_range(domain, last, &mapping)) {
        if (pm_follower_map(iommu, domain, &mapping, n_lost == 0 ? &first_error : NULL))
            continue;
        if (n_lost++ == 0)
            first_lost = mapping;
        (void)pm_range_map_remove(domain->mappings, mapping.iova, mapping.last);
    }
    iommu->status = status;
    if (n_lost == 0)
        return;
    iommu->status = VIRTIO_IOMMU_S_DEVERR;
    lost = pm_counted(n_lost, "mapping");
    pm_reword(failure, PM_ERROR_QUARANTINED,
              "%s; undoing failed, too (%s): %s of domain %u lost, the first at 0x%" PRIx64,
              failure->message, first_error->message, lost, domain->id, first_lost.iova);
}

static bool check_mapping(PmGuestIommu *iommu, const PmGuestMapping *mapping, GError **error)
{
    uint64_t outside = iommu->granularity - 1;
    const PmIovaRange *input = &iommu->config.input_range;

    if ((mapping->flags & ~(unsigned)KNOWN_FLAGS) != 0 ||
        ((mapping->flags & PM_GUEST_MAPPING_MMIO) != 0 && !iommu->config.mmio))
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_INVALID_ARGUMENT,
                               "invalid flags 0x%x of a mapping", mapping->flags);
    if (mapping->access == 0 || (mapping->access & ~(unsigned)PM_IOMMU_READ_WRITE) != 0)
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_INVALID_ARGUMENT,
                               "invalid access 0x%x of a mapping: must be read, write, or both",
                               (unsigned)mapping->access);
    if (((mapping->iova | mapping->address | (mapping->last + 1)) & outside) != 0)
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_RANGE, PM_ERROR_UNALIGNED,
                               "0x%" PRIx64 "-0x%" PRIx64 " to 0x%" PRIx64
                               " is not aligned to the granularity 0x%" PRIx64,
                               mapping->iova, mapping->last, mapping->address, iommu->granularity);
    if (mapping->last < mapping->iova)
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_INVALID_ARGUMENT,
                               "invalid range 0x%" PRIx64 "-0x%" PRIx64
                               ": the last address is below the first",
                               mapping->iova, mapping->last);
    if (mapping->iova < input->start || mapping->last > input->last)
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_RANGE, PM_ERROR_IOVA_RANGE,
                               "0x%" PRIx64 "-0x%" PRIx64 " is outside the input range 0x%" PRIx64
                               "-0x%" PRIx64,
                               mapping->iova, mapping->last, input->start, input->last);
    if (mapping->address > UINT64_MAX - (mapping->last - mapping->iova))
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_RANGE, PM_ERROR_IOVA_RANGE,
                               "0x%" PRIx64 " bytes at guest physical address 0x%" PRIx64
                               " end past 2^64",
                               mapping->last - mapping->iova + 1, mapping->address);
    return true;
}

static PmDomain *find_translated(PmGuestIommu *iommu, uint32_t id, GError **error)
{
    PmDomain *domain = pm_domain_find(iommu, id);

    if (domain == NULL)
        (void)pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_NOENT, PM_ERROR_NOT_FOUND,
                              "no domain %u: no endpoint is attached to it", id);
    else if (domain->bypass)
        (void)pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_INVALID_ARGUMENT,
                              "domain %u is bypass, and has no mappings", id);
    return domain != NULL && !domain->bypass ? domain : NULL;
}

static bool check_free(PmGuestIommu *iommu, const PmDomain *domain, const PmGuestMapping *mapping,
                       GError **error)
{
    PmGuestMapping other;

    for (const PmEndpoint *endpoint = domain->endpoints; endpoint != NULL;
         endpoint = endpoint->next) {
        const PmGuestReserved *reserved =
            pm_endpoint_find_reserved(endpoint, mapping->iova, mapping->last);

        if (reserved != NULL)
            return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_OVERLAP,
                                   "0x%" PRIx64 "-0x%" PRIx64 " overlaps 0x%" PRIx64 "-0x%" PRIx64
                                   " reserved by endpoint 0x%x (%s)",
                                   mapping->iova, mapping->last, reserved->start, reserved->last,
                                   endpoint->id, endpoint->device);
    }
    if (first_in_range(domain, mapping->iova, mapping->last, &other))
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_OVERLAP,
                               "0x%" PRIx64 "-0x%" PRIx64 " overlaps the mapping 0x%" PRIx64
                               "-0x%" PRIx64 " of domain %u",
                               mapping->iova, mapping->last, other.iova, other.last, domain->id);
    return true;
}

/* Afterwards an insert cannot fail. */
static bool make_room(PmGuestIommu *iommu, PmDomain *domain, GError **error)
{
    uint32_t limit = iommu->config.max_mappings;

    if (pm_range_map_n_records(domain->mappings) >= limit) {
        g_autofree char *n_mappings = pm_counted(limit, "mapping");

        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_NOMEM, PM_ERROR_GUEST_LIMIT,
                               "domain %u has reached its limit of %s: unmap some, or raise "
                               "PmGuestIommuConfig.max_mappings",
                               domain->id, n_mappings);
    }
    return pm_range_map_reserve(domain->mappings, 1) ||
           pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_DEVERR, PM_ERROR_MEMORY,
                           "out of memory for a mapping of domain %u", domain->id);
}

bool pm_guest_iommu_map(PmGuestIommu *iommu, uint32_t id, const PmGuestMapping *mapping,
                        GError **error)
{
    PmMappingRecord record;
    PmDomain *domain;

    if (!check_mapping(iommu, mapping, error))
        return false;
    domain = find_translated(iommu, id, error);
    if (domain == NULL || !check_free(iommu, domain, mapping, error) ||
        !make_room(iommu, domain, error) || !pm_follower_map(iommu, domain, mapping, error))
        return false;
    record = (PmMappingRecord){
        .key = {mapping->iova, mapping->last},
        .address = mapping->address,
        .access = mapping->access,
        .flags = mapping->flags,
    };
    (void)pm_range_map_insert(domain->mappings, &record);
    return true;
}

/* No mapping is partly in the range. */
static bool check_whole(PmGuestIommu *iommu, const PmDomain *domain, uint64_t iova, uint64_t last,
                        GError **error)
{
    PmGuestMapping cut;

    if ((!pm_domain_next_mapping(domain, iova, &cut) || cut.iova >= iova) &&
        (!pm_domain_next_mapping(domain, last, &cut) || cut.iova > last || cut.last == last))
        return true;
    return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_RANGE, PM_ERROR_CUTS_MAPPING,
                           "0x%" PRIx64 "-0x%" PRIx64 " cuts the mapping 0x%" PRIx64 "-0x%" PRIx64
                           " of domain %u: unmap whole mappings",
                           iova, last, cut.iova, cut.last, domain->id);
}

bool pm_guest_iommu_unmap(PmGuestIommu *iommu, uint32_t id, uint64_t iova, uint64_t last,
                          GError **error)
{
    PmDomain *domain;
    PmGuestMapping mapping;
    GError *failure = NULL;
    bool more;

    if (last < iova)
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_INVALID_ARGUMENT,
                               "invalid range 0x%" PRIx64 "-0x%" PRIx64
                               ": the last address is below the first",
                               iova, last);
    domain = find_translated(iommu, id, error);
    if (domain == NULL || !check_whole(iommu, domain, iova, last, error))
        return false;
    for (more = first_in_range(domain, iova, last, &mapping); more;
         more = next_in_range(domain, last, &mapping)) {
        if (pm_follower_unmap(iommu, domain, &mapping, &failure))
            continue;
        if (mapping.iova > iova)
            pm_mappings_restore(iommu, domain, iova, mapping.iova - 1, failure);
        g_propagate_error(error, failure);
        return false;
    }
    (void)pm_range_map_remove(domain->mappings, iova, last);
    return true;
}
