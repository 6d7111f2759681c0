/* SPDX-License-Identifier: MIT */
/* Discard claims and discards in many threads. The linker wraps fallocate(), so that a test can
 * stop a discard in the middle. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/discard_policy.h>

#include "memory/ram_private.h"

#define PAGE      UINT64_C(4096)
#define N_THREADS 8
#define N_ROUNDS  2000
#define SIZE      (N_THREADS * PAGE)

int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);

static struct {
    PmRam *ram;
    pthread_mutex_t lock; /* protects the members below */
    pthread_cond_t changed;
    bool is_stopped; /* discards wait in the kernel */
    unsigned n_inside;
    atomic_uint n_pinned[N_THREADS];
    atomic_bool pinned_page_was_discarded;
} world;

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
    pthread_mutex_lock(&world.lock);
    world.n_inside++;
    pthread_cond_broadcast(&world.changed);
    while (world.is_stopped)
        pthread_cond_wait(&world.changed, &world.lock);
    world.n_inside--;
    pthread_mutex_unlock(&world.lock);
    for (uint64_t page = (uint64_t)offset / PAGE; page < (uint64_t)(offset + size) / PAGE; page++)
        if (atomic_load(&world.n_pinned[page]) != 0)
            atomic_store(&world.pinned_page_was_discarded, true);
    return __real_fallocate(fd, mode, offset, size);
}

static int make(void **state)
{
    (void)state;
    pthread_mutex_init(&world.lock, NULL);
    pthread_cond_init(&world.changed, NULL);
    world.ram = pm_ram_new(PM_RAM_MEMFD, SIZE, 0, NULL);
    atomic_store(&world.pinned_page_was_discarded, false);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    pm_ram_unref(world.ram);
    pthread_cond_destroy(&world.changed);
    pthread_mutex_destroy(&world.lock);
    return 0;
}

/* --- a claim waits for the discards that it excludes --- */

static void set_stopped(bool is_stopped)
{
    pthread_mutex_lock(&world.lock);
    world.is_stopped = is_stopped;
    pthread_cond_broadcast(&world.changed);
    pthread_mutex_unlock(&world.lock);
}

static void wait_until_inside(unsigned n)
{
    pthread_mutex_lock(&world.lock);
    while (world.n_inside < n)
        pthread_cond_wait(&world.changed, &world.lock);
    pthread_mutex_unlock(&world.lock);
}

static void *discard_first_page(void *user_data)
{
    bool *discarded = user_data;

    *discarded = pm_ram_discard(world.ram, 0, PAGE, NULL);
    return NULL;
}

typedef struct {
    PmDiscardClaimKind kind;
    atomic_bool claimed;
} Claimer;

static void *claim_first_page(void *user_data)
{
    Claimer *claimer = user_data;

    if (pm_ram_claim_discards(world.ram, claimer->kind, "the claimer", 0, PAGE, NULL) != 0)
        atomic_store(&claimer->claimed, true);
    return NULL;
}

static unsigned n_claims(void)
{
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    unsigned n = 0;

    while (pm_ram_next_discard_claim(world.ram, found.id, &found, NULL))
        n++;
    return n;
}

static void a_claim_waits_for_a_running_discard_of_its_range(void **state)
{
    static const PmDiscardClaimKind kinds[] = {PM_DISCARD_DISABLE,
                                               PM_DISCARD_DISABLE_UNCOORDINATED};

    (void)state;
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        Claimer claimer = {.kind = kinds[i]};
        bool discarded = false;
        PmDiscardClaim found = {.struct_size = sizeof(found)};
        pthread_t threads[2];

        set_stopped(true);
        pthread_create(&threads[0], NULL, discard_first_page, &discarded);
        wait_until_inside(1);
        pthread_create(&threads[1], NULL, claim_first_page, &claimer);
        /* It is made at once, so that no other discard begins, but does not return. */
        while (n_claims() == 0)
            sched_yield();
        assert_false(pm_ram_discard(world.ram, 0, PAGE, NULL));
        assert_false(atomic_load(&claimer.claimed));
        set_stopped(false);
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
        assert_true(discarded);
        assert_true(atomic_load(&claimer.claimed));
        assert_true(pm_ram_next_discard_claim(world.ram, 0, &found, NULL));
        assert_true(pm_ram_release_discards(world.ram, found.id, NULL));
    }
}

