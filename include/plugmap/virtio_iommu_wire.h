/* SPDX-License-Identifier: MIT */
/*
 * Requests of a virtio-iommu driver (virtio 1.2, section 5.13), for programs that play the guest:
 * tests, replays. A VMM hands pm_virtio_iommu_handle() what the guest sent, and needs none of this.
 *
 *     PmVirtioIommuRequest request;
 *     uint8_t tail[PM_VIRTIO_IOMMU_TAIL_SIZE];
 *
 *     pm_virtio_iommu_request_map(&request, domain, &mapping);
 *     return pm_virtio_iommu_handle(iommu, request.bytes, request.size, tail, sizeof(tail)) ==
 *                sizeof(tail) &&
 *            tail[0] == PM_VIRTIO_IOMMU_OK;
 *
 * Threads: every function is safe from several threads at once.
 */
#ifndef PLUGMAP_VIRTIO_IOMMU_WIRE_H
#define PLUGMAP_VIRTIO_IOMMU_WIRE_H

#include <plugmap/virtio_iommu.h>

G_BEGIN_DECLS

/** Bytes that the device writes at the end of the response; the first is the status. */
#define PM_VIRTIO_IOMMU_TAIL_SIZE 4

/**
 * PmVirtioIommuRequest: the part of a request that the device reads. Frozen: it is the wire format.
 * @bytes: little endian; the first @size of them.
 * @size: how many there are.
 */
typedef struct {
    uint8_t bytes[72];
    size_t size;
} PmVirtioIommuRequest;

/** Writes ATTACH. @flags: VIRTIO_IOMMU_ATTACH_F_*: 1 for bypass; others are written as they are, to
 * test devices with. */
PM_EXPORT void pm_virtio_iommu_request_attach(PmVirtioIommuRequest *request, uint32_t domain,
                                              uint32_t endpoint, uint32_t flags);

/** Writes DETACH. */
PM_EXPORT void pm_virtio_iommu_request_detach(PmVirtioIommuRequest *request, uint32_t domain,
                                              uint32_t endpoint);

/** Writes MAP of @mapping. The flags are those of its access and of its flags. */
PM_EXPORT void pm_virtio_iommu_request_map(PmVirtioIommuRequest *request, uint32_t domain,
                                           const PmGuestMapping *mapping);

/** Writes UNMAP of the I/O addresses from @iova to @last, inclusive. */
PM_EXPORT void pm_virtio_iommu_request_unmap(PmVirtioIommuRequest *request, uint32_t domain,
                                             uint64_t iova, uint64_t last);

/** Writes PROBE. The response has PmGuestIommuConfig.probe_size bytes before the tail. */
PM_EXPORT void pm_virtio_iommu_request_probe(PmVirtioIommuRequest *request, uint32_t endpoint);

G_END_DECLS

#endif
