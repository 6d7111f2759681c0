/* SPDX-License-Identifier: MIT */
/*
 * PmGuestIommu: the guest's own translation, from the I/O addresses (IOVAs) that its devices use to
 * guest physical addresses.
 *
 * Endpoints are the devices below the guest's IOMMU. A domain is an address space of the guest: it
 * exists while endpoints are attached to it, and has mappings (translated), or maps every address
 * to itself (bypass). An endpoint in no domain can do DMA only if bypass is on: then it uses guest
 * physical addresses.
 *
 * This object is the table, and checks every change of it; it maps nothing. A follower
 * (PmGuestIommuOps) does: it is called before the table changes, and if it fails, the table stays
 * as it is. PmGuestMapper (guest_mapper.h) is one.
 *
 * The guest changes the table by requests of the virtio-iommu protocol (virtio_iommu.h), or of
 * another that the VMM translates into these calls:
 *
 *     g_autoptr(PmGuestIommu) iommu = pm_guest_iommu_new(&config, &error);
 *     PmGuestMapping mapping = {.iova = 0x1000, .last = 0x1fff, .address = 0x100000000,
 *                               .access = PM_IOMMU_READ};
 *
 *     if (!iommu || !pm_guest_iommu_add_endpoint(iommu, &endpoint, &error) ||
 *         !pm_guest_mapper_follow(mapper, iommu, &error) ||
 *         !pm_guest_iommu_attach(iommu, 1, false, endpoint.endpoint, &error) ||
 *         !pm_guest_iommu_map(iommu, 1, &mapping, &error))
 *         return false;
 *
 * examples/guest_iommu.c is a program with all of it.
 *
 * fork(2): a child has its own copy of the table; what changes there mean for devices is up to the
 * follower.
 *
 * Threads: one at a time. Operations of the follower run in the thread that caused them, and must
 * not call back, except for the getters and pm_guest_iommu_next_*().
 */
#ifndef PLUGMAP_GUEST_IOMMU_H
#define PLUGMAP_GUEST_IOMMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/error.h>
#include <plugmap/iova.h>

G_BEGIN_DECLS

typedef struct PmGuestIommu PmGuestIommu;

/** The domain of endpoints in no domain, in PmGuestEndpointInfo and for the follower. No domain of
 * the guest has this number. */
#define PM_GUEST_IOMMU_NO_DOMAIN UINT32_MAX

/**
 * PmGuestMappingFlags: more about a mapping.
 * @PM_GUEST_MAPPING_MMIO: the guest says that these are registers of a device, not memory.
 */
typedef enum {
    PM_GUEST_MAPPING_MMIO = 1 << 0,
} PmGuestMappingFlags;

/**
 * PmGuestMapping: I/O addresses and where they lead. Frozen: it never grows.
 * @iova, @last: first and last I/O address; @last is inclusive.
 * @address: guest physical address of @iova; the others follow.
 * @access: what devices may do.
 * @flags: of PmGuestMappingFlags.
 */
typedef struct {
    uint64_t iova;
    uint64_t last;
    uint64_t address;
    PmIommuAccess access;
    unsigned flags;
} PmGuestMapping;

/**
 * PmGuestReservedKind: why the guest must not map a range of I/O addresses.
 * @PM_GUEST_RESERVED: the host or the platform uses it.
 * @PM_GUEST_RESERVED_MSI: writes to it are interrupts (MSI).
 */
typedef enum {
    PM_GUEST_RESERVED = 0,
    PM_GUEST_RESERVED_MSI = 1,
} PmGuestReservedKind;

/**
 * PmGuestReserved: I/O addresses that the guest must not map. Frozen: it never grows.
 * @start, @last: first and last address; @last is inclusive.
 * @kind: why.
 */
typedef struct {
    uint64_t start;
    uint64_t last;
    PmGuestReservedKind kind;
} PmGuestReserved;

