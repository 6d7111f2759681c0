/* SPDX-License-Identifier: MIT */
#include "buffers/registry_pool.h"

#include "base/error_text.h"
#include "base/log.h"

/* A buffer is one region, and stays where it is. */
static uint64_t address_of(const PmBufferRegistry *registry, const PmRam *ram)
{
    PmLease lease;
    PmLeaseRun run = {0};

    if (pm_lease_acquire(registry->leases, &lease, pm_ram_get_host(ram), pm_ram_get_size(ram),
                         NULL) != PM_LEASE_GRANTED)
        return 0;
    (void)pm_lease_next(&lease, 0, &run);
    pm_lease_release(&lease);
    return run.address;
}

static bool map(void *user_data, PmRam *ram, uint64_t *address, GError **error)
{
    PmBufferRegistry *registry = user_data;

    if (!pm_registry_register(registry, ram, error))
        return false;
    *address = address_of(registry, ram);
    return true;
}

/* In a forked child, the chunks are the parent's. */
static bool unmap(void *user_data, PmRam *ram, GError **error)
{
    PmBufferRegistry *registry = user_data;

    return !pm_registry_check_process(registry, NULL) ||
           pm_buffer_registry_unregister(registry, pm_ram_get_host(ram), pm_ram_get_size(ram),
                                         error);
}

PmBouncePool *pm_registry_pool_new(PmBufferRegistry *registry)
{
    const PmBouncePoolConfig config = {
        .size = registry->bounce_size,
        .limit = registry->bounce_limit,
        .alignment = registry->backend->alignment,
        .map = map,
        .unmap = unmap,
        .user_data = registry,
    };

    return pm_bounce_pool_new(&config);
}

void pm_registry_pool_free(PmBufferRegistry *registry)
{
    g_autoptr(GError) error = NULL;

    if (!pm_bounce_pool_free(registry->pool, &error) && pm_registry_check_process(registry, NULL))
        pm_log(G_LOG_LEVEL_WARNING, "%s: %s", registry->name, error->message);
    registry->pool = NULL;
}
