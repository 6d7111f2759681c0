/* SPDX-License-Identifier: MIT */
/*
 * PmRegionBackend: what makes memory accessible to a device, a region at a time: a PmIommu, or the
 * caller's PmBufferBackend. Not locked: the registry's lock is held.
 */
#ifndef PLUGMAP_SRC_BUFFERS_REGION_BACKEND_H
#define PLUGMAP_SRC_BUFFERS_REGION_BACKEND_H

#include <plugmap/buffer_registry.h>
#include <plugmap/iommu_claim.h>

#include "buffers/iova_allocator.h"

typedef struct PmRegionBackend PmRegionBackend;

/* A part of RAM, blocks of which may be registered. */
typedef struct {
    const char *owner; /* for messages and claims; a string of the registry */
    PmRam *ram;        /* a reference of the holder */
    uint64_t offset;
    uint64_t size;
    uint64_t block_size;
    bool follows_manager;
    PmIovaClass iova_class;
    /* The back end's: */
    PmIommuClaim *claim;
    uint64_t discard_claim; /* 0: none */
} PmRegionMemory;

/*
 * Offsets are bytes of the PmRegionMemory, multiples of its block size.
 * @begin: claims addresses, and disables discards as the back end requires.
 * @end: undoes @begin; nothing is registered any more.
 * @abandon: undoes @begin as far as what may be registered allows. A PmIommu keeps the rest.
 * @get_room: how many of @n_blocks that adjoin each other it could map now, of which it has
 * @n_regions mapped already. No side effects.
 * @map: as PmBufferBackend.map; sets @address. Those of several blocks are contiguous.
 * @unmap: what was mapped by one call of @map; with @maps_blocks, adjacent blocks.
 * @purge: unmaps all, including what is unknown; NULL: @unmap does.
 * @settle: unmaps what is unknown, and may have done so partly if it fails; NULL: @unmap does.
 * @forget: marks what is mapped unknown; NULL: the registry knows.
 * @next_unknown: as pm_iommu_claim_next_unknown(); NULL: what @unmap said.
 * @get_limit: as pm_buffer_registry_get_region_limit().
 */
typedef struct {
    bool (*begin)(PmRegionBackend *backend, PmRegionMemory *memory, GError **error);
    void (*end)(PmRegionBackend *backend, PmRegionMemory *memory);
    void (*abandon)(PmRegionBackend *backend, PmRegionMemory *memory);
    uint64_t (*get_room)(PmRegionBackend *backend, const PmRegionMemory *memory, uint64_t n_blocks,
                         uint64_t n_regions);
    bool (*map)(PmRegionBackend *backend, const PmRegionMemory *memory, uint64_t offset,
                uint64_t size, uint64_t *address, GError **error);
    bool (*unmap)(PmRegionBackend *backend, const PmRegionMemory *memory, uint64_t offset,
                  uint64_t size, uint64_t address, GError **error);
    bool (*purge)(PmRegionBackend *backend, const PmRegionMemory *memory, GError **error);
    bool (*settle)(PmRegionBackend *backend, const PmRegionMemory *memory, GError **error);
    void (*forget)(PmRegionBackend *backend, const PmRegionMemory *memory, uint64_t offset,
                   uint64_t size, const char *reason);
    bool (*next_unknown)(PmRegionBackend *backend, const PmRegionMemory *memory, uint64_t offset,
                         uint64_t *run_offset, uint64_t *run_size, char **reason);
    uint64_t (*get_limit)(const PmRegionBackend *backend);
    void (*free)(PmRegionBackend *backend);
} PmRegionBackendOps;

/*
 * @maps_blocks: each block is a region, although one call maps several.
 * @alignment: of host addresses, offsets and sizes.
 * @flags: of PmBufferBackendFlags.
 */
struct PmRegionBackend {
    const PmRegionBackendOps *ops;
    bool maps_blocks;
    uint64_t alignment;
    uint64_t flags;
};

/* NULL if the configuration is invalid. Errors: those of pm_buffer_registry_new(). */
PmRegionBackend *pm_iommu_regions_new(const PmBufferRegistryConfig *config, GError **error);
PmRegionBackend *pm_caller_regions_new(const PmBufferRegistryConfig *config, GError **error);

/* Whether the back end does not know any more what is mapped. */
bool pm_regions_are_unknown(const GError *error);

/* The host address of byte @offset. */
void *pm_region_memory_host(const PmRegionMemory *memory, uint64_t offset);

#endif
