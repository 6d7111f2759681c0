/* SPDX-License-Identifier: MIT */
/* PmDiscardPolicy: claims on all RAM of a VM. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/discard_policy.h>

#include "memory/ram_private.h"
#include "util/allocation_util.h"
#include "util/fork_util.h"

#define PAGE   UINT64_C(4096)
#define SIZE   (4 * PAGE)
#define N_RAMS 3

static PmDiscardPolicy *policy;
static PmRam *rams[N_RAMS];

static int make(void **state)
{
    (void)state;
    policy = pm_discard_policy_new();
    for (unsigned i = 0; i < N_RAMS; i++)
        rams[i] = pm_ram_new(PM_RAM_MEMFD, SIZE, 0, NULL);
    return 0;
}

/* Whatever a test did, freeing the policy leaves no claim of it. */
static int drop(void **state)
{
    (void)state;
    g_clear_pointer(&policy, pm_discard_policy_unref);
    for (unsigned i = 0; i < N_RAMS; i++) {
        assert_true(g_atomic_ref_count_compare(&rams[i]->references, 1));
        pm_ram_unref(rams[i]);
    }
    return 0;
}

static void add(unsigned i)
{
    assert_true(pm_discard_policy_add(policy, rams[i], NULL));
}

static void add_all(void)
{
    for (unsigned i = 0; i < N_RAMS; i++)
        add(i);
}

static uint64_t claim(PmDiscardClaimKind kind, const char *owner)
{
    return pm_discard_policy_claim(policy, kind, owner, NULL);
}

static unsigned n_claims(unsigned i)
{
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    unsigned n = 0;

    while (pm_ram_next_discard_claim(rams[i], found.id, &found, NULL))
        n++;
    return n;
}

static void assert_n_claims(unsigned first, unsigned second, unsigned third)
{
    assert_int_equal(n_claims(0), first);
    assert_int_equal(n_claims(1), second);
    assert_int_equal(n_claims(2), third);
}

static void assert_error(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, \"%s\"; expected code %d, \"%s\"", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}

static void a_claim_covers_all_of_every_ram(void **state)
{
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    uint64_t id;

    (void)state;
    add_all();
    id = claim(PM_DISCARD_DISABLE_UNCOORDINATED, "encryption");
    for (unsigned i = 0; i < N_RAMS; i++) {
        g_autofree char *owner = NULL;

        assert_true(pm_ram_next_discard_claim(rams[i], 0, &found, &owner));
        assert_int_equal(found.id, id);
        assert_int_equal(found.kind, PM_DISCARD_DISABLE_UNCOORDINATED);
        assert_int_equal(found.offset, 0);
        assert_int_equal(found.size, SIZE);
        assert_string_equal(owner, "encryption");
        assert_false(pm_ram_discard(rams[i], SIZE - PAGE, PAGE, NULL));
    }
}

static void ram_added_later_gets_every_claim(void **state)
{
    (void)state;
    add(0);
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "one"), 0);
    assert_int_not_equal(claim(PM_DISCARD_DISABLE_UNCOORDINATED, "another"), 0);
    add(1);
    assert_n_claims(2, 2, 0);
    assert_false(pm_ram_discard(rams[1], 0, PAGE, NULL));
}

/* The policy's claim is the older one, although the RAM's own was there before. */
static void the_oldest_claim_is_named_on_ram_added_later(void **state)
{
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "encryption"), 0);
    assert_int_not_equal(
        pm_ram_claim_discards(rams[0], PM_DISCARD_DISABLE, "the ring", 0, SIZE, NULL), 0);
    add(0);
    assert_false(pm_ram_discard(rams[0], 0, PAGE, &error));
    assert_error(&error, PM_ERROR_BUSY, "encryption disables all discards");
}

static void a_conflict_on_one_ram_refuses_the_claim_on_all(void **state)
{
    g_autoptr(GError) error = NULL;

    (void)state;
    add_all();
    assert_int_not_equal(pm_ram_claim_discards(rams[2], PM_DISCARD_REQUIRE_COORDINATED,
                                               "virtio-mem", SIZE - 1, 1, NULL),
                         0);
    assert_int_equal(pm_discard_policy_claim(policy, PM_DISCARD_DISABLE, "encryption", &error), 0);
    assert_error(&error, PM_ERROR_BUSY, "virtio-mem requires coordinated discards");
    assert_n_claims(0, 0, 1);
    assert_int_not_equal(claim(PM_DISCARD_DISABLE_UNCOORDINATED, "encryption"), 0);
    assert_n_claims(1, 1, 2);
}

