/* SPDX-License-Identifier: MIT */
#include "buffers/buffer_range.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "memory/ram_claims.h"

/* Of leases, where a region is not made of smaller blocks: a lease must not slow down those of
 * buffers far away. */
#define MIN_LEASE_BLOCK    (64 * PM_KIB)
#define MAX_N_LEASE_BLOCKS 65536

PmBufferRange *pm_buffer_range_at(const PmBufferRegistry *registry, guint index)
{
    return g_ptr_array_index(registry->ranges, index);
}

PmBufferRange *pm_buffer_range_containing(const PmBufferRegistry *registry, const char *host)
{
    guint first = 0;
    guint end = registry->ranges->len;

    while (first < end) {
        guint middle = first + (end - first) / 2;
        PmBufferRange *range = pm_buffer_range_at(registry, middle);

        if (host < range->host)
            end = middle;
        else if ((uint64_t)(host - range->host) >= range->memory.size)
            first = middle + 1;
        else
            return range;
    }
    return NULL;
}

PmBufferRange *pm_buffer_range_find(const PmBufferRegistry *registry, const void *host,
                                    uint64_t size)
{
    PmBufferRange *range = pm_buffer_range_containing(registry, host);

    return range != NULL && range->host == host && range->memory.size == size ? range : NULL;
}

uint64_t pm_buffer_range_n_refused(const PmBufferRange *range)
{
    uint64_t n_unknown = range->n_unknown - range->n_stray;

    if (range->lacks_file || range->is_leaving || range->is_gone)
        return 0;
    return pm_bitmap_n_set(range->populated) - range->n_registered - n_unknown;
}

/* --- creation --- */

static bool check_place(const PmBufferRegistry *registry, const PmBufferRangeConfig *config,
                        GError **error)
{
    uint64_t ram_size = pm_ram_get_size(config->ram);

    if (config->size != 0 && config->offset < ram_size && config->size <= ram_size - config->offset)
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "%s: invalid range of 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                   ": must be inside the RAM of 0x%" PRIx64 " bytes, and not empty",
                   registry->name, config->size, config->offset, ram_size);
}

/* The back end's unit, and so of what is registered without a discard manager. */
static uint64_t unit_of(const PmBufferRegistry *registry, const PmRam *ram)
{
    return MAX(registry->backend->alignment, pm_ram_get_page_size(ram));
}

static bool check_aligned(const PmBufferRegistry *registry, const PmBufferRangeConfig *config,
                          GError **error)
{
    const PmDiscardManager *manager = pm_ram_get_discard_manager(config->ram);
    uint64_t host = (uint64_t)(uintptr_t)pm_ram_get_host(config->ram) + config->offset;
    uint64_t unit = registry->backend->alignment;
    g_autofree char *unit_text = NULL;

    if (manager != NULL && pm_discard_manager_get_granularity(manager) % unit != 0) {
        unit_text = pm_size_format(pm_discard_manager_get_granularity(manager));
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "%s: invalid block size %s of RAM with a discard manager: must be a "
                       "multiple of 0x%" PRIx64 ", which the back end requires",
                       registry->name, unit_text, unit);
    }
    unit = manager != NULL ? pm_discard_manager_get_granularity(manager)
                           : unit_of(registry, config->ram);
    unit_text = pm_size_format(unit);
    if (config->offset % unit == 0 && config->size % unit == 0 &&
        host % registry->backend->alignment == 0)
        return true;
    return pm_fail(error, PM_ERROR_UNALIGNED,
                   "%s: 0x%" PRIx64 " bytes at host address 0x%" PRIx64 ", offset 0x%" PRIx64
                   " of the RAM, are not aligned: offset and size must be multiples of %s, and the "
                   "host address of 0x%" PRIx64,
                   registry->name, config->size, host, config->offset, unit_text,
                   registry->backend->alignment);
}

static bool has_file(const PmRam *ram)
{
    uint64_t offset;

    return pm_ram_get_fd(ram, &offset) >= 0;
}

