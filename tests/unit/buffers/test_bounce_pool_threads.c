/* SPDX-License-Identifier: MIT */
/* Bounce pool: requests of several threads. They wait for states, never for times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/plugmap.h>

#include "buffers/bounce_pool.h"
#include "util/random_util.h"

#define UNIT PM_BOUNCE_UNIT

static bool map(void *user_data, PmRam *ram, uint64_t *address, GError **error)
{
    bool *fails = user_data;

    *address = (uintptr_t)pm_ram_get_host(ram);
    if (*fails)
        g_set_error(error, PM_ERROR, PM_ERROR_LIMIT, "no region left");
    return !*fails;
}

static bool unmap(void *user_data, PmRam *ram, GError **error)
{
    (void)user_data;
    (void)ram;
    (void)error;
    return true;
}

static bool map_fails;

static PmBouncePool *pool_new(uint64_t size, uint64_t limit)
{
    const PmBouncePoolConfig config = {
        .size = size, .limit = limit, .map = map, .unmap = unmap, .user_data = &map_fails};

    map_fails = false;
    return pm_bounce_pool_new(&config);
}

static void pool_free(PmBouncePool *pool)
{
    assert_int_equal(pm_bounce_pool_get_used(pool), 0);
    assert_true(pm_bounce_pool_free(pool, NULL));
}

/* A request in a thread of its own. */
typedef struct {
    PmBouncePool *pool;
    uint64_t size;
    PmBounceSlot slot;
    GError *error;
    GThread *thread;
} Request;

static void *run_request(void *user_data)
{
    Request *request = user_data;

    (void)pm_bounce_pool_take(request->pool, request->size, PM_BOUNCE_WAIT, &request->slot,
                              &request->error);
    return NULL;
}

static void wait_for_line(PmBouncePool *pool, uint64_t n_waiting)
{
    while (pm_bounce_pool_get_n_waiting(pool) != n_waiting)
        g_thread_yield();
}

/* Returns once it waits. */
static void start(Request *request, PmBouncePool *pool, uint64_t size)
{
    uint64_t n_before = pm_bounce_pool_get_n_waiting(pool);

    *request = (Request){.pool = pool, .size = size};
    request->thread = g_thread_new("request", run_request, request);
    wait_for_line(pool, n_before + 1);
}

static void finish(Request *request)
{
    (void)g_thread_join(request->thread);
    assert_null(request->error);
    pm_bounce_pool_put(request->pool, &request->slot);
}

static PmBounceSlot take(PmBouncePool *pool, uint64_t size)
{
    PmBounceSlot slot;

    assert_true(pm_bounce_pool_take(pool, size, PM_BOUNCE_GROW, &slot, NULL));
    return slot;
}

static void a_request_waits_until_its_size_is_free(void **state)
{
    PmBouncePool *pool = pool_new(4 * UNIT, 4 * UNIT);
    PmBounceSlot held[] = {take(pool, 2 * UNIT), take(pool, 2 * UNIT)};
    Request request;

    (void)state;
    start(&request, pool, 3 * UNIT);
    pm_bounce_pool_put(pool, &held[0]);
    assert_int_equal(pm_bounce_pool_get_n_waiting(pool), 1);
    pm_bounce_pool_put(pool, &held[1]);
    assert_int_equal(pm_bounce_pool_get_n_waiting(pool), 0);
    finish(&request);
    pool_free(pool);
}

/* put() serves, so the line has its new state when it returns. */
static void a_large_request_is_not_overtaken(void **state)
{
    PmBouncePool *pool = pool_new(4 * UNIT, 4 * UNIT);
    PmBounceSlot held[] = {take(pool, 2 * UNIT), take(pool, 2 * UNIT)};
    PmBounceSlot slot;
    Request large;
    Request small;

    (void)state;
    start(&large, pool, 4 * UNIT);
    start(&small, pool, UNIT);
    pm_bounce_pool_put(pool, &held[0]);
    assert_int_equal(pm_bounce_pool_get_n_waiting(pool), 2);
    assert_false(pm_bounce_pool_take(pool, UNIT, PM_BOUNCE_NOW, &slot, NULL));
    assert_false(pm_bounce_pool_take(pool, UNIT, PM_BOUNCE_GROW, &slot, NULL));
    pm_bounce_pool_put(pool, &held[1]);
    assert_int_equal(pm_bounce_pool_get_n_waiting(pool), 1);
    finish(&large);
    finish(&small);
    pool_free(pool);
}

