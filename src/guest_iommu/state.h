/* SPDX-License-Identifier: MIT */
/* The state of a PmGuestIommu: domains, endpoints, mappings. */
#ifndef PLUGMAP_SRC_GUEST_IOMMU_STATE_H
#define PLUGMAP_SRC_GUEST_IOMMU_STATE_H

#include <plugmap/virtio_iommu.h>

#include "base/range_map.h"

typedef struct PmDomain PmDomain;
typedef struct PmEndpoint PmEndpoint;

struct PmDomain {
    uint32_t id;
    bool bypass;
    uint32_t n_endpoints;
    PmEndpoint *endpoints; /* linked by PmEndpoint.next */
    PmRangeMap *mappings;  /* of PmMappingRecord; NULL if bypass */
};

typedef struct {
    PmRangeKey key;
    uint64_t address;
    PmIommuAccess access;
    unsigned flags;
} PmMappingRecord;

struct PmEndpoint {
    uint32_t id;
    char *device;
    PmGuestReserved *reserved; /* by address */
    size_t n_reserved;
    PmDomain *domain; /* NULL: can do no DMA */
    PmEndpoint *next; /* of the same domain */
    bool marked;      /* moved by the pm_guest_iommu_set_bypass() that is under way */
};

typedef struct {
    PmRangeKey key; /* the number */
    PmDomain *domain;
} PmDomainRecord;

typedef struct {
    PmRangeKey key; /* the number */
    PmEndpoint *endpoint;
} PmEndpointRecord;

struct PmGuestIommu {
    gatomicrefcount references;
    PmGuestIommuConfig config;
    uint64_t granularity;
    bool bypass;
    PmRangeMap *endpoints; /* of PmEndpointRecord */
    PmRangeMap *domains;   /* of PmDomainRecord */
    PmDomain no_domain;    /* of endpoints in bypass without a domain; not in domains */
    PmGuestIommuOps ops;   /* zero without a follower */
    void *user_data;
    unsigned status; /* VIRTIO_IOMMU_S_* of the last failure */
    uint64_t accepted_features;
    GError *refusal; /* of the last request; NULL if it was not refused */
    PmVirtioIommuStatus refusal_status;
};

#endif
