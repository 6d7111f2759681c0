/* SPDX-License-Identifier: MIT */
/* The virtio-iommu device's features and configuration space. */
#include <plugmap/virtio_iommu.h>

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"
#include "guest_iommu/refusal.h"
#include "kernel-uapi/virtio_iommu.h"

#define FEATURE(name) (UINT64_C(1) << VIRTIO_IOMMU_F_##name)

uint64_t pm_virtio_iommu_get_features(const PmGuestIommu *iommu)
{
    return FEATURE(INPUT_RANGE) | FEATURE(DOMAIN_RANGE) | FEATURE(MAP_UNMAP) | FEATURE(PROBE) |
           FEATURE(BYPASS_CONFIG) | (iommu->config.mmio ? FEATURE(MMIO) : 0);
}

uint64_t pm_virtio_iommu_get_accepted_features(const PmGuestIommu *iommu)
{
    return iommu->accepted_features;
}

bool pm_virtio_iommu_set_features(PmGuestIommu *iommu, uint64_t features, GError **error)
{
    uint64_t offered = pm_virtio_iommu_get_features(iommu);

    if ((features & ~offered) != 0)
        return pm_fail(error, PM_ERROR_BAD_REQUEST,
                       "invalid virtio-iommu features 0x%" PRIx64 ": the device offers 0x%" PRIx64,
                       features, offered);
    iommu->accepted_features = features;
    return true;
}

static struct virtio_iommu_config config_space(const PmGuestIommu *iommu)
{
    const PmGuestIommuConfig *config = &iommu->config;

    return (struct virtio_iommu_config){
        .page_size_mask = GUINT64_TO_LE(config->page_size_mask),
        .input_range = {.start = GUINT64_TO_LE(config->input_range.start),
                        .end = GUINT64_TO_LE(config->input_range.last)},
        .domain_range = {.start = GUINT32_TO_LE(config->first_domain),
                         .end = GUINT32_TO_LE(config->last_domain)},
        .probe_size = GUINT32_TO_LE(config->probe_size),
        .bypass = iommu->bypass ? 1 : 0,
    };
}

void pm_virtio_iommu_config_read(const PmGuestIommu *iommu, uint64_t offset, void *buffer,
                                 size_t size)
{
    const struct virtio_iommu_config config = config_space(iommu);

    memset(buffer, 0, size);
    if (offset < sizeof(config))
        memcpy(buffer, (const uint8_t *)&config + offset, MIN(size, sizeof(config) - offset));
}

static bool write_config(PmGuestIommu *iommu, uint64_t offset, const void *buffer, size_t size,
                         GError **error)
{
    const struct virtio_iommu_config before = config_space(iommu);
    struct virtio_iommu_config after = before;
    uint8_t bypass;

    if ((iommu->accepted_features & FEATURE(BYPASS_CONFIG)) == 0)
        return pm_fail(error, PM_ERROR_BAD_REQUEST, "the driver did not accept BYPASS_CONFIG");
    if (offset > sizeof(after) || size > sizeof(after) - offset)
        return pm_fail(error, PM_ERROR_BAD_REQUEST, "it ends past the %zu bytes of the space",
                       sizeof(after));
    memcpy((uint8_t *)&after + offset, buffer, size);
    bypass = after.bypass;
    after.bypass = before.bypass;
    if (memcmp(&before, &after, sizeof(after)) != 0)
        return pm_fail(error, PM_ERROR_BAD_REQUEST, "only the field bypass can be changed");
    if (bypass > 1)
        return pm_fail(error, PM_ERROR_BAD_REQUEST, "invalid bypass %u: must be 0 or 1", bypass);
    return bypass == before.bypass || pm_guest_iommu_set_bypass(iommu, bypass != 0, error);
}

bool pm_virtio_iommu_config_write(PmGuestIommu *iommu, uint64_t offset, const void *buffer,
                                  size_t size, GError **error)
{
    GError *failure = NULL;

    pm_guest_refusal_clear(iommu);
    if (write_config(iommu, offset, buffer, size, &failure))
        return true;
    g_prefix_error(&failure,
                   "write of %zu bytes at 0x%" PRIx64
                   " of the virtio-iommu configuration space refused: ",
                   size, offset);
    pm_guest_refusal_set(iommu, PM_VIRTIO_IOMMU_NO_STATUS, g_error_copy(failure));
    g_propagate_error(error, failure);
    return false;
}