static void ram_with_a_conflicting_claim_is_not_added(void **state)
{
    g_autoptr(GError) error = NULL;
    uint64_t id = pm_ram_claim_discards(rams[1], PM_DISCARD_REQUIRE_UNCOORDINATED, "the balloon", 0,
                                        PAGE, NULL);

    (void)state;
    add(0);
    assert_int_not_equal(claim(PM_DISCARD_REQUIRE_COORDINATED, "one"), 0);
    assert_int_not_equal(claim(PM_DISCARD_DISABLE_UNCOORDINATED, "encryption"), 0);
    assert_false(pm_discard_policy_add(policy, rams[1], &error));
    assert_error(&error, PM_ERROR_BUSY, "the balloon requires uncoordinated discards of 4K");
    assert_n_claims(2, 1, 0);
    assert_false(pm_discard_policy_remove(policy, rams[1], NULL));
    assert_true(pm_ram_release_discards(rams[1], id, NULL));
    add(1);
    assert_n_claims(2, 2, 0);
}

static void managed_ram_is_not_disabled(void **state)
{
    g_autoptr(PmDiscardManager) manager = pm_discard_manager_new(rams[1], PAGE, NULL);
    g_autoptr(GError) error = NULL;

    assert_non_null(manager);
    (void)state;
    add_all();
    assert_int_equal(pm_discard_policy_claim(policy, PM_DISCARD_DISABLE, "encryption", &error), 0);
    assert_error(&error, PM_ERROR_BUSY, "its discard manager");
    assert_n_claims(0, 0, 0);
}

static void claims_of_a_policy_without_ram_conflict(void **state)
{
    g_autoptr(GError) error = NULL;
    uint64_t id = claim(PM_DISCARD_DISABLE, "encryption");

    (void)state;
    assert_int_equal(
        pm_discard_policy_claim(policy, PM_DISCARD_REQUIRE_UNCOORDINATED, "the balloon", &error),
        0);
    assert_error(&error, PM_ERROR_BUSY, "encryption has claimed them (disable)");
    assert_true(pm_discard_policy_release(policy, id, NULL));
    assert_int_not_equal(claim(PM_DISCARD_REQUIRE_UNCOORDINATED, "the balloon"), 0);
}

static void a_released_claim_is_gone_everywhere(void **state)
{
    uint64_t id;

    (void)state;
    add_all();
    id = claim(PM_DISCARD_DISABLE, "one");
    assert_int_not_equal(claim(PM_DISCARD_DISABLE_UNCOORDINATED, "another"), 0);
    assert_true(pm_discard_policy_release(policy, id, NULL));
    assert_n_claims(1, 1, 1);
}

static void releasing_twice_is_an_error(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PmDiscardPolicy) other = pm_discard_policy_new();
    uint64_t id = claim(PM_DISCARD_DISABLE, "one");

    (void)state;
    add_all();
    assert_false(pm_discard_policy_release(other, id, &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "made by another one");
    assert_true(pm_discard_policy_release(policy, id, NULL));
    assert_false(pm_discard_policy_release(policy, id, &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "released before");
}

static void claims_of_a_policy_are_released_by_it_only(void **state)
{
    g_autoptr(GError) error = NULL;
    uint64_t id;

    (void)state;
    add(0);
    id = claim(PM_DISCARD_DISABLE, "encryption");
    assert_false(pm_ram_release_discards(rams[0], id, &error));
    assert_error(&error, PM_ERROR_PERMISSION, "belongs to encryption");
    assert_n_claims(1, 0, 0);
}

static void removed_ram_is_free_of_the_policy(void **state)
{
    g_autoptr(GError) error = NULL;

    (void)state;
    add_all();
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "one"), 0);
    assert_int_not_equal(claim(PM_DISCARD_DISABLE_UNCOORDINATED, "another"), 0);
    assert_true(pm_discard_policy_remove(policy, rams[0], NULL));
    assert_n_claims(0, 2, 2);
    assert_true(pm_ram_discard(rams[0], 0, SIZE, NULL));
    assert_false(pm_discard_policy_remove(policy, rams[0], &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "was not added");
    assert_true(g_atomic_ref_count_compare(&rams[0]->references, 1));
}

static void ram_is_added_once(void **state)
{
    g_autoptr(GError) error = NULL;

    (void)state;
    add(0);
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "one"), 0);
    assert_false(pm_discard_policy_add(policy, rams[0], &error));
    assert_error(&error, PM_ERROR_BUSY, "was already added");
    assert_n_claims(1, 0, 0);
}

