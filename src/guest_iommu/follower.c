/* SPDX-License-Identifier: MIT */
#include "guest_iommu/follower.h"

#include <inttypes.h>

#include "base/error_private.h"
#include "base/error_text.h"
#include "base/log.h"
#include "base/sized.h"
#include "guest_iommu/domain.h"
#include "guest_iommu/endpoint.h"
#include "kernel-uapi/virtio_iommu.h"

static unsigned status_of_code(PmError code)
{
    switch (code) {
    case PM_ERROR_GUEST_LIMIT:
        return VIRTIO_IOMMU_S_NOMEM;
    case PM_ERROR_NOT_POPULATED:
    case PM_ERROR_BAD_ADDRESS:
        return VIRTIO_IOMMU_S_FAULT;
    case PM_ERROR_IOVA_RANGE:
    case PM_ERROR_UNALIGNED:
        return VIRTIO_IOMMU_S_RANGE;
    case PM_ERROR_INVALID_ARGUMENT:
        return VIRTIO_IOMMU_S_INVAL;
    case PM_ERROR_UNSUPPORTED:
        return VIRTIO_IOMMU_S_UNSUPP;
    default:
        return VIRTIO_IOMMU_S_DEVERR;
    }
}

/* Takes ownership of @failure, the follower's error. */
static bool follower_failed(PmGuestIommu *iommu, GError *failure, GError **error)
{
    if (failure == NULL)
        (void)pm_fail(&failure, PM_ERROR_LISTENER,
                      "the follower of the guest IOMMU failed without an error: see its log");
    else if (failure->domain != PM_ERROR)
        failure = pm_error_new_caused(PM_ERROR_LISTENER, failure);
    iommu->status = status_of_code((PmError)failure->code);
    g_propagate_error(error, failure);
    return false;
}

static bool endpoint_failed(PmGuestIommu *iommu, const char *what, const char *preposition,
                            const PmDomain *domain, const PmEndpoint *endpoint, GError *failure,
                            GError **error)
{
    g_autofree char *text = pm_domain_text(domain);

    (void)follower_failed(iommu, failure, error);
    g_prefix_error(error, "%s endpoint 0x%x (%s) %s %s failed: ", what, endpoint->id,
                   endpoint->device, preposition, text);
    return false;
}

static bool mapping_failed(PmGuestIommu *iommu, const char *what, const PmDomain *domain,
                           const PmGuestMapping *mapping, GError *failure, GError **error)
{
    (void)follower_failed(iommu, failure, error);
    g_prefix_error(error, "%s 0x%" PRIx64 "-0x%" PRIx64 " in domain %u failed: ", what,
                   mapping->iova, mapping->last, domain->id);
    return false;
}

bool pm_follower_is(const PmGuestIommu *iommu, const void *user_data)
{
    return iommu->ops.attach != NULL && iommu->user_data == user_data;
}

bool pm_follower_attach(PmGuestIommu *iommu, const PmDomain *domain, const PmEndpoint *endpoint,
                        GError **error)
{
    GError *failure = NULL;

    return iommu->ops.attach == NULL ||
           iommu->ops.attach(iommu->user_data, domain->id, domain->bypass, endpoint->id,
                             endpoint->device, &failure) ||
           endpoint_failed(iommu, "attaching", "to", domain, endpoint, failure, error);
}

bool pm_follower_detach(PmGuestIommu *iommu, const PmDomain *domain, const PmEndpoint *endpoint,
                        GError **error)
{
    GError *failure = NULL;

    return iommu->ops.detach == NULL ||
           iommu->ops.detach(iommu->user_data, domain->id, domain->bypass, endpoint->id,
                             endpoint->device, &failure) ||
           endpoint_failed(iommu, "detaching", "from", domain, endpoint, failure, error);
}

bool pm_follower_map(PmGuestIommu *iommu, const PmDomain *domain, const PmGuestMapping *mapping,
                     GError **error)
{
    GError *failure = NULL;

    return iommu->ops.map == NULL ||
           iommu->ops.map(iommu->user_data, domain->id, mapping, &failure) ||
           mapping_failed(iommu, "mapping", domain, mapping, failure, error);
}