/**
 * PmGuestIommuConfig: how to make a guest IOMMU. Zero selects the default.
 * @struct_size: sizeof(PmGuestIommuConfig) (macros.h).
 * @page_size_mask: page sizes of the IOMMU; the lowest bit is the granularity of mappings, the
 * others are hints. At least the smallest page of the host's IOMMU (pm_iommu_get_page_sizes() of an
 * address space opened before the guest runs, and dropped). 0: all from 4 KiB.
 * @input_range: I/O addresses that the guest may map. All zero: all 64-bit addresses.
 * @first_domain, @last_domain: numbers that the guest may use for domains. @last_domain is below
 * PM_GUEST_IOMMU_NO_DOMAIN; 0: the largest.
 * @max_domains: domains that may exist at a time. Each is an address space of the host, whose limit
 * of mappings and accounting of locked memory it has to itself. 0: one per endpoint.
 * @max_mappings: mappings per domain. 0: 65,535, the default limit of type1.
 * @probe_size: bytes for the reserved ranges of an endpoint in the response to PROBE, 24 for each;
 * a multiple of 8, at most 4096. 0: 512.
 * @bypass: bypass is on at first: endpoints in no domain use guest physical addresses, so that
 * firmware without a driver for the IOMMU works.
 * @mmio: let the guest map registers of devices (PM_GUEST_MAPPING_MMIO), for peer-to-peer DMA.
 */
typedef struct {
    size_t struct_size;
    uint64_t page_size_mask;
    PmIovaRange input_range;
    uint32_t first_domain;
    uint32_t last_domain;
    uint32_t max_domains;
    uint32_t max_mappings;
    uint32_t probe_size;
    bool bypass;
    bool mmio;
} PmGuestIommuConfig;

/**
 * PmGuestEndpoint: a device below the guest's IOMMU.
 * @struct_size: sizeof(PmGuestEndpoint) (macros.h).
 * @endpoint: number by which the guest knows it: of a PCI device its bus, device and function, 16
 * bits.
 * @device: of a host's device the PCI address, as pm_iommu_attach() takes it; for the follower, and
 * for messages. Copied.
 * @reserved, @n_reserved: I/O addresses that the guest must not map while the endpoint is in the
 * domain: the gaps of pm_iommu_get_iova_ranges(), and MSI. They must not overlap, and at most one
 * is PM_GUEST_RESERVED_MSI. Copied.
 */
typedef struct {
    size_t struct_size;
    uint32_t endpoint;
    const char *device;
    const PmGuestReserved *reserved;
    size_t n_reserved;
} PmGuestEndpoint;

/**
 * PmGuestEndpointInfo: where an endpoint is.
 * @struct_size: sizeof(PmGuestEndpointInfo) (macros.h).
 * @endpoint: its number.
 * @device: its device; valid until the endpoint is removed.
 * @domain: its domain, or PM_GUEST_IOMMU_NO_DOMAIN.
 * @bypass: uses guest physical addresses. False and @domain PM_GUEST_IOMMU_NO_DOMAIN: can do no
 * DMA.
 */
typedef struct {
    size_t struct_size;
    uint32_t endpoint;
    const char *device;
    uint32_t domain;
    bool bypass;
} PmGuestEndpointInfo;

/**
 * PmGuestDomainInfo: a domain.
 * @struct_size: sizeof(PmGuestDomainInfo) (macros.h).
 * @domain: its number.
 * @bypass: maps every address to itself, and has no mappings.
 * @n_endpoints: endpoints attached to it, at least 1.
 * @n_mappings: its mappings.
 */
typedef struct {
    size_t struct_size;
    uint32_t domain;
    bool bypass;
    uint32_t n_endpoints;
    uint64_t n_mappings;
} PmGuestDomainInfo;

/**
 * PmGuestIommuOps: the follower's operations, all required. Each is called before the table
 * changes; if it fails, the table stays as it is, and so must the follower, except with
 * PM_ERROR_QUARANTINED and PM_ERROR_UNMAP_MISMATCH.
 * @struct_size: sizeof(PmGuestIommuOps) (macros.h).
 * @attach: @device gets the address space of @domain; the first endpoint of a domain makes it.
 * Never called while the endpoint is attached elsewhere.
 * @detach: @device loses it. Detaching the last endpoint ends the domain: the follower drops all
 * its mappings at once, without a call of @unmap for each.
 * @map: adds a mapping to a translated domain, with at least one endpoint.
 * @unmap: removes one, whole, as it was mapped.
 *
 * @bypass: the domain maps every guest physical address to itself. All bypass domains are the same
 * address space; @domain is PM_GUEST_IOMMU_NO_DOMAIN for endpoints in no domain while bypass is on.
 *
 * Undoing calls the same operations: @map for mappings that were unmapped by a call that fails
 * later, and @attach, then @map for each mapping, of a domain that ended in one.
 *
 * Errors are of PM_ERROR, and become a status for the guest: PM_ERROR_GUEST_LIMIT is NOMEM,
 * PM_ERROR_NOT_POPULATED and PM_ERROR_BAD_ADDRESS are FAULT, PM_ERROR_IOVA_RANGE and
 * PM_ERROR_UNALIGNED are RANGE, PM_ERROR_INVALID_ARGUMENT is INVAL, PM_ERROR_UNSUPPORTED is UNSUPP,
 * all others are DEVERR, among them what the host lacks (PM_ERROR_LIMIT, PM_ERROR_LOCKED_MEMORY,
 * PM_ERROR_MEMORY).
 */
