/* SPDX-License-Identifier: MIT */
/*
 * PmBouncePool: memory that a device can access, for requests whose own it cannot.
 *
 * The pool consists of chunks; each is one registered region. It has none until somebody needs it.
 * A request gets one contiguous slot, or waits. Requests are served in the order in which they
 * arrive: a large one is not overtaken by small ones that would fit, so none starves.
 *
 * Growth: a request that does not fit, and is the first in line, doubles the pool (or adds what it
 * needs, if that is more), until the limit. Nobody has to leave for that, and slots are returned
 * meanwhile. If only the limit keeps the pool from having a chunk as large as the request, chunks
 * that nobody uses are unregistered first. Otherwise chunks stay until the pool is freed. One of
 * which it is unknown whether it was unregistered has no slots any more, and the next request that
 * finds no room under the limit tries again.
 *
 * Slots keep what earlier requests had in them: overwrite them.
 *
 * Threads: safe from several threads at once, except for pm_bounce_pool_free(). @map and @unmap are
 * called by one thread at a time, without a lock.
 */
#ifndef PLUGMAP_SRC_BUFFERS_BOUNCE_POOL_H
#define PLUGMAP_SRC_BUFFERS_BOUNCE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "buffers/bounce_chunk.h"

typedef struct PmBouncePool PmBouncePool;

/* What pm_bounce_pool_take() does. */
typedef enum {
    PM_BOUNCE_NOW,  /* takes what is free */
    PM_BOUNCE_GROW, /* and registers more */
    PM_BOUNCE_WAIT, /* and waits for others to return theirs */
} PmBounceEffort;

PmBouncePool *pm_bounce_pool_new(const PmBouncePoolConfig *config);

/* Nobody may wait. Errors: PM_ERROR_BUSY (slots are in use): the pool stays. What fails to
 * unregister is logged. NULL does nothing. */
bool pm_bounce_pool_free(PmBouncePool *pool, GError **error);

/*
 * Takes a slot of at least @size bytes, not 0.
 * Errors: PM_ERROR_LIMIT (larger than the pool can become), PM_ERROR_BUSY (without PM_BOUNCE_WAIT:
 * others use it, or wait), PM_ERROR_MEMORY and those of @map and @unmap (no chunk is large enough,
 * and none could be added).
 */
bool pm_bounce_pool_take(PmBouncePool *pool, uint64_t size, PmBounceEffort effort,
                         PmBounceSlot *slot, GError **error);

/* Returns a slot. */
void pm_bounce_pool_put(PmBouncePool *pool, PmBounceSlot *slot);

/* For tests. Bytes registered, bytes of slots, requests that wait. */
uint64_t pm_bounce_pool_get_size(PmBouncePool *pool);
uint64_t pm_bounce_pool_get_used(PmBouncePool *pool);
uint64_t pm_bounce_pool_get_n_waiting(PmBouncePool *pool);

#endif
