/* SPDX-License-Identifier: MIT */
#include "guest_iommu/probe.h"

#include <string.h>

#include "kernel-uapi/virtio_iommu.h"

void pm_probe_write(const PmEndpoint *endpoint, uint8_t *properties)
{
    for (size_t i = 0; i < endpoint->n_reserved; i++) {
        const PmGuestReserved *reserved = &endpoint->reserved[i];
        const struct virtio_iommu_probe_resv_mem property = {
            .head = {.type = GUINT16_TO_LE(VIRTIO_IOMMU_PROBE_T_RESV_MEM),
                     .length = GUINT16_TO_LE(sizeof(property) - sizeof(property.head))},
            .subtype = reserved->kind == PM_GUEST_RESERVED_MSI ? VIRTIO_IOMMU_RESV_MEM_T_MSI
                                                               : VIRTIO_IOMMU_RESV_MEM_T_RESERVED,
            .start = GUINT64_TO_LE(reserved->start),
            .end = GUINT64_TO_LE(reserved->last),
        };

        memcpy(properties + i * sizeof(property), &property, sizeof(property));
    }
}