typedef struct {
    size_t struct_size;
    bool (*attach)(void *user_data, uint32_t domain, bool bypass, uint32_t endpoint,
                   const char *device, GError **error);
    bool (*detach)(void *user_data, uint32_t domain, bool bypass, uint32_t endpoint,
                   const char *device, GError **error);
    bool (*map)(void *user_data, uint32_t domain, const PmGuestMapping *mapping, GError **error);
    bool (*unmap)(void *user_data, uint32_t domain, const PmGuestMapping *mapping, GError **error);
} PmGuestIommuOps;

/**
 * Makes a guest IOMMU without endpoints.
 * Returns: a new reference, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (the message names the
 * member and the rule), PM_ERROR_UNSUPPORTED (as macros.h says).
 */
PM_EXPORT PmGuestIommu *pm_guest_iommu_new(const PmGuestIommuConfig *config, GError **error);

/** Takes a reference. Returns: @iommu. */
PM_EXPORT PmGuestIommu *pm_guest_iommu_ref(PmGuestIommu *iommu);

/** Drops a reference; NULL does nothing. The last one ends the follower as
 * pm_guest_iommu_set_follower() with NULL does, and frees the table. */
PM_EXPORT void pm_guest_iommu_unref(PmGuestIommu *iommu);

/**
 * Sets the follower, and replays endpoints and mappings: @attach for each endpoint that is in a
 * domain or in bypass, then @map for each mapping.
 * @ops: copied. NULL: ends the follower: calls @detach for each attached endpoint, logs failures,
 * and never fails; the table stays as it is.
 * @user_data: for @ops; must stay valid until the follower ends.
 * Errors: PM_ERROR_BUSY (there is a follower already), PM_ERROR_INVALID_ARGUMENT (an operation is
 * missing), PM_ERROR_UNSUPPORTED (as macros.h says), those of the follower: all that was attached
 * is detached again (failures are logged), and there is no follower.
 */
PM_EXPORT bool pm_guest_iommu_set_follower(PmGuestIommu *iommu, const PmGuestIommuOps *ops,
                                           void *user_data, GError **error);

/**
 * Adds an endpoint, in no domain.
 * Errors: PM_ERROR_INVALID_ARGUMENT (no device; invalid, overlapping or too many reserved ranges),
 * PM_ERROR_UNSUPPORTED (as macros.h says), PM_ERROR_BUSY (the number is in use), PM_ERROR_MEMORY,
 * those of the follower (if bypass is on). On failure nothing changes.
 */
PM_EXPORT bool pm_guest_iommu_add_endpoint(PmGuestIommu *iommu, const PmGuestEndpoint *endpoint,
                                           GError **error);

/**
 * Detaches an endpoint and removes it: the device is unplugged.
 * Errors: PM_ERROR_NOT_FOUND, those of the follower; the endpoint then stays as it is.
 */
PM_EXPORT bool pm_guest_iommu_remove_endpoint(PmGuestIommu *iommu, uint32_t endpoint,
                                              GError **error);

/**
 * Attaches an endpoint to a domain, which is made if there is none of that number. An endpoint of
 * another domain is detached from that first; if it was its last, that domain ends. No effect on an
 * endpoint that is already there.
 * @bypass: make, or expect, a bypass domain.
 *
 * Errors: PM_ERROR_NOT_FOUND (no such endpoint), PM_ERROR_INVALID_ARGUMENT (@domain is not one of
 * the configured numbers: the guest's status is RANGE; or it exists, with another @bypass: INVAL),
 * PM_ERROR_UNSUPPORTED (a mapping of the domain overlaps a reserved range of the endpoint),
 * PM_ERROR_GUEST_LIMIT (too many domains), PM_ERROR_MEMORY, those of the follower.
 *
 * On failure the endpoint is attached again where it was, with all mappings. PM_ERROR_QUARANTINED:
 * that failed, too, and the message says what is lost. An endpoint that could not be attached again
 * is in no domain and can do no DMA; if it was the last of its domain, that has ended. Mappings
 * that could not be mapped again are not in the table any more.
 */
