/* SPDX-License-Identifier: MIT */
/* Maps memory in a PmIommu for one request. (Regions of a caller's back end must not overlap, but
 * requests may need bytes of the same page.) */
#ifndef PLUGMAP_SRC_BUFFERS_MAP_ONCE_H
#define PLUGMAP_SRC_BUFFERS_MAP_ONCE_H

#include "buffers/registry_private.h"

typedef struct {
    PmRegionMemory memory;
    uint64_t region_address;
    uint64_t address; /* of the first byte that was asked for */
} PmMapOnce;

/*
 * Whole pages around the bytes, which must not be in RAM of the registry: what fails to unmap must
 * not be discarded, and no discard manager would know of it.
 * Errors, with nothing mapped: PM_ERROR_LIMIT (temporary addresses), those of pm_iommu_claim_map().
 */
bool pm_map_once(PmBufferRegistry *registry, void *host, uint64_t size, PmMapOnce *map,
                 GError **error);

/* Undoes it. What fails to unmap is logged, and left to pm_iommu_settle(). */
void pm_unmap_once(PmBufferRegistry *registry, PmMapOnce *map);

#endif
