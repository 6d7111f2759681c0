/* SPDX-License-Identifier: MIT */
/* Threads that populate memory. The linker wraps madvise() and pthread_create() with the functions
 * here, so that a test sees which thread populates, and sets the result. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include <plugmap/ram.h>
#include <plugmap/size.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PIECE    (2 * PM_MIB)
#define N_PIECES 8

/* A test that waits longer fails. */
#define PATIENCE_S 30

int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);

static struct {
    PmRam *ram;
    pthread_t caller;
    bool (*before_populate)(void); /* false: this call fails with ENOMEM */
    bool no_threads;               /* creating them fails */
    void *(*start)(void *);
    unsigned n_made;
    atomic_uint n_calls; /* to populate */
    atomic_uint n_with_signals;
    pthread_mutex_t lock; /* protects the members below */
    pthread_cond_t changed;
    unsigned n_met;
    unsigned n_ended;
} world;

int __wrap_madvise(void *address, size_t size, int advice)
{
    if (advice == MADV_POPULATE_WRITE && size != 0) {
        atomic_fetch_add(&world.n_calls, 1);
        if (!world.before_populate()) {
            errno = ENOMEM;
            return -1;
        }
    }
    return __real_madvise(address, size, advice);
}

static void add(unsigned *counter)
{
    pthread_mutex_lock(&world.lock);
    (*counter)++;
    pthread_cond_broadcast(&world.changed);
    pthread_mutex_unlock(&world.lock);
}

/* Returns whether the counter reached the value. */
static bool wait_for(const unsigned *counter, unsigned value)
{
    struct timespec end;
    bool reached;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&world.lock);
    while (*counter < value &&
           pthread_cond_timedwait(&world.changed, &world.lock, &end) != ETIMEDOUT)
        ;
    reached = *counter >= value;
    pthread_mutex_unlock(&world.lock);
    return reached;
}

static void *start(void *argument)
{
    void *result = world.start(argument);

    add(&world.n_ended);
    return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start_of_thread)(void *), void *argument)
{
    if (world.no_threads)
        return EAGAIN;
    /* Written before the threads read it. */
    if (world.n_made++ == 0)
        world.start = start_of_thread;
    return __real_pthread_create(thread, attributes, start, argument);
}

static int make(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    world.caller = pthread_self();
    pthread_mutex_init(&world.lock, NULL);
    pthread_cond_init(&world.changed, NULL);
    world.ram = pm_ram_new(PM_RAM_ANONYMOUS, N_PIECES * PIECE, PIECE, NULL);
    return world.ram != NULL ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    pm_ram_unref(world.ram);
    pthread_cond_destroy(&world.changed);
    pthread_mutex_destroy(&world.lock);
    return 0;
}

static bool populate(unsigned n_threads, GError **error)
{
    return pm_ram_populate(world.ram, 0, N_PIECES * PIECE, n_threads, error);
}

static void assert_resident(uint64_t expected)
{
    uint64_t bytes = 0;

    assert_true(pm_ram_resident(world.ram, 0, N_PIECES * PIECE, &bytes, NULL));
    assert_int_equal(bytes, expected);
}

/* Blocks until four threads have arrived. */
static bool meet_three_others(void)
{
    add(&world.n_met);
    return wait_for(&world.n_met, 4);
}

static void requested_number_of_threads_populate_concurrently(void **state)
{
    (void)state;
    world.before_populate = meet_three_others;
    assert_true(populate(4, NULL));
    assert_int_equal(world.n_made, 3);
    assert_int_equal(world.n_ended, 3);
    assert_int_equal(world.n_calls, N_PIECES);
    assert_resident(N_PIECES * PIECE);
}

static bool go_on(void)
{
    return true;
}

static void caller_does_all_if_creating_threads_fails(void **state)
{
    (void)state;
    world.before_populate = go_on;
    world.no_threads = true;
    assert_true(populate(4, NULL));
    assert_int_equal(world.n_calls, N_PIECES);
    assert_resident(N_PIECES * PIECE);
}

/* --- resident memory --- */

static void resident_memory_needs_no_thread_and_one_page(void **state)
{
    (void)state;
    world.before_populate = go_on;
    memset(pm_ram_get_host(world.ram), 1, N_PIECES * PIECE);
    assert_true(populate(4, NULL));
    assert_int_equal(world.n_made, 0);
    assert_int_equal(world.n_calls, 1);
    assert_int_equal(*(char *)pm_ram_get_host(world.ram), 1);
}

static void work_begins_at_the_first_absent_page(void **state)
{
    char *memory = pm_ram_get_host(world.ram);

    (void)state;
    world.before_populate = go_on;
    memset(memory, 1, N_PIECES * PIECE);
    assert_true(pm_ram_discard(world.ram, 5 * PIECE + 4096, 4096, NULL));
    assert_true(populate(1, NULL));
    /* For the first page, and the last three pieces. */
    assert_int_equal(world.n_calls, 1 + 3);
    assert_resident(N_PIECES * PIECE);
}

static void one_piece_needs_no_thread(void **state)
{
    (void)state;
    world.before_populate = go_on;
    assert_true(pm_ram_populate(world.ram, PIECE, PIECE, 4, NULL));
    assert_int_equal(world.n_made, 0);
    assert_int_equal(world.n_calls, 1);
}

static bool look_at_signals(void)
{
    const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGRTMIN};
    sigset_t blocked;

    (void)meet_three_others();
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (pthread_equal(pthread_self(), world.caller))
        return sigismember(&blocked, SIGUSR1) == 0 && sigismember(&blocked, SIGUSR2) == 1;
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        atomic_fetch_add(&world.n_with_signals, sigismember(&blocked, signals[i]) != 1);
    return true;
}

static void threads_block_signals(void **state)
{
    sigset_t usr2;
    sigset_t before;
    sigset_t after;

    (void)state;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &usr2, &before);
    world.before_populate = look_at_signals;
    assert_true(populate(4, NULL));
    assert_int_equal(world.n_with_signals, 0);
    pthread_sigmask(SIG_SETMASK, &before, &after);
    assert_int_equal(sigismember(&after, SIGUSR1), 0);
    assert_int_equal(sigismember(&after, SIGUSR2), 1);
}

/* While the caller populates a piece, the other thread fails and exits. */
static bool fail_but_for_the_caller(void)
{
    if (!pthread_equal(pthread_self(), world.caller)) {
        (void)wait_for(&world.n_met, 1);
        return false;
    }
    add(&world.n_met);
    return wait_for(&world.n_ended, 1);
}

static void all_threads_stop_after_an_error(void **state)
{
    g_autoptr(GError) error = NULL;

    (void)state;
    world.before_populate = fail_but_for_the_caller;
    assert_false(populate(2, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    assert_int_equal(world.n_calls, 2);
    assert_resident(PIECE);
}

#define THREADS_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        THREADS_TEST(requested_number_of_threads_populate_concurrently),
        THREADS_TEST(caller_does_all_if_creating_threads_fails),
        THREADS_TEST(threads_block_signals),
        THREADS_TEST(all_threads_stop_after_an_error),
        THREADS_TEST(resident_memory_needs_no_thread_and_one_page),
        THREADS_TEST(work_begins_at_the_first_absent_page),
        THREADS_TEST(one_piece_needs_no_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