static PmBufferRange *make(PmBufferRegistry *registry, const PmBufferRangeConfig *config)
{
    PmBufferRange *range = g_new0(PmBufferRange, 1);
    PmDiscardManager *manager = pm_ram_get_discard_manager(config->ram);

    g_atomic_ref_count_init(&range->references);
    range->registry = pm_registry_ref(registry);
    range->memory = (PmRegionMemory){
        .owner = registry->name,
        .ram = pm_ram_ref(config->ram),
        .offset = config->offset,
        .size = config->size,
        .block_size = manager != NULL ? pm_discard_manager_get_granularity(manager) : config->size,
        .follows_manager = manager != NULL,
        .iova_class = PM_IOVA_FIXED,
    };
    range->host = pm_region_memory_host(&range->memory, 0);
    range->n_blocks =
        manager != NULL ? config->size / pm_discard_manager_get_granularity(manager) : 1;
    range->is_buffer = config->is_buffer;
    range->lacks_file =
        (registry->backend->flags & PM_BUFFER_NEEDS_FD) != 0 && !has_file(config->ram);
    range->manager = manager != NULL ? pm_discard_manager_ref(manager) : NULL;
    range->populated = pm_bitmap_new(range->n_blocks);
    range->closing = pm_bitmap_new(range->n_blocks);
    range->regions = pm_range_map_new_small(sizeof(PmRegionRecord), range->n_blocks);
    return range;
}

static uint64_t lease_granularity(const PmBufferRange *range)
{
    uint64_t granularity = MIN_LEASE_BLOCK;

    if (range->manager != NULL)
        return range->memory.block_size;
    while (range->memory.size / granularity > MAX_N_LEASE_BLOCKS)
        granularity *= 2;
    return granularity;
}

static bool add_leases(PmBufferRange *range, GError **error)
{
    range->leases = pm_lease_table_add(range->registry->leases, range->host, range->memory.size,
                                       lease_granularity(range), error);
    if (range->leases == NULL)
        return false;
    if (range->manager == NULL) {
        pm_bitmap_set(range->populated, 0, range->n_blocks);
        pm_lease_range_set_unregistered(range->leases, 0, range->memory.size);
    }
    return true;
}

static bool begin(PmBufferRange *range, GError **error)
{
    PmRegionBackend *backend = range->registry->backend;

    if (range->populated == NULL || range->closing == NULL)
        return pm_fail(error, PM_ERROR_MEMORY, "%s: out of memory for %" PRIu64 " blocks",
                       range->memory.owner, range->n_blocks);
    if (!add_leases(range, error))
        return false;
    if (range->lacks_file || backend->ops->begin(backend, &range->memory, error))
        return true;
    pm_lease_table_remove(range->registry->leases, range->leases);
    return false;
}

static void insert(PmBufferRange *range)
{
    GPtrArray *ranges = range->registry->ranges;
    guint index = 0;

    while (index < ranges->len && pm_buffer_range_at(range->registry, index)->host < range->host)
        index++;
    g_ptr_array_insert(ranges, (gint)index, range);
}

static void free_range(PmBufferRange *range)
{
    if (range->memory.discard_claim != 0)
        (void)pm_ram_leave_claim(range->memory.ram, range->memory.discard_claim);
    pm_ram_unref(range->memory.ram);
    g_clear_pointer(&range->manager, pm_discard_manager_unref);
    pm_bitmap_free(range->populated);
    pm_bitmap_free(range->closing);
    pm_range_map_free(range->regions);
    g_clear_error(&range->refusal);
    g_free(range->unknown_reason);
    g_free(range->misses);
    g_clear_pointer(&range->memory.claim, pm_iommu_claim_unref);
    g_free(range);
}

PmBufferRange *pm_buffer_range_new(PmBufferRegistry *registry, const PmBufferRangeConfig *config,
                                   GError **error)
{
    PmBufferRange *range;

    if (!check_place(registry, config, error) || !check_aligned(registry, config, error))
        return NULL;
    range = make(registry, config);
    if (begin(range, error)) {
        insert(range);
        return range;
    }
    pm_buffer_range_unref(range);
    return NULL;
}

/* --- end --- */

void pm_buffer_range_unref(PmBufferRange *range)
{
    PmBufferRegistry *registry = range->registry;

    if (!g_atomic_ref_count_dec(&range->references))
        return;
    free_range(range);
    pm_registry_unref(registry);
}
