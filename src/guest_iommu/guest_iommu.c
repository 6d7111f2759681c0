/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "base/error_text.h"
#include "base/sized.h"
#include "guest_iommu/domain.h"
#include "guest_iommu/endpoint.h"

#define DEFAULT_PAGE_SIZES   (UINT64_MAX << 12)
#define DEFAULT_MAX_MAPPINGS 65535
#define DEFAULT_PROBE_SIZE   512
#define MAX_PROBE_SIZE       4096

static void set_defaults(PmGuestIommuConfig *config)
{
    if (config->page_size_mask == 0)
        config->page_size_mask = DEFAULT_PAGE_SIZES;
    if (config->input_range.start == 0 && config->input_range.last == 0)
        config->input_range.last = UINT64_MAX;
    if (config->last_domain == 0)
        config->last_domain = PM_GUEST_IOMMU_NO_DOMAIN - 1;
    if (config->max_mappings == 0)
        config->max_mappings = DEFAULT_MAX_MAPPINGS;
    if (config->probe_size == 0)
        config->probe_size = DEFAULT_PROBE_SIZE;
}

static bool check_config(const PmGuestIommuConfig *config, GError **error)
{
    uint64_t granularity = config->page_size_mask & -config->page_size_mask;
    const PmIovaRange *input = &config->input_range;

    if (input->start > input->last || ((input->start | (input->last + 1)) & (granularity - 1)) != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid PmGuestIommuConfig.input_range 0x%" PRIx64 "-0x%" PRIx64
                       ": must be aligned to the granularity 0x%" PRIx64 ", not empty",
                       input->start, input->last, granularity);
    if (config->first_domain > config->last_domain ||
        config->last_domain == PM_GUEST_IOMMU_NO_DOMAIN)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid domain range %u-%u of PmGuestIommuConfig: must not be empty, and "
                       "end below %u",
                       config->first_domain, config->last_domain, PM_GUEST_IOMMU_NO_DOMAIN);
    if (config->probe_size % 8 != 0 || config->probe_size > MAX_PROBE_SIZE)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid PmGuestIommuConfig.probe_size %u: must be a multiple of 8, at most "
                       "%d",
                       config->probe_size, MAX_PROBE_SIZE);
    return true;
}

PmGuestIommu *pm_guest_iommu_new(const PmGuestIommuConfig *caller_config, GError **error)
{
    PmGuestIommuConfig config;
    PmGuestIommu *iommu;

    if (!pm_sized_read("PmGuestIommuConfig", &config, sizeof(config), caller_config, error))
        return NULL;
    set_defaults(&config);
    if (!check_config(&config, error))
        return NULL;
    iommu = g_new0(PmGuestIommu, 1);
    g_atomic_ref_count_init(&iommu->references);
    iommu->config = config;
    iommu->granularity = config.page_size_mask & -config.page_size_mask;
    iommu->bypass = config.bypass;
    iommu->endpoints = pm_range_map_new(sizeof(PmEndpointRecord));
    iommu->domains = pm_range_map_new(sizeof(PmDomainRecord));
    iommu->no_domain = (PmDomain){.id = PM_GUEST_IOMMU_NO_DOMAIN, .bypass = true};
    return iommu;
}

PmGuestIommu *pm_guest_iommu_ref(PmGuestIommu *iommu)
{
    g_atomic_ref_count_inc(&iommu->references);
    return iommu;
}

void pm_guest_iommu_unref(PmGuestIommu *iommu)
{
    PmEndpoint *endpoint;
    PmDomain *domain;

    if (iommu == NULL || !g_atomic_ref_count_dec(&iommu->references))
        return;
    (void)pm_guest_iommu_set_follower(iommu, NULL, NULL, NULL);
    while ((domain = pm_domain_next(iommu, 0)) != NULL)
        pm_domain_end(iommu, domain);
    while ((endpoint = pm_endpoint_next(iommu, 0)) != NULL) {
        (void)pm_range_map_remove(iommu->endpoints, endpoint->id, endpoint->id);
        pm_endpoint_free(endpoint);
    }
    pm_range_map_free(iommu->endpoints);
    pm_range_map_free(iommu->domains);
    g_clear_error(&iommu->refusal);
    g_free(iommu);
}

bool pm_guest_iommu_next_mapping(const PmGuestIommu *iommu, uint32_t id, uint64_t iova,
                                 PmGuestMapping *mapping)
{
    const PmDomain *domain = pm_domain_find(iommu, id);

    return domain != NULL && pm_domain_next_mapping(domain, iova, mapping);
}

bool pm_guest_iommu_next_domain(const PmGuestIommu *iommu, uint32_t id,
                                PmGuestDomainInfo *caller_info)
{
    const PmDomain *domain = pm_domain_next(iommu, id);
    PmGuestDomainInfo info = {0};

    if (domain == NULL ||
        (caller_info != NULL && !pm_sized_check("PmGuestDomainInfo", caller_info, NULL)))
        return false;
    info.domain = domain->id;
    info.bypass = domain->bypass;
    info.n_endpoints = domain->n_endpoints;
    info.n_mappings = domain->mappings != NULL ? pm_range_map_n_records(domain->mappings) : 0;
    if (caller_info != NULL)
        pm_sized_write(caller_info, &info, sizeof(info));
    return true;
}

bool pm_guest_iommu_next_endpoint(const PmGuestIommu *iommu, uint32_t id,
                                  PmGuestEndpointInfo *caller_info)
{
    const PmEndpoint *endpoint = pm_endpoint_next(iommu, id);
    PmGuestEndpointInfo info = {.domain = PM_GUEST_IOMMU_NO_DOMAIN};

    if (endpoint == NULL ||
        (caller_info != NULL && !pm_sized_check("PmGuestEndpointInfo", caller_info, NULL)))
        return false;
    info.endpoint = endpoint->id;
    info.device = endpoint->device;
    if (endpoint->domain != NULL) {
        info.domain = endpoint->domain->id;
        info.bypass = endpoint->domain->bypass;
    }
    if (caller_info != NULL)
        pm_sized_write(caller_info, &info, sizeof(info));
    return true;
}
