/* SPDX-License-Identifier: MIT */
#include <plugmap/virtio_iommu.h>

#include "guest_iommu/attach.h"
#include "guest_iommu/endpoint.h"

static bool is_in_guest_domain(const PmGuestIommu *iommu, const PmEndpoint *endpoint)
{
    return endpoint->domain != NULL && endpoint->domain != &iommu->no_domain;
}

/* Moves the endpoints that are in a domain of the guest, or those that are not. Keeps the first
 * error in @failure. */
static void move_endpoints(PmGuestIommu *iommu, bool in_guest_domain, PmDomain *to,
                           GError **failure)
{
    PmEndpoint *endpoint;

    for (uint64_t id = 0; (endpoint = pm_endpoint_next(iommu, id)) != NULL;
         id = (uint64_t)endpoint->id + 1) {
        if (is_in_guest_domain(iommu, endpoint) == in_guest_domain)
            (void)pm_endpoint_move(iommu, endpoint, to, *failure == NULL ? failure : NULL);
    }
}

/* All endpoints leave their domains before any is attached to bypass, so that no failure to attach
 * puts one back. */
static bool reset(PmGuestIommu *iommu, bool bypass, GError **error)
{
    GError *failure = NULL;

    iommu->accepted_features = 0;
    iommu->bypass = bypass;
    move_endpoints(iommu, true, NULL, &failure);
    move_endpoints(iommu, false, bypass ? &iommu->no_domain : NULL, &failure);
    if (failure == NULL)
        return true;
    g_propagate_prefixed_error(error, failure, "reset of the guest IOMMU: ");
    return false;
}

bool pm_virtio_iommu_device_reset(PmGuestIommu *iommu, GError **error)
{
    return reset(iommu, iommu->bypass, error);
}

bool pm_virtio_iommu_system_reset(PmGuestIommu *iommu, GError **error)
{
    return reset(iommu, iommu->config.bypass, error);
}
