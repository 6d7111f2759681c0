/* SPDX-License-Identifier: MIT */
#include "buffers/map_once.h"

#include <unistd.h>

#include "base/error_text.h"
#include "base/log.h"

static bool adopt(const PmBufferRegistry *registry, void *host, uint64_t size,
                  PmRegionMemory *memory, GError **error)
{
    const PmRamAdoption adoption = {.struct_size = sizeof(adoption), .host = host, .size = size};

    *memory = (PmRegionMemory){
        .owner = registry->name,
        .size = size,
        .block_size = size,
        .iova_class = PM_IOVA_TEMPORARY,
    };
    memory->ram = pm_ram_adopt(&adoption, error);
    return memory->ram != NULL;
}

/* What may still be mapped belongs to the PmIommu from now on, with a reference to its RAM. */
static void end_failed(PmBufferRegistry *registry, PmRegionMemory *memory)
{
    registry->backend->ops->abandon(registry->backend, memory);
    g_clear_pointer(&memory->claim, pm_iommu_claim_unref);
}

static bool begin_and_map(PmBufferRegistry *registry, PmMapOnce *map, GError **error)
{
    PmRegionBackend *backend = registry->backend;
    PmRegionMemory *memory = &map->memory;
    GError *failure = NULL;

    if (!backend->ops->begin(backend, memory, error))
        return false;
    map->region_address = (uintptr_t)pm_region_memory_host(memory, 0);
    if (backend->ops->map(backend, memory, 0, memory->size, &map->region_address, &failure)) {
        registry->n_regions++;
        return true;
    }
    end_failed(registry, memory);
    g_propagate_error(error, failure);
    return false;
}

static bool map_locked(PmBufferRegistry *registry, char *host, uint64_t size, PmMapOnce *map,
                       GError **error)
{
    if (!adopt(registry, host, size, &map->memory, error))
        return false;
    if (begin_and_map(registry, map, error))
        return true;
    pm_ram_unref(map->memory.ram);
    return false;
}

bool pm_map_once(PmBufferRegistry *registry, void *host, uint64_t size, PmMapOnce *map,
                 GError **error)
{
    uint64_t page = MAX(registry->backend->alignment, (uint64_t)sysconf(_SC_PAGESIZE));
    uint64_t head = (uintptr_t)host & (page - 1);
    bool mapped;

    pm_registry_lock(registry);
    mapped = map_locked(registry, (char *)host - head, (head + size + page - 1) & ~(page - 1), map,
                        error);
    pm_registry_unlock(registry);
    map->address = map->region_address + head;
    return mapped;
}

void pm_unmap_once(PmBufferRegistry *registry, PmMapOnce *map)
{
    PmRegionBackend *backend = registry->backend;
    PmRegionMemory *memory = &map->memory;
    g_autoptr(GError) error = NULL;

    pm_registry_lock(registry);
    if (backend->ops->unmap(backend, memory, 0, memory->size, map->region_address, &error))
        backend->ops->end(backend, memory);
    else
        end_failed(registry, memory);
    pm_ram_unref(memory->ram);
    registry->n_regions--;
    pm_registry_unlock(registry);
    if (error != NULL)
        pm_log(G_LOG_LEVEL_WARNING, "%s: memory of a request may stay registered: %s",
               registry->name, error->message);
}