/* Returns only if nothing waits. */
static void claims_wait_for_no_other_discard(void **state)
{
    bool discarded = false;
    pthread_t thread;

    (void)state;
    set_stopped(true);
    pthread_create(&thread, NULL, discard_first_page, &discarded);
    wait_until_inside(1);
    assert_int_not_equal(
        pm_ram_claim_discards(world.ram, PM_DISCARD_DISABLE, "beside", PAGE, PAGE, NULL), 0);
    assert_int_not_equal(pm_ram_claim_discards(world.ram, PM_DISCARD_REQUIRE_UNCOORDINATED,
                                               "the balloon", 0, PAGE, NULL),
                         0);
    set_stopped(false);
    pthread_join(thread, NULL);
    assert_true(discarded);
}

/* --- everybody at once --- */

/* Pins a page at a time while it has disabled discards of it. */
static void *pin_and_unpin(void *user_data)
{
    uint64_t seed = (uintptr_t)user_data;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        uint64_t page = (seed + i) % N_THREADS;
        uint64_t id = pm_ram_claim_discards(world.ram, PM_DISCARD_DISABLE_UNCOORDINATED, "a pinner",
                                            page * PAGE, PAGE, NULL);

        if (id == 0)
            continue;
        atomic_fetch_add(&world.n_pinned[page], 1);
        atomic_fetch_sub(&world.n_pinned[page], 1);
        if (!pm_ram_release_discards(world.ram, id, NULL))
            atomic_store(&world.pinned_page_was_discarded, true);
    }
    return NULL;
}

static void *discard_pages(void *user_data)
{
    uint64_t seed = (uintptr_t)user_data;

    for (unsigned i = 0; i < N_ROUNDS; i++)
        (void)pm_ram_discard(world.ram, (seed + 3 * (uint64_t)i) % N_THREADS * PAGE, PAGE, NULL);
    return NULL;
}

static void no_thread_discards_what_another_has_claimed(void **state)
{
    pthread_t threads[N_THREADS];

    (void)state;
    for (uintptr_t i = 0; i < N_THREADS; i++)
        pthread_create(&threads[i], NULL, i % 2 == 0 ? pin_and_unpin : discard_pages, (void *)i);
    for (unsigned i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&world.pinned_page_was_discarded));
    assert_int_equal(n_claims(), 0);
    assert_null(world.ram->discards);
}

static atomic_uint n_disabling;
static atomic_uint n_requiring;
static atomic_bool both_succeeded;

/* Even threads disable, odd ones require: never both. */
static void *take_sides(void *user_data)
{
    bool disables = (uintptr_t)user_data % 2 == 0;
    atomic_uint *mine = disables ? &n_disabling : &n_requiring;
    atomic_uint *theirs = disables ? &n_requiring : &n_disabling;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        uint64_t id = pm_ram_claim_discards(
            world.ram, disables ? PM_DISCARD_DISABLE : PM_DISCARD_REQUIRE_COORDINATED, "a side", 0,
            SIZE, NULL);

        if (id == 0)
            continue;
        atomic_fetch_add(mine, 1);
        if (atomic_load(theirs) != 0)
            atomic_store(&both_succeeded, true);
        atomic_fetch_sub(mine, 1);
        (void)pm_ram_release_discards(world.ram, id, NULL);
    }
    return NULL;
}

static void conflicting_claims_of_many_threads_never_both_succeed(void **state)
{
    pthread_t threads[N_THREADS];

    (void)state;
    for (uintptr_t i = 0; i < N_THREADS; i++)
        pthread_create(&threads[i], NULL, take_sides, (void *)i);
    for (unsigned i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&both_succeeded));
    assert_int_equal(n_claims(), 0);
}

#define THREADS_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        THREADS_TEST(a_claim_waits_for_a_running_discard_of_its_range),
        THREADS_TEST(claims_wait_for_no_other_discard),
        THREADS_TEST(no_thread_discards_what_another_has_claimed),
        THREADS_TEST(conflicting_claims_of_many_threads_never_both_succeed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
