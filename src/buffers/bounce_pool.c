/* SPDX-License-Identifier: MIT */
#include "buffers/bounce_pool.h"

#include <pthread.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/log.h"
#include "buffers/bounce_chunk.h"

/* A request in line; on its thread's stack. */
typedef struct {
    uint64_t size;
    PmBounceSlot *slot;
    bool is_served;
    GError *error;       /* why the pool could not grow for it */
    pthread_cond_t turn; /* it was served, or is the first now, or has reason to look again */
    GList link;
} Request;

struct PmBouncePool {
    PmBouncePoolConfig config;
    pthread_mutex_t lock; /* not GMutex, which the thread sanitizer misses */
    GPtrArray *chunks;    /* of PmBounceChunk */
    uint64_t size;
    uint64_t used;
    GQueue line;
    bool is_growing; /* the first in line does, and has released the lock */
};

static uint64_t round_up(uint64_t size, uint64_t unit)
{
    return (size + unit - 1) & ~(unit - 1);
}

PmBouncePool *pm_bounce_pool_new(const PmBouncePoolConfig *config)
{
    PmBouncePool *pool = g_new0(PmBouncePool, 1);

    pool->config = *config;
    pool->config.alignment = MAX(config->alignment, PM_BOUNCE_UNIT);
    pool->config.size = round_up(config->size, pool->config.alignment);
    pool->config.limit = round_up(MAX(config->limit, config->size), pool->config.alignment);
    pthread_mutex_init(&pool->lock, NULL);
    pool->chunks = g_ptr_array_new();
    g_queue_init(&pool->line);
    return pool;
}

static void leave_chunk(PmBouncePool *pool, PmBounceChunk *chunk)
{
    g_autoptr(GError) error = NULL;

    if (!pm_bounce_chunk_unmap(chunk, &pool->config, &error))
        pm_log(G_LOG_LEVEL_WARNING, "cannot unregister memory of the bounce pool: %s",
               error->message);
    pm_bounce_chunk_free(chunk);
}

bool pm_bounce_pool_free(PmBouncePool *pool, GError **error)
{
    if (pool == NULL)
        return true;
    if (pool->used > 0) {
        g_autofree char *used = pm_size_format(pool->used);

        return pm_fail(error, PM_ERROR_BUSY,
                       "%s of the bounce pool are in use: finish all requests first", used);
    }
    for (guint i = 0; i < pool->chunks->len; i++)
        leave_chunk(pool, pool->chunks->pdata[i]);
    g_ptr_array_unref(pool->chunks);
    pthread_mutex_destroy(&pool->lock);
    g_free(pool);
    return true;
}

/* --- who gets what; the lock is held --- */

static bool find_slot(PmBouncePool *pool, uint64_t size, PmBounceSlot *slot)
{
    for (guint i = 0; i < pool->chunks->len; i++) {
        if (pm_bounce_chunk_take(pool->chunks->pdata[i], size, slot)) {
            pool->used += size;
            return true;
        }
    }
    return false;
}

static Request *first_in_line(PmBouncePool *pool)
{
    return g_queue_peek_head(&pool->line);
}

static void leave_line(PmBouncePool *pool, Request *request)
{
    g_queue_unlink(&pool->line, &request->link);
}

/* The first ones that fit, and nobody after one that does not. While the first one grows the pool,
 * it stays the first, so that nobody else grows it. */
static void serve(PmBouncePool *pool)
{
    Request *request;

    if (pool->is_growing)
        return;
    while ((request = first_in_line(pool)) != NULL &&
           find_slot(pool, request->size, request->slot)) {
        leave_line(pool, request);
        request->is_served = true;
        pthread_cond_signal(&request->turn);
    }
    if (request != NULL)
        pthread_cond_signal(&request->turn);
}

/* --- growth --- */

static uint64_t size_of(const PmBounceChunk *chunk)
{
    return pm_ram_get_size(chunk->ram);
}

static uint64_t largest_chunk(const PmBouncePool *pool)
{
    uint64_t largest = 0;

    for (guint i = 0; i < pool->chunks->len; i++) {
        const PmBounceChunk *chunk = pool->chunks->pdata[i];

        if (!chunk->is_unknown)
            largest = MAX(largest, size_of(chunk));
    }
    return largest;
}

/* The one to unregister: first one that nobody can use; then, if none is large enough, one that
 * nobody does use. */
static PmBounceChunk *remove_idle_chunk(PmBouncePool *pool, uint64_t needed)
{
    bool may_be_usable = needed > largest_chunk(pool);
    guint found = pool->chunks->len;

    for (guint i = pool->chunks->len; i-- > 0;) {
        const PmBounceChunk *chunk = pool->chunks->pdata[i];

        if (chunk->is_unknown)
            return g_ptr_array_remove_index(pool->chunks, i);
        if (may_be_usable && pm_bounce_chunk_is_idle(chunk))
            found = i;
    }
    return found < pool->chunks->len ? g_ptr_array_remove_index(pool->chunks, found) : NULL;
}

static void begin_growth(PmBouncePool *pool)
{
    pool->is_growing = true;
    pthread_mutex_unlock(&pool->lock);
}

static void end_growth(PmBouncePool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_growing = false;
}

static void add_chunk(PmBouncePool *pool, uint64_t size, GError **error)
{
    PmBounceChunk *chunk;

    begin_growth(pool);
    chunk = pm_bounce_chunk_new(&pool->config, size, error);
    end_growth(pool);
    if (chunk == NULL)
        return;
    g_ptr_array_add(pool->chunks, chunk);
    pool->size += size;
}