static void freeing_a_policy_releases_its_claims(void **state)
{
    (void)state;
    add_all();
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "one"), 0);
    assert_int_not_equal(
        pm_ram_claim_discards(rams[0], PM_DISCARD_DISABLE, "the ring", 0, PAGE, NULL), 0);
    pm_discard_policy_unref(pm_discard_policy_ref(policy));
    assert_n_claims(2, 1, 1);
    g_clear_pointer(&policy, pm_discard_policy_unref);
    assert_n_claims(1, 0, 0);
}

static void note(void *user_data)
{
    *(bool *)user_data = true;
}

/* The caller may drop its reference at any time. */
static void a_policy_keeps_its_ram(void **state)
{
    static char memory[2 * 4096] __attribute__((aligned(4096)));
    bool destroyed = false;
    const PmRamAdoption adoption = {.struct_size = sizeof(adoption),
                                    .host = memory,
                                    .size = sizeof(memory),
                                    .destroy = note,
                                    .user_data = &destroyed};
    PmRam *ram = pm_ram_adopt(&adoption, NULL);

    (void)state;
    assert_true(pm_discard_policy_add(policy, ram, NULL));
    pm_ram_unref(ram);
    assert_false(destroyed);
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "one"), 0);
    assert_true(pm_discard_policy_remove(policy, ram, NULL));
    assert_true(destroyed);
}

static void discards_of_device_memory_are_not_required(void **state)
{
    const PmRamAdoption adoption = {.struct_size = sizeof(adoption),
                                    .host = pm_ram_get_host(rams[2]),
                                    .size = SIZE,
                                    .device_memory = true};
    g_autoptr(PmRam) bar = pm_ram_adopt(&adoption, NULL);
    g_autoptr(GError) error = NULL;
    uint64_t id;

    (void)state;
    add(0);
    id = claim(PM_DISCARD_REQUIRE_COORDINATED, "one");
    assert_false(pm_discard_policy_add(policy, bar, &error));
    assert_error(&error, PM_ERROR_UNSUPPORTED, "device memory");
    assert_true(pm_discard_policy_release(policy, id, NULL));
    assert_true(pm_discard_policy_add(policy, bar, NULL));
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "one"), 0);
}

static void invalid_claims_are_refused(void **state)
{
    g_autoptr(GError) error = NULL;

    (void)state;
    add_all();
    assert_int_equal(pm_discard_policy_claim(policy, (PmDiscardClaimKind)4, "one", &error), 0);
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "invalid kind 4");
    assert_int_equal(pm_discard_policy_claim(policy, PM_DISCARD_DISABLE, "", &error), 0);
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "owner");
    assert_n_claims(0, 0, 0);
}

/* --- failures --- */

/* Anew, because what was allocated before a failure stays allocated. */
static void start_again(void)
{
    (void)drop(NULL);
    (void)make(NULL);
}

static bool claim_with(unsigned n_allocations, GError **error)
{
    uint64_t id;

    start_again();
    add_all();
    allocations_end_after(n_allocations);
    id = pm_discard_policy_claim(policy, PM_DISCARD_DISABLE, "one", error);
    allocations_go_on();
    return id != 0;
}

static void every_failing_allocation_refuses_the_claim_on_all(void **state)
{
    g_autoptr(GError) error = NULL;
    unsigned n_failed;

    (void)state;
    for (n_failed = 0; !claim_with(n_failed, &error); n_failed++) {
        assert_error(&error, PM_ERROR_MEMORY, "out of memory");
        assert_n_claims(0, 0, 0);
        assert_false(pm_discard_policy_release(policy, pm_discard_claim_new_id() - 1, NULL));
    }
    assert_true(n_failed >= 2 * (1 + N_RAMS));
    assert_n_claims(1, 1, 1);
}

static bool add_with(unsigned n_allocations, GError **error)
{
    bool added;

    start_again();
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "one"), 0);
    assert_int_not_equal(claim(PM_DISCARD_DISABLE_UNCOORDINATED, "another"), 0);
    allocations_end_after(n_allocations);
    added = pm_discard_policy_add(policy, rams[0], error);
    allocations_go_on();
    return added;
}

static void every_failing_allocation_refuses_the_ram(void **state)
{
    g_autoptr(GError) error = NULL;
    unsigned n_failed;

    (void)state;
    for (n_failed = 0; !add_with(n_failed, &error); n_failed++) {
        assert_error(&error, PM_ERROR_MEMORY, "out of memory");
        assert_n_claims(0, 0, 0);
        assert_true(g_atomic_ref_count_compare(&rams[0]->references, 1));
    }
    assert_true(n_failed >= 5);
    assert_n_claims(2, 0, 0);
}

