/* SPDX-License-Identifier: MIT */
/* Endpoints in no domain: bypass on and off. */
#include "base/error_text.h"
#include "guest_iommu/attach.h"
#include "guest_iommu/endpoint.h"
#include "kernel-uapi/virtio_iommu.h"

/* Moves endpoints in no domain to @to, and marks them. */
static bool move_all(PmGuestIommu *iommu, PmDomain *to, GError **error)
{
    PmEndpoint *endpoint;

    for (uint64_t id = 0; (endpoint = pm_endpoint_next(iommu, id)) != NULL;
         id = (uint64_t)endpoint->id + 1)
        endpoint->marked = false;
    for (uint64_t id = 0; (endpoint = pm_endpoint_next(iommu, id)) != NULL;
         id = (uint64_t)endpoint->id + 1) {
        if (endpoint->domain == to ||
            (endpoint->domain != NULL && endpoint->domain != &iommu->no_domain))
            continue;
        if (!pm_endpoint_move(iommu, endpoint, to, error))
            return false;
        endpoint->marked = true;
    }
    return true;
}

/* Moves marked endpoints back to @to; changes @failure if that fails. */
static void move_back(PmGuestIommu *iommu, PmDomain *to, GError *failure)
{
    PmEndpoint *endpoint;
    unsigned status = iommu->status;

    for (uint64_t id = 0; (endpoint = pm_endpoint_next(iommu, id)) != NULL;
         id = (uint64_t)endpoint->id + 1) {
        g_autoptr(GError) again = NULL;

        if (!endpoint->marked || pm_endpoint_move(iommu, endpoint, to, &again))
            continue;
        status = VIRTIO_IOMMU_S_DEVERR;
        pm_reword(failure, PM_ERROR_QUARANTINED, "%s; undoing failed, too (%s): endpoint 0x%x %s",
                  failure->message, again->message, endpoint->id,
                  endpoint->domain == NULL ? "can do no DMA" : "is still in bypass");
    }
    iommu->status = status;
}

bool pm_guest_iommu_set_bypass(PmGuestIommu *iommu, bool bypass, GError **error)
{
    PmDomain *to = bypass ? &iommu->no_domain : NULL;
    GError *failure = NULL;

    if (!move_all(iommu, to, &failure)) {
        move_back(iommu, bypass ? NULL : &iommu->no_domain, failure);
        g_propagate_error(error, failure);
        return false;
    }
    iommu->bypass = bypass;
    return true;
}

bool pm_guest_iommu_get_bypass(const PmGuestIommu *iommu)
{
    return iommu->bypass;
}