bool pm_follower_unmap(PmGuestIommu *iommu, const PmDomain *domain, const PmGuestMapping *mapping,
                       GError **error)
{
    GError *failure = NULL;

    return iommu->ops.unmap == NULL ||
           iommu->ops.unmap(iommu->user_data, domain->id, mapping, &failure) ||
           mapping_failed(iommu, "unmapping", domain, mapping, failure, error);
}

/* Detaches the endpoints that the follower has, with numbers below @end, and drops the follower. */
static void end_follower(PmGuestIommu *iommu, uint64_t end)
{
    const PmEndpoint *endpoint;

    for (uint64_t id = 0; id < end && (endpoint = pm_endpoint_next(iommu, id)) != NULL;
         id = (uint64_t)endpoint->id + 1) {
        g_autoptr(GError) failure = NULL;

        if (endpoint->id < end && endpoint->domain != NULL &&
            !pm_follower_detach(iommu, endpoint->domain, endpoint, &failure))
            pm_log(G_LOG_LEVEL_WARNING, "ending the follower of a guest IOMMU: %s",
                   failure->message);
    }
    iommu->ops = (PmGuestIommuOps){0};
    iommu->user_data = NULL;
}

/* @end: set to one more than the number of the last endpoint that is attached. */
static bool replay_endpoints(PmGuestIommu *iommu, uint64_t *end, GError **error)
{
    const PmEndpoint *endpoint;

    for (*end = 0; (endpoint = pm_endpoint_next(iommu, *end)) != NULL;
         *end = (uint64_t)endpoint->id + 1) {
        if (endpoint->domain != NULL &&
            !pm_follower_attach(iommu, endpoint->domain, endpoint, error))
            return false;
    }
    return true;
}

static bool replay_mappings(PmGuestIommu *iommu, const PmDomain *domain, GError **error)
{
    PmGuestMapping mapping = {0};
    uint64_t iova = 0;
    bool more = pm_domain_next_mapping(domain, iova, &mapping);

    while (more) {
        if (!pm_follower_map(iommu, domain, &mapping, error))
            return false;
        iova = mapping.last + 1;
        more = iova != 0 && pm_domain_next_mapping(domain, iova, &mapping);
    }
    return true;
}

static bool replay(PmGuestIommu *iommu, uint64_t *end, GError **error)
{
    const PmDomain *domain;

    if (!replay_endpoints(iommu, end, error))
        return false;
    for (uint32_t id = 0; (domain = pm_domain_next(iommu, id)) != NULL; id = domain->id + 1) {
        if (!replay_mappings(iommu, domain, error))
            return false;
    }
    return true;
}

static bool check_ops(const PmGuestIommuOps *ops, GError **error)
{
    if (ops->attach != NULL && ops->detach != NULL && ops->map != NULL && ops->unmap != NULL)
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid PmGuestIommuOps: set attach, detach, map and unmap");
}

bool pm_guest_iommu_set_follower(PmGuestIommu *iommu, const PmGuestIommuOps *caller_ops,
                                 void *user_data, GError **error)
{
    PmGuestIommuOps ops;
    uint64_t end = (uint64_t)UINT32_MAX + 1;

    if (caller_ops == NULL) {
        end_follower(iommu, end);
        return true;
    }
    if (!pm_sized_read("PmGuestIommuOps", &ops, sizeof(ops), caller_ops, error) ||
        !check_ops(&ops, error))
        return false;
    if (iommu->ops.attach != NULL)
        return pm_fail(error, PM_ERROR_BUSY,
                       "the guest IOMMU has a follower already: end it first "
                       "(pm_guest_iommu_set_follower() with NULL)");
    iommu->ops = ops;
    iommu->user_data = user_data;
    if (replay(iommu, &end, error))
        return true;
    end_follower(iommu, end);
    return false;
}
