/* SPDX-License-Identifier: MIT */
#include <plugmap/virtio_iommu_wire.h>

#include <stddef.h>
#include <string.h>

#include "kernel-uapi/virtio_iommu.h"

G_STATIC_ASSERT(sizeof(((PmVirtioIommuRequest *)NULL)->bytes) ==
                sizeof(struct virtio_iommu_req_probe));
G_STATIC_ASSERT(PM_VIRTIO_IOMMU_TAIL_SIZE == sizeof(struct virtio_iommu_req_tail));

static void write_request(PmVirtioIommuRequest *request, const void *wire, size_t size)
{
    memset(request, 0, sizeof(*request));
    memcpy(request->bytes, wire, size);
    request->size = size;
}

void pm_virtio_iommu_request_attach(PmVirtioIommuRequest *request, uint32_t domain,
                                    uint32_t endpoint, uint32_t flags)
{
    const struct virtio_iommu_req_attach wire = {
        .head = {.type = VIRTIO_IOMMU_T_ATTACH},
        .domain = GUINT32_TO_LE(domain),
        .endpoint = GUINT32_TO_LE(endpoint),
        .flags = GUINT32_TO_LE(flags),
    };

    write_request(request, &wire, offsetof(struct virtio_iommu_req_attach, tail));
}

void pm_virtio_iommu_request_detach(PmVirtioIommuRequest *request, uint32_t domain,
                                    uint32_t endpoint)
{
    const struct virtio_iommu_req_detach wire = {
        .head = {.type = VIRTIO_IOMMU_T_DETACH},
        .domain = GUINT32_TO_LE(domain),
        .endpoint = GUINT32_TO_LE(endpoint),
    };

    write_request(request, &wire, offsetof(struct virtio_iommu_req_detach, tail));
}

void pm_virtio_iommu_request_map(PmVirtioIommuRequest *request, uint32_t domain,
                                 const PmGuestMapping *mapping)
{
    const uint32_t flags =
        ((mapping->access & PM_IOMMU_READ) != 0 ? VIRTIO_IOMMU_MAP_F_READ : 0) |
        ((mapping->access & PM_IOMMU_WRITE) != 0 ? VIRTIO_IOMMU_MAP_F_WRITE : 0) |
        ((mapping->flags & PM_GUEST_MAPPING_MMIO) != 0 ? VIRTIO_IOMMU_MAP_F_MMIO : 0);
    const struct virtio_iommu_req_map wire = {
        .head = {.type = VIRTIO_IOMMU_T_MAP},
        .domain = GUINT32_TO_LE(domain),
        .virt_start = GUINT64_TO_LE(mapping->iova),
        .virt_end = GUINT64_TO_LE(mapping->last),
        .phys_start = GUINT64_TO_LE(mapping->address),
        .flags = GUINT32_TO_LE(flags),
    };

    write_request(request, &wire, offsetof(struct virtio_iommu_req_map, tail));
}

void pm_virtio_iommu_request_unmap(PmVirtioIommuRequest *request, uint32_t domain, uint64_t iova,
                                   uint64_t last)
{
    const struct virtio_iommu_req_unmap wire = {
        .head = {.type = VIRTIO_IOMMU_T_UNMAP},
        .domain = GUINT32_TO_LE(domain),
        .virt_start = GUINT64_TO_LE(iova),
        .virt_end = GUINT64_TO_LE(last),
    };

    write_request(request, &wire, offsetof(struct virtio_iommu_req_unmap, tail));
}

void pm_virtio_iommu_request_probe(PmVirtioIommuRequest *request, uint32_t endpoint)
{
    const struct virtio_iommu_req_probe wire = {
        .head = {.type = VIRTIO_IOMMU_T_PROBE},
        .endpoint = GUINT32_TO_LE(endpoint),
    };

    write_request(request, &wire, sizeof(wire));
}
