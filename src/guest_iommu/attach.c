/* SPDX-License-Identifier: MIT */
#include "guest_iommu/attach.h"

#include <inttypes.h>

#include "base/error_text.h"
#include "guest_iommu/domain.h"
#include "guest_iommu/endpoint.h"
#include "guest_iommu/follower.h"
#include "guest_iommu/mapping.h"
#include "guest_iommu/refusal.h"
#include "kernel-uapi/virtio_iommu.h"

/* The table's part of a detach. Returns the text of what that ended: "", or ", and ...". */
static char *leave(PmGuestIommu *iommu, PmEndpoint *endpoint)
{
    PmDomain *domain = endpoint->domain;
    g_autofree char *text = NULL;
    g_autofree char *n_mappings = NULL;

    pm_domain_remove_endpoint(domain, endpoint);
    if (domain->n_endpoints > 0 || domain == &iommu->no_domain)
        return g_strdup("");
    text = pm_domain_text(domain);
    n_mappings = pm_counted(domain->mappings != NULL ? pm_range_map_n_records(domain->mappings) : 0,
                            "mapping");
    pm_domain_end(iommu, domain);
    return g_strdup_printf(", and %s has ended with its %s", text, n_mappings);
}

/* The follower has detached @endpoint from its domain, and could not attach it elsewhere:
 * @failure. Attaches it again; changes @failure if that fails. */
static void attach_again(PmGuestIommu *iommu, PmEndpoint *endpoint, GError *failure)
{
    PmDomain *domain = endpoint->domain;
    unsigned status = iommu->status;
    g_autoptr(GError) again = NULL;
    g_autofree char *ended = NULL;
    uint32_t id;

    if (domain == NULL)
        return;
    if (pm_follower_attach(iommu, domain, endpoint, &again)) {
        iommu->status = status;
        if (domain->n_endpoints == 1)
            pm_mappings_restore(iommu, domain, 0, UINT64_MAX, failure);
        return;
    }
    id = endpoint->id;
    ended = leave(iommu, endpoint);
    iommu->status = VIRTIO_IOMMU_S_DEVERR;
    pm_reword(failure, PM_ERROR_QUARANTINED,
              "%s; undoing failed, too (%s): endpoint 0x%x can do no DMA%s", failure->message,
              again->message, id, ended);
}

bool pm_endpoint_move(PmGuestIommu *iommu, PmEndpoint *endpoint, PmDomain *to, GError **error)
{
    GError *failure = NULL;

    if (endpoint->domain == to)
        return true;
    if (endpoint->domain != NULL && !pm_follower_detach(iommu, endpoint->domain, endpoint, error))
        return false;
    if (to != NULL && !pm_follower_attach(iommu, to, endpoint, &failure)) {
        attach_again(iommu, endpoint, failure);
        g_propagate_error(error, failure);
        return false;
    }
    if (endpoint->domain != NULL)
        g_free(leave(iommu, endpoint));
    if (to != NULL)
        pm_domain_add_endpoint(to, endpoint);
    return true;
}

static bool check_domain(PmGuestIommu *iommu, uint32_t id, GError **error)
{
    const PmGuestIommuConfig *config = &iommu->config;

    if (id >= config->first_domain && id <= config->last_domain)
        return true;
    return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_RANGE, PM_ERROR_INVALID_ARGUMENT,
                           "domain %u is outside the domain range %u-%u", id, config->first_domain,
                           config->last_domain);
}

/* The domain that exists can have the endpoint. */
static bool check_compatible(PmGuestIommu *iommu, const PmDomain *domain, bool bypass,
                             const PmEndpoint *endpoint, GError **error)
{
    if (domain->bypass != bypass)
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_INVALID_ARGUMENT,
                               "domain %u exists, and %s", domain->id,
                               bypass ? "is translated, not bypass" : "is bypass, not translated");
    for (size_t i = 0; i < endpoint->n_reserved; i++) {
        const PmGuestReserved *reserved = &endpoint->reserved[i];
        PmGuestMapping mapping;

        if (pm_domain_next_mapping(domain, reserved->start, &mapping) &&
            mapping.iova <= reserved->last)
            return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_UNSUPP, PM_ERROR_UNSUPPORTED,
                                   "domain %u maps 0x%" PRIx64 "-0x%" PRIx64
                                   ", which overlaps 0x%" PRIx64 "-0x%" PRIx64
                                   " reserved by endpoint 0x%x (%s)",
                                   domain->id, mapping.iova, mapping.last, reserved->start,
                                   reserved->last, endpoint->id, endpoint->device);
    }
    return true;
}

static PmDomain *make_domain(PmGuestIommu *iommu, uint32_t id, bool bypass,
                             const PmEndpoint *endpoint, GError **error)
{
    const PmDomain *from = endpoint->domain;
    bool from_ends = from != NULL && from != &iommu->no_domain && from->n_endpoints == 1;
    uint64_t n_domains = pm_range_map_n_records(iommu->domains) + 1 - (from_ends ? 1 : 0);
    PmDomain *domain;

    if (iommu->config.max_domains > 0 && n_domains > iommu->config.max_domains) {
        (void)pm_guest_refuse(
            iommu, error, VIRTIO_IOMMU_S_NOMEM, PM_ERROR_GUEST_LIMIT,
            "domain %u would exceed the limit of %u domains: detach endpoints, or "
            "raise PmGuestIommuConfig.max_domains",
            id, iommu->config.max_domains);
        return NULL;
    }
    domain = pm_domain_new(iommu, id, bypass);
    if (domain == NULL)
        (void)pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_DEVERR, PM_ERROR_MEMORY,
                              "out of memory for domain %u", id);
    return domain;
}

bool pm_guest_iommu_attach(PmGuestIommu *iommu, uint32_t id, bool bypass, uint32_t endpoint_id,
                           GError **error)
{
    PmEndpoint *endpoint = pm_endpoint_find(iommu, endpoint_id, error);
    PmDomain *domain;

    if (endpoint == NULL || !check_domain(iommu, id, error))
        return false;
    domain = pm_domain_find(iommu, id);
    if (domain != NULL)
        return check_compatible(iommu, domain, bypass, endpoint, error) &&
               pm_endpoint_move(iommu, endpoint, domain, error);
    domain = make_domain(iommu, id, bypass, endpoint, error);
    if (domain == NULL)
        return false;
    if (!pm_endpoint_move(iommu, endpoint, domain, error)) {
        pm_domain_free(domain);
        return false;
    }
    pm_domain_insert(iommu, domain);
    return true;
}

bool pm_guest_iommu_detach(PmGuestIommu *iommu, uint32_t id, uint32_t endpoint_id, GError **error)
{
    PmEndpoint *endpoint = pm_endpoint_find(iommu, endpoint_id, error);
    const PmDomain *domain = pm_domain_find(iommu, id);

    if (endpoint == NULL)
        return false;
    if (domain == NULL || endpoint->domain != domain)
        return pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_INVAL, PM_ERROR_INVALID_ARGUMENT,
                               "endpoint 0x%x (%s) is not attached to domain %u", endpoint_id,
                               endpoint->device, id);
    return pm_endpoint_move(iommu, endpoint, iommu->bypass ? &iommu->no_domain : NULL, error);
}
