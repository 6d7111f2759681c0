/* SPDX-License-Identifier: MIT */
/* Regions in a PmIommu: a claim for each PmRegionMemory, in which each block is a mapping. */
#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "buffers/region_backend.h"
#include "iommu/claim.h"

/* How often somebody may claim the addresses that were just chosen. */
#define MAX_RACES 16

#define MAX_ALIGNMENT PM_GIB

typedef struct {
    PmRegionBackend parent;
    PmIommu *iommu;
    PmIovaAllocator *allocator;
} IommuRegions;

static IommuRegions *of(PmRegionBackend *backend)
{
    return (IommuRegions *)backend;
}

/* So that the IOMMU can use pages as large as the host's. */
static uint64_t alignment_of(const PmRegionMemory *memory, uint64_t page_size)
{
    uint64_t host = (uint64_t)(uintptr_t)pm_region_memory_host(memory, 0);
    uint64_t alignment = page_size;

    while (alignment < MAX_ALIGNMENT && alignment * 2 <= memory->size &&
           host % (alignment * 2) == 0)
        alignment *= 2;
    return alignment;
}

static PmIommuClaim *claim_at(const IommuRegions *regions, const PmRegionMemory *memory,
                              uint64_t iova, GError **error)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = memory->owner,
        .ram = memory->ram,
        .iova = iova,
        .size = memory->size,
        .block_size = memory->block_size,
        .follows_manager = memory->follows_manager,
        .ram_offset = memory->offset,
        .ram_size = memory->size,
    };

    return pm_iommu_claim_new(regions->iommu, &config, error);
}

/* Whether somebody else has claimed the addresses since they were chosen. */
static bool has_lost_race(const GError *failure)
{
    return g_error_matches(failure, PM_ERROR, PM_ERROR_OVERLAP) ||
           g_error_matches(failure, PM_ERROR, PM_ERROR_IOVA_RANGE);
}

static bool begin(PmRegionBackend *backend, PmRegionMemory *memory, GError **error)
{
    IommuRegions *regions = of(backend);
    uint64_t alignment = alignment_of(memory, backend->alignment);

    for (unsigned n_races = 0;; n_races++) {
        GError *failure = NULL;
        uint64_t iova;

        if (!pm_iova_allocator_take(regions->allocator, memory->iova_class, memory->size, alignment,
                                    &iova, error))
            return false;
        memory->claim = claim_at(regions, memory, iova, &failure);
        if (memory->claim != NULL)
            return true;
        pm_iova_allocator_put(regions->allocator, memory->iova_class, iova, memory->size);
        if (n_races == MAX_RACES || !has_lost_race(failure)) {
            g_propagate_error(error, failure);
            return false;
        }
        g_error_free(failure);
    }
}

/* What an abandoned claim still has, the allocator avoids as it does all claims. */
static void leave(IommuRegions *regions, PmRegionMemory *memory)
{
    pm_iova_allocator_put(regions->allocator, memory->iova_class,
                          pm_iommu_claim_get_iova(memory->claim), memory->size);
}

static void end(PmRegionBackend *backend, PmRegionMemory *memory)
{
    leave(of(backend), memory);
    g_clear_pointer(&memory->claim, pm_iommu_claim_unref);
}

/* The claim stays referenced, for next_unknown. */
static void abandon(PmRegionBackend *backend, PmRegionMemory *memory)
{
    leave(of(backend), memory);
    pm_iommu_claim_abandon(memory->claim);
}

/* The largest number of blocks, up to @n_blocks, for which the budgets have room. */
static uint64_t get_room(PmRegionBackend *backend, const PmRegionMemory *memory, uint64_t n_blocks,
                         uint64_t n_regions G_GNUC_UNUSED)
{
    uint64_t available;
    uint64_t room = 0;

    if (pm_iommu_query_available(of(backend)->iommu, &available, NULL))
        n_blocks = MIN(n_blocks, available);
    if (n_blocks == 0 ||
        pm_iommu_claim_check_room(memory->claim, n_blocks * memory->block_size, NULL))
        return n_blocks;
    for (uint64_t step = (n_blocks + 1) / 2, none = n_blocks; room + 1 < none;
         step = (none - room) / 2) {
        if (pm_iommu_claim_check_room(memory->claim, (room + step) * memory->block_size, NULL))
            room += step;
        else
            none = room + step;
    }
    return room;
}

static bool map(PmRegionBackend *backend G_GNUC_UNUSED, const PmRegionMemory *memory,
                uint64_t offset, uint64_t size, uint64_t *address, GError **error)
{
    *address = pm_iommu_claim_get_iova(memory->claim) + offset;
    return pm_iommu_claim_map(memory->claim, offset, size, memory->offset + offset,
                              PM_IOMMU_READ_WRITE, error);
}