static void drop_chunk(PmBouncePool *pool, PmBounceChunk *chunk, GError **error)
{
    bool dropped;

    begin_growth(pool);
    dropped = pm_bounce_chunk_unmap(chunk, &pool->config, error);
    end_growth(pool);
    if (!dropped) {
        g_ptr_array_add(pool->chunks, chunk);
        return;
    }
    pool->size -= size_of(chunk);
    pm_bounce_chunk_free(chunk);
}

/* One step towards room for the first in line, by its thread. Releases the lock, so that others can
 * return slots. Returns false if all it can do is to wait. */
static bool grow(PmBouncePool *pool, Request *request)
{
    uint64_t needed = round_up(request->size, pool->config.alignment);
    uint64_t left = pool->config.limit - pool->size;
    PmBounceChunk *idle;

    if (request->error != NULL)
        return false;
    if (needed <= left) {
        add_chunk(pool, MIN(left, MAX(needed, MAX(pool->size, pool->config.size))),
                  &request->error);
        return true;
    }
    idle = remove_idle_chunk(pool, needed);
    if (idle == NULL)
        return false;
    drop_chunk(pool, idle, &request->error);
    return true;
}

/* --- taking --- */

/* Whether waiting may help: a chunk is large enough, or there will be room for one. */
static bool may_fit(const PmBouncePool *pool, const Request *request)
{
    return request->size <= largest_chunk(pool) || request->error == NULL;
}

static bool fail_busy(const PmBouncePool *pool, uint64_t size, GError **error)
{
    g_autofree char *wanted = pm_size_format(size);
    g_autofree char *used = pm_size_format(pool->used);
    g_autofree char *all = pm_size_format(pool->size);

    return pm_fail(
        error, PM_ERROR_BUSY,
        "no room for %s in the bounce pool, of which %s of %s are in use, or others wait "
        "for it: try again when a request has finished",
        wanted, used, all);
}

/* Returns false if it does not fit; sets @error only if it never will. */
static bool wait_in_line(PmBouncePool *pool, Request *request, PmBounceEffort effort,
                         GError **error)
{
    while (!request->is_served) {
        bool is_first = first_in_line(pool) == request;

        if (is_first && grow(pool, request)) {
            serve(pool);
        } else if (is_first && !may_fit(pool, request)) {
            g_propagate_error(error, g_steal_pointer(&request->error));
            return false;
        } else if (is_first && effort != PM_BOUNCE_WAIT) {
            return fail_busy(pool, request->size, error);
        } else {
            pthread_cond_wait(&request->turn, &pool->lock);
        }
    }
    return true;
}

static bool stand_in_line(PmBouncePool *pool, uint64_t size, PmBounceEffort effort,
                          PmBounceSlot *slot, GError **error)
{
    Request request = {.size = size, .slot = slot};
    bool served;

    pthread_cond_init(&request.turn, NULL);
    request.link.data = &request;
    g_queue_push_tail_link(&pool->line, &request.link);
    served = wait_in_line(pool, &request, effort, error);
    if (!served) {
        leave_line(pool, &request);
        serve(pool);
    }
    pthread_cond_destroy(&request.turn);
    g_clear_error(&request.error);
    return served;
}

static bool take(PmBouncePool *pool, uint64_t size, PmBounceEffort effort, PmBounceSlot *slot,
                 GError **error)
{
    if (g_queue_is_empty(&pool->line)) {
        if (find_slot(pool, size, slot))
            return true;
        if (effort != PM_BOUNCE_NOW)
            return stand_in_line(pool, size, effort, slot, error);
    } else if (effort == PM_BOUNCE_WAIT) {
        return stand_in_line(pool, size, effort, slot, error);
    }
    return fail_busy(pool, size, error);
}

bool pm_bounce_pool_take(PmBouncePool *pool, uint64_t size, PmBounceEffort effort,
                         PmBounceSlot *slot, GError **error)
{
    bool taken;

    slot->chunk = NULL;
    if (size > pool->config.limit) {
        g_autofree char *wanted = pm_size_format(size);
        g_autofree char *limit = pm_size_format(pool->config.limit);

        return pm_fail(error, PM_ERROR_LIMIT,
                       "a request of %s does not fit into the bounce pool, which has at most %s: "
                       "raise PmBufferRegistryConfig.bounce_limit, or register the buffers",
                       wanted, limit);
    }
    pthread_mutex_lock(&pool->lock);
    taken = take(pool, round_up(size, PM_BOUNCE_UNIT), effort, slot, error);
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

void pm_bounce_pool_put(PmBouncePool *pool, PmBounceSlot *slot)
{
    pthread_mutex_lock(&pool->lock);
    pm_bounce_chunk_put(slot);
    pool->used -= slot->size;
    serve(pool);
    pthread_mutex_unlock(&pool->lock);
    slot->chunk = NULL;
}

/* --- for tests --- */

static uint64_t read_locked(PmBouncePool *pool, const uint64_t *value)
{
    uint64_t read;

    pthread_mutex_lock(&pool->lock);
    read = *value;
    pthread_mutex_unlock(&pool->lock);
    return read;
}

uint64_t pm_bounce_pool_get_size(PmBouncePool *pool)
{
    return read_locked(pool, &pool->size);
}

uint64_t pm_bounce_pool_get_used(PmBouncePool *pool)
{
    return read_locked(pool, &pool->used);
}

uint64_t pm_bounce_pool_get_n_waiting(PmBouncePool *pool)
{
    uint64_t n_waiting;

    pthread_mutex_lock(&pool->lock);
    n_waiting = pool->line.length;
    pthread_mutex_unlock(&pool->lock);
    return n_waiting;
}
