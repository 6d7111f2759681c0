/* SPDX-License-Identifier: MIT */
/* The registry's state. Its lock protects all of it except for what never changes, and the lease
 * table, which I/O threads read. */
#ifndef PLUGMAP_SRC_BUFFERS_REGISTRY_PRIVATE_H
#define PLUGMAP_SRC_BUFFERS_REGISTRY_PRIVATE_H

#include <pthread.h>

#include "buffers/bounce_pool.h"
#include "buffers/lease_table.h"
#include "buffers/region_backend.h"

struct PmBufferRegistry {
    gatomicrefcount references; /* the user's, and one for each PmBufferRange */
    uint64_t process;
    char *name;
    PmRegionBackend *backend;
    PmLeaseTable *leases;
    unsigned wait_ms;
    uint64_t bounce_size;
    uint64_t bounce_limit;
    PmBouncePool *pool;   /* has a lock of its own */
    pthread_mutex_t lock; /* not GMutex, which the thread sanitizer misses */
    pthread_cond_t reopened;
    unsigned n_waiting; /* for that */
    GPtrArray *ranges;  /* of PmBufferRange, ascending by host address */
    uint64_t n_regions;
    uint64_t n_evicted;
    uint64_t n_replaced;
    uint64_t n_failed_maps;
    guint hand_range; /* where the search for a region to evict continues */
    uint64_t hand_block;
};

/* Not in a copy in a forked child, where the lock may be held forever. */
void pm_registry_lock(PmBufferRegistry *registry);
bool pm_registry_trylock(PmBufferRegistry *registry);
void pm_registry_unlock(PmBufferRegistry *registry);

/* Waits while the block of @host is closed. Who closed it without keeping the lock calls
 * pm_registry_wake() when that has ended, with the lock held. The lock is not held here. */
void pm_registry_wait_until_open(PmBufferRegistry *registry, const void *host);

void pm_registry_wake(PmBufferRegistry *registry);

/* For tests: how many wait. */
unsigned pm_registry_get_n_waiting(PmBufferRegistry *registry);

/* Errors: PM_ERROR_PERMISSION (a copy in a forked child). */
bool pm_registry_check_process(const PmBufferRegistry *registry, GError **error);

/* As pm_buffer_registry_register(), for all of @ram, which is referenced as long as a device may
 * access it. (registry_ranges.c) */
bool pm_registry_register(PmBufferRegistry *registry, PmRam *ram, GError **error);

PmBufferRegistry *pm_registry_ref(PmBufferRegistry *registry);
void pm_registry_unref(PmBufferRegistry *registry);

#endif
