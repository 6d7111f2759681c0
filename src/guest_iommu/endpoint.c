/* SPDX-License-Identifier: MIT */
#include "guest_iommu/endpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error_text.h"
#include "guest_iommu/refusal.h"
#include "kernel-uapi/virtio_iommu.h"

PmEndpoint *pm_endpoint_next(const PmGuestIommu *iommu, uint64_t id)
{
    const PmEndpointRecord *record = pm_range_map_find(iommu->endpoints, id);

    return record != NULL ? record->endpoint : NULL;
}

PmEndpoint *pm_endpoint_find(PmGuestIommu *iommu, uint32_t id, GError **error)
{
    PmEndpoint *endpoint = pm_endpoint_next(iommu, id);

    if (endpoint != NULL && endpoint->id == id)
        return endpoint;
    (void)pm_guest_refuse(iommu, error, VIRTIO_IOMMU_S_NOENT, PM_ERROR_NOT_FOUND,
                          "no endpoint 0x%x: pm_guest_iommu_add_endpoint() adds endpoints", id);
    return NULL;
}

void pm_endpoint_free(PmEndpoint *endpoint)
{
    g_free(endpoint->device);
    g_free(endpoint->reserved);
    g_free(endpoint);
}

const PmGuestReserved *pm_endpoint_find_reserved(const PmEndpoint *endpoint, uint64_t first,
                                                 uint64_t last)
{
    for (size_t i = 0; i < endpoint->n_reserved; i++) {
        if (endpoint->reserved[i].start <= last && first <= endpoint->reserved[i].last)
            return &endpoint->reserved[i];
    }
    return NULL;
}

static int compare_reserved(const void *a, const void *b)
{
    const PmGuestReserved *left = a;
    const PmGuestReserved *right = b;

    return left->start < right->start ? -1 : left->start > right->start;
}

/* @reserved: by address. */
static bool check_reserved(const PmGuestReserved *reserved, size_t n_reserved, GError **error)
{
    size_t n_msi = 0;

    for (size_t i = 0; i < n_reserved; i++) {
        const PmGuestReserved *range = &reserved[i];

        if (range->start > range->last)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "invalid reserved range 0x%" PRIx64 "-0x%" PRIx64
                           ": the last address is below the first",
                           range->start, range->last);
        if (range->kind != PM_GUEST_RESERVED && range->kind != PM_GUEST_RESERVED_MSI)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "invalid kind %d of a reserved range",
                           (int)range->kind);
        if (i > 0 && range->start <= reserved[i - 1].last)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "reserved ranges 0x%" PRIx64 "-0x%" PRIx64 " and 0x%" PRIx64
                           "-0x%" PRIx64 " overlap",
                           reserved[i - 1].start, reserved[i - 1].last, range->start, range->last);
        n_msi += range->kind == PM_GUEST_RESERVED_MSI;
    }
    if (n_msi > 1)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "%zu reserved ranges for MSI: an endpoint has at most one", n_msi);
    return true;
}

PmEndpoint *pm_endpoint_new(const PmGuestEndpoint *config, GError **error)
{
    PmEndpoint *endpoint = g_new0(PmEndpoint, 1);

    endpoint->id = config->endpoint;
    endpoint->device = g_strdup(config->device);
    endpoint->n_reserved = config->n_reserved;
    if (config->n_reserved > 0) {
        endpoint->reserved = g_new(PmGuestReserved, config->n_reserved);
        memcpy(endpoint->reserved, config->reserved, config->n_reserved * sizeof(PmGuestReserved));
        qsort(endpoint->reserved, endpoint->n_reserved, sizeof(PmGuestReserved), compare_reserved);
    }
    if (check_reserved(endpoint->reserved, endpoint->n_reserved, error))
        return endpoint;
    pm_endpoint_free(endpoint);
    return NULL;
}