PM_EXPORT bool pm_guest_iommu_attach(PmGuestIommu *iommu, uint32_t domain, bool bypass,
                                     uint32_t endpoint, GError **error);

/**
 * Detaches an endpoint from its domain, which ends with the last endpoint. If bypass is on, the
 * endpoint then uses guest physical addresses.
 * Errors: PM_ERROR_NOT_FOUND (no such endpoint), PM_ERROR_INVALID_ARGUMENT (not in @domain), those
 * of the follower; on failure as with pm_guest_iommu_attach().
 */
PM_EXPORT bool pm_guest_iommu_detach(PmGuestIommu *iommu, uint32_t domain, uint32_t endpoint,
                                     GError **error);

/**
 * Adds a mapping.
 *
 * Errors: PM_ERROR_INVALID_ARGUMENT (access, flags, the last address is below the first, or a
 * bypass domain), PM_ERROR_UNALIGNED (@iova, @last + 1 and @address must be multiples of the
 * granularity), PM_ERROR_IOVA_RANGE (outside the input range, or the guest physical addresses
 * wrap), PM_ERROR_NOT_FOUND (no such domain), PM_ERROR_OVERLAP (a mapping, or a reserved range of
 * an endpoint, is there), PM_ERROR_GUEST_LIMIT (too many mappings), PM_ERROR_MEMORY, those of
 * the follower. On failure nothing changes.
 */
PM_EXPORT bool pm_guest_iommu_map(PmGuestIommu *iommu, uint32_t domain,
                                  const PmGuestMapping *mapping, GError **error);

/**
 * Removes all mappings from @iova to @last (inclusive). Not an error if there is none.
 *
 * Errors: PM_ERROR_INVALID_ARGUMENT (@last is below @iova, or a bypass domain), PM_ERROR_NOT_FOUND
 * (no such domain), PM_ERROR_CUTS_MAPPING (a mapping is partly outside), those of the follower. On
 * failure nothing changes: mappings already removed are mapped again. PM_ERROR_QUARANTINED: that
 * failed, too; the message has the first that could not be mapped again, and those are not in the
 * table any more.
 */
PM_EXPORT bool pm_guest_iommu_unmap(PmGuestIommu *iommu, uint32_t domain, uint64_t iova,
                                    uint64_t last, GError **error);

/**
 * Turns bypass on or off: with it, endpoints in no domain use guest physical addresses. Turning it
 * on again retries endpoints that an earlier failure left without.
 * Errors: those of the follower. On failure every endpoint is as before; PM_ERROR_QUARANTINED:
 * except for those that could not be attached again, which can do no DMA.
 */
PM_EXPORT bool pm_guest_iommu_set_bypass(PmGuestIommu *iommu, bool bypass, GError **error);

/** Whether bypass is on. */
PM_EXPORT bool pm_guest_iommu_get_bypass(const PmGuestIommu *iommu);

/**
 * Finds the first mapping of @domain that ends at or after @iova. Logarithmic time.
 * @mapping: set to it, whole.
 * Returns: false if there is none, or no such domain.
 */
PM_EXPORT bool pm_guest_iommu_next_mapping(const PmGuestIommu *iommu, uint32_t domain,
                                           uint64_t iova, PmGuestMapping *mapping);

/**
 * Finds the first domain whose number is at least @domain.
 * @info: set to it; its struct_size must be set. NULL to test only.
 * Returns: false if there is none, or if struct_size is invalid.
 */
PM_EXPORT bool pm_guest_iommu_next_domain(const PmGuestIommu *iommu, uint32_t domain,
                                          PmGuestDomainInfo *info);

/**
 * Finds the first endpoint whose number is at least @endpoint.
 * @info: set to it; its struct_size must be set. NULL to test only.
 * Returns: false if there is none, or if struct_size is invalid.
 */
PM_EXPORT bool pm_guest_iommu_next_endpoint(const PmGuestIommu *iommu, uint32_t endpoint,
                                            PmGuestEndpointInfo *info);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmGuestIommu, pm_guest_iommu_unref)

G_END_DECLS

#endif
