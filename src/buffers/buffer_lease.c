/* SPDX-License-Identifier: MIT */
/* Leases as the public API has them. */
#include <inttypes.h>

#include "base/error_text.h"
#include "buffers/buffer_lease.h"
#include "buffers/placement.h"

_Static_assert(sizeof(PmLease) <= sizeof(PmBufferLease), "a PmLease does not fit");

static PmLease *of(PmBufferLease *lease)
{
    return (PmLease *)(void *)lease;
}

/* Whoever has the lock may be about to register it. */
static void note_miss(PmBufferRegistry *registry, const char *host)
{
    PmBufferRange *range;

    if (!pm_registry_trylock(registry))
        return;
    range = pm_buffer_range_containing(registry, host);
    if (range != NULL)
        pm_placement_miss(range, (uint64_t)(host - range->host) / range->memory.block_size);
    pm_registry_unlock(registry);
}

PmLeaseResult pm_registry_lease(PmBufferRegistry *registry, PmLease *lease, const void *host,
                                uint64_t size, uint64_t *failed_at)
{
    uint64_t at = 0;
    PmLeaseResult result = pm_lease_acquire(registry->leases, lease, host, size, &at);

    if (result == PM_LEASE_UNREGISTERED)
        note_miss(registry, (const char *)host + at);
    if (failed_at != NULL)
        *failed_at = at;
    return result;
}

bool pm_registry_fail_lease(const PmBufferRegistry *registry, PmLeaseResult result,
                            const void *host, uint64_t failed_at, GError **error)
{
    static const struct {
        PmError code;
        const char *what;
    } failures[] = {
        [PM_LEASE_UNKNOWN] = {PM_ERROR_NOT_FOUND,
                              "is not in memory that was added: add or register it"},
        [PM_LEASE_DISCARDED] = {PM_ERROR_NOT_POPULATED, "is discarded: plug it first"},
        [PM_LEASE_UNREGISTERED] = {PM_ERROR_LIMIT,
                                   "is not registered now (pm_buffer_registry_next() has the "
                                   "reason): use a bounce buffer"},
        [PM_LEASE_CLOSED] = {PM_ERROR_BUSY,
                             "is about to be discarded or unregistered: use a bounce buffer"},
        [PM_LEASE_FULL] = {PM_ERROR_BUSY, "has as many leases as a block can have: release some"},
    };

    if (error == NULL)
        return false;
    return pm_fail(error, failures[result].code, "%s: host address %p %s", registry->name,
                   (const void *)((const char *)host + failed_at), failures[result].what);
}

bool pm_buffer_lease_acquire(PmBufferRegistry *registry, const void *host, uint64_t size,
                             PmBufferLease *lease, GError **error)
{
    PmLeaseResult result;
    uint64_t failed_at;

    if (size == 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "%s: a lease of no bytes", registry->name);
    if (!pm_registry_check_process(registry, error))
        return false;
    result = pm_registry_lease(registry, of(lease), host, size, &failed_at);
    return result == PM_LEASE_GRANTED ||
           pm_registry_fail_lease(registry, result, host, failed_at, error);
}

bool pm_buffer_lease_next(const PmBufferLease *lease, uint64_t offset, PmDmaSegment *segment)
{
    PmLeaseRun run;

    if (!pm_lease_next((const PmLease *)(const void *)lease, offset, &run))
        return false;
    *segment = (PmDmaSegment){run.address, run.size};
    return true;
}

void pm_buffer_lease_release(PmBufferLease *lease)
{
    pm_lease_release(of(lease));
}
