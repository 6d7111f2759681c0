/* SPDX-License-Identifier: MIT */
#include "buffers/registry_private.h"

#include <inttypes.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sized.h"
#include "buffers/buffer_listener.h"
#include "buffers/range_end.h"
#include "buffers/regions.h"
#include "buffers/registry_pool.h"

#define DEFAULT_BOUNCE_SIZE  PM_MIB
#define DEFAULT_BOUNCE_LIMIT (64 * PM_MIB)
#define MAX_BOUNCE_LIMIT     PM_TIB

/* --- the lock and references --- */

static bool is_inherited(const PmBufferRegistry *registry)
{
    return registry->process != pm_process_token();
}

void pm_registry_lock(PmBufferRegistry *registry)
{
    if (!is_inherited(registry))
        pthread_mutex_lock(&registry->lock);
}

bool pm_registry_trylock(PmBufferRegistry *registry)
{
    return pthread_mutex_trylock(&registry->lock) == 0;
}

void pm_registry_unlock(PmBufferRegistry *registry)
{
    if (!is_inherited(registry))
        pthread_mutex_unlock(&registry->lock);
}

void pm_registry_wake(PmBufferRegistry *registry)
{
    if (!is_inherited(registry)) /* else the condition has waiters that do not exist */
        pthread_cond_broadcast(&registry->reopened);
}

void pm_registry_wait_until_open(PmBufferRegistry *registry, const void *host)
{
    pm_registry_lock(registry);
    registry->n_waiting++;
    while (pm_lease_is_closed(registry->leases, host))
        pthread_cond_wait(&registry->reopened, &registry->lock);
    registry->n_waiting--;
    pm_registry_unlock(registry);
}

unsigned pm_registry_get_n_waiting(PmBufferRegistry *registry)
{
    unsigned n_waiting;

    pm_registry_lock(registry);
    n_waiting = registry->n_waiting;
    pm_registry_unlock(registry);
    return n_waiting;
}

bool pm_registry_check_process(const PmBufferRegistry *registry, GError **error)
{
    return !is_inherited(registry) ||
           pm_fail(error, PM_ERROR_PERMISSION,
                   "%s belong to the parent of this forked process: make a registry in the child",
                   registry->name);
}

PmBufferRegistry *pm_registry_ref(PmBufferRegistry *registry)
{
    g_atomic_ref_count_inc(&registry->references);
    return registry;
}

void pm_registry_unref(PmBufferRegistry *registry)
{
    if (!g_atomic_ref_count_dec(&registry->references))
        return;
    registry->backend->ops->free(registry->backend);
    pm_lease_table_free(registry->leases);
    g_ptr_array_unref(registry->ranges);
    if (!is_inherited(registry))
        pthread_cond_destroy(&registry->reopened);
    pthread_mutex_destroy(&registry->lock);
    g_free(registry->name);
    g_free(registry);
}

/* --- creation --- */

static bool check(const PmBufferRegistryConfig *config, GError **error)
{
    if (config->name == NULL || *config->name == '\0')
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "a buffer registry needs a name: set PmBufferRegistryConfig.name");
    if ((config->iommu == NULL) == (config->backend == NULL))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "%s: set exactly one of PmBufferRegistryConfig.iommu and .backend",
                       config->name);
    if (config->wait_ms > UINT_MAX)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "%s: invalid wait_ms: must be at most %u",
                       config->name, UINT_MAX);
    return true;
}

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value != 0 ? value : fallback;
}

static PmBufferRegistry *make(const PmBufferRegistryConfig *config, PmRegionBackend *backend)
{
    PmBufferRegistry *registry = g_new0(PmBufferRegistry, 1);

    g_atomic_ref_count_init(&registry->references);
    registry->process = pm_process_token();
    registry->name = g_strdup(config->name);
    registry->backend = backend;
    registry->leases = pm_lease_table_new(!backend->maps_blocks);
    registry->wait_ms = (unsigned)config->wait_ms;
    registry->bounce_size = or_default(config->bounce_size, DEFAULT_BOUNCE_SIZE);
    registry->bounce_limit =
        or_default(config->bounce_limit, MAX(DEFAULT_BOUNCE_LIMIT, registry->bounce_size));
    pthread_mutex_init(&registry->lock, NULL);
    pthread_cond_init(&registry->reopened, NULL);
    registry->ranges = g_ptr_array_new();
    registry->pool = pm_registry_pool_new(registry);
    return registry;
}

static bool check_bounce(const PmBufferRegistryConfig *config, GError **error)
{
    uint64_t size = or_default(config->bounce_size, DEFAULT_BOUNCE_SIZE);
    uint64_t limit = config->bounce_limit != 0 ? config->bounce_limit : size;

    return (size <= limit && limit <= MAX_BOUNCE_LIMIT) ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "%s: invalid bounce_limit 0x%" PRIx64
                   ": must be at least bounce_size, 0x%" PRIx64 ", and at most 0x%" PRIx64,
                   config->name, limit, size, MAX_BOUNCE_LIMIT);
}

PmBufferRegistry *pm_buffer_registry_new(const PmBufferRegistryConfig *given, GError **error)
{
    PmBufferRegistryConfig config;
    PmRegionBackend *backend;

    if (!pm_sized_read("PmBufferRegistryConfig", &config, sizeof(config), given, error) ||
        !check(&config, error) || !check_bounce(&config, error))
        return NULL;
    backend = config.iommu != NULL ? pm_iommu_regions_new(&config, error)
                                   : pm_caller_regions_new(&config, error);
    return backend != NULL ? make(&config, backend) : NULL;
}

/* --- end --- */

static bool empty(PmBufferRange *range, GError **error)
{
    range->is_leaving = true;
    if (range->listener != NULL)
        return pm_buffer_range_unfollow(range, error);
    return pm_regions_purge(range, error);
}

static void remove_range(PmBufferRange *range)
{
    g_autoptr(GError) error = NULL;

    if (empty(range, &error)) {
        pm_buffer_range_end(range);
    } else {
        pm_log(G_LOG_LEVEL_WARNING, "%s: memory at host address %p may stay registered: %s",
               range->memory.owner, (void *)range->host, error->message);
        pm_buffer_range_abandon(range);
    }
    pm_buffer_range_dispose(range);
}

void pm_buffer_registry_free(PmBufferRegistry *registry)
{
    if (registry == NULL)
        return;
    pm_registry_pool_free(registry);
    while (registry->ranges->len > 0)
        remove_range(pm_buffer_range_at(registry, registry->ranges->len - 1));
    pm_registry_unref(registry);
}

uint64_t pm_buffer_registry_get_region_limit(const PmBufferRegistry *registry)
{
    return registry->backend->ops->get_limit(registry->backend);
}