/* --- fork and threads --- */

static uint64_t id_of_the_parent;

static bool use_the_policy_in_the_child(void *user_data)
{
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    GError *errors[2] = {NULL, NULL};
    uint64_t id = pm_discard_policy_claim(policy, PM_DISCARD_DISABLE, "the child", &errors[0]);
    bool added = pm_discard_policy_add(policy, rams[1], &errors[1]);
    bool refused = is_refused(id != 0, errors[0]) && is_refused(added, errors[1]);

    (void)user_data;
    if (!refused || !pm_discard_policy_release(policy, id_of_the_parent, NULL) ||
        pm_ram_next_discard_claim(rams[0], 0, &found, NULL) ||
        !pm_discard_policy_remove(policy, rams[0], NULL))
        return false;
    pm_discard_policy_unref(policy);
    return true;
}

static void a_forked_child_only_drops_its_copy(void **state)
{
    (void)state;
    add(0);
    id_of_the_parent = claim(PM_DISCARD_DISABLE, "the parent");
    for (size_t i = 0; i < n_ways_to_fork; i++)
        assert_child(ways_to_fork[i], use_the_policy_in_the_child, NULL);
    assert_n_claims(1, 0, 0);
    assert_true(pm_discard_policy_release(policy, id_of_the_parent, NULL));
}

static void *claim_and_release(void *user_data)
{
    PmDiscardClaimKind kind = *(const PmDiscardClaimKind *)user_data;

    for (unsigned i = 0; i < 500; i++) {
        uint64_t id = claim(kind, "a thread");

        if (id != 0 && !pm_discard_policy_release(policy, id, NULL))
            return user_data;
    }
    return NULL;
}

static void *add_and_remove(void *user_data)
{
    PmRam *ram = user_data;

    for (unsigned i = 0; i < 500; i++)
        if (pm_discard_policy_add(policy, ram, NULL) &&
            !pm_discard_policy_remove(policy, ram, NULL))
            return user_data;
    return NULL;
}

static void threads_claim_while_others_add_and_remove_ram(void **state)
{
    static const PmDiscardClaimKind kinds[] = {PM_DISCARD_DISABLE, PM_DISCARD_REQUIRE_COORDINATED,
                                               PM_DISCARD_DISABLE_UNCOORDINATED};
    pthread_t threads[2 * N_RAMS];

    (void)state;
    for (unsigned i = 0; i < N_RAMS; i++) {
        pthread_create(&threads[i], NULL, claim_and_release, (void *)(uintptr_t)&kinds[i]);
        pthread_create(&threads[N_RAMS + i], NULL, add_and_remove, rams[i]);
    }
    for (unsigned i = 0; i < 2 * N_RAMS; i++) {
        void *failed = NULL;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_n_claims(0, 0, 0);
}

static void unref_accepts_null(void **state)
{
    (void)state;
    pm_discard_policy_unref(NULL);
}

#define POLICY_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLICY_TEST(a_claim_covers_all_of_every_ram),
        POLICY_TEST(ram_added_later_gets_every_claim),
        POLICY_TEST(the_oldest_claim_is_named_on_ram_added_later),
        POLICY_TEST(a_conflict_on_one_ram_refuses_the_claim_on_all),
        POLICY_TEST(ram_with_a_conflicting_claim_is_not_added),
        POLICY_TEST(managed_ram_is_not_disabled),
        POLICY_TEST(claims_of_a_policy_without_ram_conflict),
        POLICY_TEST(a_released_claim_is_gone_everywhere),
        POLICY_TEST(releasing_twice_is_an_error),
        POLICY_TEST(claims_of_a_policy_are_released_by_it_only),
        POLICY_TEST(removed_ram_is_free_of_the_policy),
        POLICY_TEST(ram_is_added_once),
        POLICY_TEST(freeing_a_policy_releases_its_claims),
        POLICY_TEST(a_policy_keeps_its_ram),
        POLICY_TEST(discards_of_device_memory_are_not_required),
        POLICY_TEST(invalid_claims_are_refused),
        POLICY_TEST(every_failing_allocation_refuses_the_claim_on_all),
        POLICY_TEST(every_failing_allocation_refuses_the_ram),
        POLICY_TEST(a_forked_child_only_drops_its_copy),
        POLICY_TEST(threads_claim_while_others_add_and_remove_ram),
        POLICY_TEST(unref_accepts_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
