/* SPDX-License-Identifier: MIT */
/* Requests of a virtio-iommu driver, written byte by byte as the specification has them. */
#ifndef PLUGMAP_TESTS_UNIT_GUEST_IOMMU_WIRE_UTIL_H
#define PLUGMAP_TESTS_UNIT_GUEST_IOMMU_WIRE_UTIL_H

#include <plugmap/virtio_iommu.h>

#include "follower_util.h"

enum {
    ATTACH = 1,
    DETACH = 2,
    MAP = 3,
    UNMAP = 4,
    PROBE = 5
};

enum {
    OK,
    IOERR,
    UNSUPP,
    DEVERR,
    INVAL,
    RANGE,
    NOENT,
    FAULT,
    NOMEM
};

enum {
    BYPASS = 1
}; /* flag of ATTACH */

enum {
    READ = 1,
    WRITE = 2,
    MMIO = 4
}; /* flags of MAP */

enum {
    INPUT_RANGE = 1 << 0,
    DOMAIN_RANGE = 1 << 1,
    MAP_UNMAP = 1 << 2,
    PROBE_FEATURE = 1 << 4,
    MMIO_FEATURE = 1 << 5,
    BYPASS_CONFIG = 1 << 6,
};

#define PROBE_SIZE 512

/* The parts that the device reads: sizes, and offsets of fields. */
#define ATTACH_SIZE     20
#define DETACH_SIZE     20
#define MAP_SIZE        36
#define UNMAP_SIZE      28
#define PROBE_SIZE_READ 72
#define MAX_REQUEST     72
#define HEAD_RESERVED   1
#define ATTACH_FLAGS    12
#define ATTACH_RESERVED 16
#define DETACH_RESERVED 12
#define MAP_FLAGS       32
#define UNMAP_RESERVED  24
#define PROBE_RESERVED  8
#define BYPASS_OFFSET   36
#define CONFIG_SIZE     40
#define PROPERTY_SIZE   ((size_t)24)

typedef struct {
    uint8_t bytes[MAX_REQUEST];
    size_t size;
} Wire;

void put32(uint8_t *bytes, uint32_t value);
void put64(uint8_t *bytes, uint64_t value);
uint64_t get64(const uint8_t *bytes);
uint32_t get32(const uint8_t *bytes);

Wire attach_request(uint32_t domain, uint32_t endpoint, uint32_t flags);
Wire detach_request(uint32_t domain, uint32_t endpoint);
Wire map_request(uint32_t domain, uint64_t start, uint64_t end, uint64_t address, uint32_t flags);
Wire unmap_request(uint32_t domain, uint64_t start, uint64_t end);
Wire probe_request(uint32_t endpoint);

/* Sends a request, not PROBE, that gets a status, and returns it. */
unsigned send_request(PmGuestIommu *iommu, const Wire *request);

unsigned send_attach(PmGuestIommu *iommu, uint32_t domain, uint32_t endpoint, uint32_t flags);
unsigned send_detach(PmGuestIommu *iommu, uint32_t domain, uint32_t endpoint);
unsigned send_map(PmGuestIommu *iommu, uint32_t domain, uint64_t start, uint64_t end,
                  uint64_t address, uint32_t flags);
unsigned send_unmap(PmGuestIommu *iommu, uint32_t domain, uint64_t start, uint64_t end);

/* Sends PROBE with room for PROBE_SIZE bytes. */
unsigned send_probe(PmGuestIommu *iommu, uint32_t endpoint, uint8_t *properties);

/* The last refusal has this status and code, and @part in its message. */
void assert_refusal(const PmGuestIommu *iommu, unsigned status, int code, const char *part);

void accept_features(PmGuestIommu *iommu);

/* As world_setup_followed(), and the driver accepts all features. */
int world_setup_driver(void **state);

#endif
