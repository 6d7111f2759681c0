/* SPDX-License-Identifier: MIT */
/*
 * The virtio-iommu device (virtio 1.2, section 5.13), device side: the guest changes the table of a
 * PmGuestIommu (guest_iommu.h) with requests in wire format, and sees its limits in the
 * configuration space. The virtqueues are the VMM's:
 *
 *     // the request queue: what the descriptors have for the device to read and to write
 *     size_t used = pm_virtio_iommu_handle(iommu, out, out_size, in, in_size);
 *
 *     if (pm_virtio_iommu_last_refusal(iommu, &refusal) != PM_VIRTIO_IOMMU_OK)
 *         g_message("virtio-iommu: %s", refusal->message);
 *     return_buffer_to_guest(in, used);
 *
 * Where the specification leaves the device a choice, or says SHOULD, this device does what it
 * says: refused requests change nothing. A request that is wrong in several ways gets the status
 * that the specification says MUST be set, else that of the first check in its text. Faults are not
 * reported on the event queue, because VFIO does not report them to user space.
 *
 * Threads: as guest_iommu.h says.
 */
#ifndef PLUGMAP_VIRTIO_IOMMU_H
#define PLUGMAP_VIRTIO_IOMMU_H

#include <plugmap/guest_iommu.h>

G_BEGIN_DECLS

/**
 * PmVirtioIommuStatus: the status of a request in its tail; the values are VIRTIO_IOMMU_S_*.
 * @PM_VIRTIO_IOMMU_OK: done.
 * @PM_VIRTIO_IOMMU_IOERR: never sent: Linux's driver uses it for requests without a status.
 * @PM_VIRTIO_IOMMU_UNSUPP: the feature was not accepted, the endpoint's reserved addresses are
 * mapped in the domain, or the follower does not support it.
 * @PM_VIRTIO_IOMMU_DEVERR: the host is short of something (memory, locked memory, mappings of its
 * IOMMU), or the follower failed for a reason without a status of its own.
 * @PM_VIRTIO_IOMMU_INVAL: invalid flags, reserved bytes, range or size; not in this domain; a
 * domain of the other kind; already mapped, or reserved.
 * @PM_VIRTIO_IOMMU_RANGE: unaligned, outside the input or domain range, cuts a mapping, or the
 * host's IOMMU cannot map it there.
 * @PM_VIRTIO_IOMMU_NOENT: no such endpoint or domain.
 * @PM_VIRTIO_IOMMU_FAULT: the guest physical addresses are not, or not wholly, plugged memory.
 * @PM_VIRTIO_IOMMU_NOMEM: the guest has reached its own limit: MAP that of mappings per domain,
 * ATTACH that of domains. Nothing else has this status.
 * @PM_VIRTIO_IOMMU_NO_STATUS: nothing was written: the request was too short, had no room for a
 * status, or is of an unknown type. Or the driver wrote an invalid value to the configuration.
 */
typedef enum {
    PM_VIRTIO_IOMMU_OK = 0,
    PM_VIRTIO_IOMMU_IOERR = 1,
    PM_VIRTIO_IOMMU_UNSUPP = 2,
    PM_VIRTIO_IOMMU_DEVERR = 3,
    PM_VIRTIO_IOMMU_INVAL = 4,
    PM_VIRTIO_IOMMU_RANGE = 5,
    PM_VIRTIO_IOMMU_NOENT = 6,
    PM_VIRTIO_IOMMU_FAULT = 7,
    PM_VIRTIO_IOMMU_NOMEM = 8,
    PM_VIRTIO_IOMMU_NO_STATUS = 256,
} PmVirtioIommuStatus;

/** The name of a status, such as "NOENT"; "unknown" for an invalid one. A static string. Any
 * thread. */
PM_EXPORT const char *pm_virtio_iommu_status_name(PmVirtioIommuStatus status);

/** Offered feature bits, 1 << VIRTIO_IOMMU_F_*: INPUT_RANGE, DOMAIN_RANGE, MAP_UNMAP, PROBE,
 * BYPASS_CONFIG, and with PmGuestIommuConfig.mmio MMIO. */
PM_EXPORT uint64_t pm_virtio_iommu_get_features(const PmGuestIommu *iommu);

/** Feature bits that the driver accepted; 0 before that and after a reset. */
PM_EXPORT uint64_t pm_virtio_iommu_get_accepted_features(const PmGuestIommu *iommu);

/**
 * The driver accepts features. Requests for features that it did not accept fail.
 * @features: those of the device type (bits 0 to 23), not the transport's.
 * Errors: PM_ERROR_BAD_REQUEST (bits that were not offered): do not let the driver set FEATURES_OK
 * then.
 */
PM_EXPORT bool pm_virtio_iommu_set_features(PmGuestIommu *iommu, uint64_t features, GError **error);

/**
 * Copies @size bytes from @offset of the configuration space (struct virtio_iommu_config, little
 * endian). Bytes beyond its 40 read as zero. Never fails.
 */
PM_EXPORT void pm_virtio_iommu_config_read(const PmGuestIommu *iommu, uint64_t offset, void *buffer,
                                           size_t size);

/**
 * The driver writes @size bytes at @offset of the configuration space. It may change one field,
 * bypass, to 0 or 1: pm_guest_iommu_set_bypass(). Other fields may only be written as they are.
 * Errors: PM_ERROR_BAD_REQUEST (anything else, or BYPASS_CONFIG was not accepted), those of
 * pm_guest_iommu_set_bypass(); the field then stays as it is, which the driver can read.
 */
PM_EXPORT bool pm_virtio_iommu_config_write(PmGuestIommu *iommu, uint64_t offset,
                                            const void *buffer, size_t size, GError **error);

/**
 * Handles one request of the guest.
 * @request, @request_size: the part that the device reads, from the head; more bytes than the
 * request has are ignored. May be the guest's memory: it is copied before it is checked.
 * @response, @response_size: room for the part that the device writes: the tail, after the
 * properties of PROBE. May overlap @request.
 *
 * Returns: the used length: bytes of @response that were set, the tail at their end. 0: none was
 * (PM_VIRTIO_IOMMU_NO_STATUS); return the buffer to the driver with it.
 */
PM_EXPORT size_t pm_virtio_iommu_handle(PmGuestIommu *iommu, const void *request,
                                        size_t request_size, void *response, size_t response_size);

/**
 * Why the last request, or write to the configuration space, was refused: the status has no room
 * for the reason.
 * @refusal: set to an error of PM_ERROR, whose code is the cause, and whose message has the request
 * and the numbers; or to NULL if it was not refused. Owned by @iommu, valid until the next request
 * or write (g_error_copy() keeps it). May be NULL.
 * Returns: the status, or PM_VIRTIO_IOMMU_OK.
 */
PM_EXPORT PmVirtioIommuStatus pm_virtio_iommu_last_refusal(const PmGuestIommu *iommu,
                                                           const GError **refusal);

/**
 * The driver resets the virtio device: clears the features, and detaches all endpoints, so that all
 * domains end. Bypass stays on or off.
 * Errors: the first of the follower. Every endpoint is tried: those that fail to detach stay in
 * their domains with all mappings, those that fail to attach to bypass can do no DMA. To try
 * again, call it again.
 */
PM_EXPORT bool pm_virtio_iommu_device_reset(PmGuestIommu *iommu, GError **error);

/**
 * The machine is reset: as pm_virtio_iommu_device_reset(), and bypass is on or off as at first.
 * Errors: as there.
 */
PM_EXPORT bool pm_virtio_iommu_system_reset(PmGuestIommu *iommu, GError **error);

G_END_DECLS

#endif