static void several_requests_are_served_at_once(void **state)
{
    PmBouncePool *pool = pool_new(4 * UNIT, 4 * UNIT);
    PmBounceSlot held = take(pool, 4 * UNIT);
    Request requests[4];

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        start(&requests[i], pool, (i == 3 ? 2 : 1) * UNIT);
    pm_bounce_pool_put(pool, &held);
    assert_int_equal(pm_bounce_pool_get_n_waiting(pool), 1);
    for (unsigned i = 0; i < 4; i++)
        finish(&requests[i]);
    pool_free(pool);
}

/* The next ones need not wait for it any more. */
static void a_request_that_fails_makes_way(void **state)
{
    PmBouncePool *pool = pool_new(4 * UNIT, 64 * UNIT);
    PmBounceSlot held = take(pool, UNIT);
    Request large = {.pool = pool, .size = 32 * UNIT};
    Request small = {.pool = pool, .size = UNIT};

    (void)state;
    map_fails = true;
    large.thread = g_thread_new("large", run_request, &large);
    small.thread = g_thread_new("small", run_request, &small);
    (void)g_thread_join(large.thread);
    assert_true(g_error_matches(large.error, PM_ERROR, PM_ERROR_LIMIT));
    g_clear_error(&large.error);
    finish(&small);
    pm_bounce_pool_put(pool, &held);
    pool_free(pool);
}

/* --- many --- */

#define N_THREADS 6

typedef struct {
    PmBouncePool *pool;
    guint32 seed;
    unsigned n_steps;
    bool is_wrong;
} Worker;

static bool has_only(const PmBounceSlot *slot, int value)
{
    const unsigned char *bytes = slot->host;

    return bytes[0] == value && bytes[slot->size / 2] == value && bytes[slot->size - 1] == value;
}

static void fill(const PmBounceSlot *slot, int value)
{
    unsigned char *bytes = slot->host;

    bytes[0] = bytes[slot->size / 2] = bytes[slot->size - 1] = (unsigned char)value;
}

static void *work(void *user_data)
{
    Worker *worker = user_data;
    GRand *random = g_rand_new_with_seed(worker->seed);

    for (unsigned step = 0; step < worker->n_steps; step++) {
        uint64_t size = 1 + g_rand_int(random) % (step % 7 == 0 ? 16 * UNIT : 3 * UNIT);
        PmBounceEffort effort = step % 5 == 0 ? PM_BOUNCE_GROW : PM_BOUNCE_WAIT;
        int value = (int)(g_rand_int(random) & 0xff);
        PmBounceSlot slot;

        if (!pm_bounce_pool_take(worker->pool, size, effort, &slot, NULL)) {
            worker->is_wrong |= effort == PM_BOUNCE_WAIT;
            continue;
        }
        fill(&slot, value);
        if (step % 3 == 0)
            g_thread_yield();
        worker->is_wrong |= !has_only(&slot, value);
        pm_bounce_pool_put(worker->pool, &slot);
    }
    g_rand_free(random);
    return NULL;
}

/* Of 16 units at most, so that a request for all of them has to unregister chunks. */
static void every_waiting_request_gets_memory_of_its_own(void **state)
{
    PmBouncePool *pool = pool_new(UNIT, 16 * UNIT);
    guint32 seed = random_seed("bounce_pool");
    Worker workers[N_THREADS];
    GThread *threads[N_THREADS];

    (void)state;
    for (unsigned i = 0; i < N_THREADS; i++) {
        workers[i] = (Worker){.pool = pool, .seed = seed + i, .n_steps = random_steps(5000)};
        threads[i] = g_thread_new("worker", work, &workers[i]);
    }
    for (unsigned i = 0; i < N_THREADS; i++)
        (void)g_thread_join(threads[i]);
    for (unsigned i = 0; i < N_THREADS; i++)
        assert_false(workers[i].is_wrong);
    assert_int_equal(pm_bounce_pool_get_n_waiting(pool), 0);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_waits_until_its_size_is_free),
        cmocka_unit_test(a_large_request_is_not_overtaken),
        cmocka_unit_test(several_requests_are_served_at_once),
        cmocka_unit_test(a_request_that_fails_makes_way),
        cmocka_unit_test(every_waiting_request_gets_memory_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
