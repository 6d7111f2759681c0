/* SPDX-License-Identifier: MIT */
/* Adds and removes endpoints. */
#include "base/error_text.h"
#include "base/sized.h"
#include "guest_iommu/attach.h"
#include "guest_iommu/endpoint.h"
#include "kernel-uapi/virtio_iommu.h"

static bool check_endpoint(PmGuestIommu *iommu, const PmGuestEndpoint *config, GError **error)
{
    size_t n_room = iommu->config.probe_size / sizeof(struct virtio_iommu_probe_resv_mem);
    const PmEndpoint *other = pm_endpoint_next(iommu, config->endpoint);

    if (config->device == NULL || (config->reserved == NULL && config->n_reserved > 0))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "endpoint 0x%x has no %s: set PmGuestEndpoint.%s", config->endpoint,
                       config->device == NULL ? "device" : "reserved ranges",
                       config->device == NULL ? "device" : "reserved");
    if (config->n_reserved > n_room)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "%zu reserved ranges of endpoint 0x%x exceed the %zu that the response to "
                       "PROBE has room for: raise PmGuestIommuConfig.probe_size",
                       config->n_reserved, config->endpoint, n_room);
    if (other != NULL && other->id == config->endpoint)
        return pm_fail(error, PM_ERROR_BUSY,
                       "endpoint 0x%x exists already, for %s: remove it first "
                       "(pm_guest_iommu_remove_endpoint())",
                       config->endpoint, other->device);
    if (!pm_range_map_reserve(iommu->endpoints, 1))
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for endpoint 0x%x", config->endpoint);
    return true;
}

bool pm_guest_iommu_add_endpoint(PmGuestIommu *iommu, const PmGuestEndpoint *caller_endpoint,
                                 GError **error)
{
    PmGuestEndpoint config;
    PmEndpointRecord record = {0};

    if (!pm_sized_read("PmGuestEndpoint", &config, sizeof(config), caller_endpoint, error) ||
        !check_endpoint(iommu, &config, error))
        return false;
    record.key = (PmRangeKey){config.endpoint, config.endpoint};
    record.endpoint = pm_endpoint_new(&config, error);
    if (record.endpoint == NULL)
        return false;
    if (iommu->bypass && !pm_endpoint_move(iommu, record.endpoint, &iommu->no_domain, error)) {
        pm_endpoint_free(record.endpoint);
        return false;
    }
    (void)pm_range_map_insert(iommu->endpoints, &record);
    return true;
}

bool pm_guest_iommu_remove_endpoint(PmGuestIommu *iommu, uint32_t id, GError **error)
{
    PmEndpoint *endpoint = pm_endpoint_find(iommu, id, error);

    if (endpoint == NULL || !pm_endpoint_move(iommu, endpoint, NULL, error))
        return false;
    (void)pm_range_map_remove(iommu->endpoints, id, id);
    pm_endpoint_free(endpoint);
    return true;
}