static bool unmap(PmRegionBackend *backend G_GNUC_UNUSED, const PmRegionMemory *memory,
                  uint64_t offset, uint64_t size, uint64_t address G_GNUC_UNUSED, GError **error)
{
    return pm_iommu_claim_unmap(memory->claim, offset, size, error);
}

static bool purge(PmRegionBackend *backend G_GNUC_UNUSED, const PmRegionMemory *memory,
                  GError **error)
{
    return pm_iommu_claim_purge(memory->claim, error);
}

static bool settle(PmRegionBackend *backend G_GNUC_UNUSED, const PmRegionMemory *memory,
                   GError **error)
{
    return pm_iommu_claim_purge_unknown(memory->claim, error);
}

static void forget(PmRegionBackend *backend G_GNUC_UNUSED, const PmRegionMemory *memory,
                   uint64_t offset, uint64_t size, const char *reason)
{
    pm_iommu_claim_forget(memory->claim, offset, size, reason);
}

static bool next_unknown(PmRegionBackend *backend G_GNUC_UNUSED, const PmRegionMemory *memory,
                         uint64_t offset, uint64_t *run_offset, uint64_t *run_size, char **reason)
{
    return memory->claim != NULL &&
           pm_iommu_claim_next_unknown(memory->claim, offset, run_offset, run_size, reason);
}

static uint64_t get_limit(const PmRegionBackend *backend)
{
    const IommuRegions *regions = (const IommuRegions *)backend;

    return pm_iommu_get_mapping_limit(regions->iommu);
}

static void free_regions(PmRegionBackend *backend)
{
    IommuRegions *regions = of(backend);

    pm_iova_allocator_free(regions->allocator);
    pm_iommu_unref(regions->iommu);
    g_free(regions);
}

static const PmRegionBackendOps ops = {
    .begin = begin,
    .end = end,
    .abandon = abandon,
    .get_room = get_room,
    .map = map,
    .unmap = unmap,
    .purge = purge,
    .settle = settle,
    .forget = forget,
    .next_unknown = next_unknown,
    .get_limit = get_limit,
    .free = free_regions,
};

/* --- creation --- */

/* Of 1 GiB and an eighth, the smaller. */
static uint64_t default_temporary_size(PmIommu *iommu)
{
    size_t n_ranges;
    const PmIovaRange *ranges = pm_iommu_get_iova_ranges(iommu, &n_ranges);
    uint64_t n_bytes = 0;

    for (size_t i = 0; i < n_ranges && n_bytes < 8 * PM_GIB; i++)
        n_bytes += MIN(ranges[i].last - ranges[i].start, 8 * PM_GIB);
    return MIN(n_bytes / 8, PM_GIB);
}

static bool check_ranges(const PmBufferRegistryConfig *config, GError **error)
{
    if (config->window.last < config->window.start)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid window 0x%" PRIx64 "-0x%" PRIx64
                       " of %s: must not end before it starts",
                       config->window.start, config->window.last, config->name);
    if (config->n_avoid != 0 && config->avoid == NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "%s has %zu ranges to avoid, but they are NULL", config->name,
                       config->n_avoid);
    for (size_t i = 0; i < config->n_avoid; i++)
        if (config->avoid[i].last < config->avoid[i].start)
            return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                           "invalid range to avoid 0x%" PRIx64 "-0x%" PRIx64
                           " of %s: must not end before it starts",
                           config->avoid[i].start, config->avoid[i].last, config->name);
    return true;
}

PmRegionBackend *pm_iommu_regions_new(const PmBufferRegistryConfig *config, GError **error)
{
    uint64_t page_sizes = pm_iommu_get_page_sizes(config->iommu);
    const PmIovaAllocatorConfig allocator = {
        .iommu = config->iommu,
        .window = config->window,
        .avoid = config->avoid,
        .n_avoid = config->n_avoid,
        .page_size = page_sizes & -page_sizes,
        .temporary_size = config->temporary_size != 0 ? config->temporary_size
                                                      : default_temporary_size(config->iommu),
    };
    IommuRegions *regions;

    if (!check_ranges(config, error))
        return NULL;
    regions = g_new0(IommuRegions, 1);
    regions->parent.ops = &ops;
    regions->parent.maps_blocks = true;
    regions->parent.alignment = allocator.page_size;
    regions->iommu = pm_iommu_ref(config->iommu);
    regions->allocator = pm_iova_allocator_new(&allocator);
    return &regions->parent;
}
