/* SPDX-License-Identifier: MIT */
/* Discard claims on a PmRam: which conflict, and what a refusal says. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/discard_manager.h>
#include <plugmap/discard_policy.h>
#include <plugmap/size.h>

#include "discard_claims_util.h"
#include "memory/ram_claims.h"
#include "memory/ram_private.h"
#include "util/allocation_util.h"
#include "util/fork_util.h"

static unsigned n_claims(void)
{
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    unsigned n = 0;

    while (pm_ram_next_discard_claim(ram, found.id, &found, NULL))
        n++;
    return n;
}

/* --- the matrix --- */

/* Whether a claim of @kind succeeds while one of each kind is held, in the order of the enum. */
static void assert_row(PmDiscardClaimKind kind, const bool expected[4])
{
    for (unsigned held = 0; held < 4; held++) {
        uint64_t holder = claim_all((PmDiscardClaimKind)held, "the holder");
        g_autoptr(GError) error = NULL;
        uint64_t id = pm_ram_claim_discards(ram, kind, "the new one", PAGE, PAGE, &error);

        assert_int_not_equal(holder, 0);
        if ((id != 0) != expected[held])
            fail_msg("%s is %s while %s is held", pm_discard_claim_kind_name(kind),
                     id != 0 ? "allowed" : "refused",
                     pm_discard_claim_kind_name((PmDiscardClaimKind)held));
        if (id == 0)
            assert_error(&error, PM_ERROR_BUSY, "the holder");
        else
            release(id);
        release(holder);
    }
    assert_int_equal(n_claims(), 0);
}

static void disable_conflicts_with_both_requirements(void **state)
{
    (void)state;
    assert_row(PM_DISCARD_DISABLE, (const bool[]){true, true, false, false});
}

static void disable_uncoordinated_conflicts_with_require_uncoordinated(void **state)
{
    (void)state;
    assert_row(PM_DISCARD_DISABLE_UNCOORDINATED, (const bool[]){true, true, false, true});
}

static void require_uncoordinated_conflicts_with_both_disables(void **state)
{
    (void)state;
    assert_row(PM_DISCARD_REQUIRE_UNCOORDINATED, (const bool[]){false, false, true, true});
}

static void require_coordinated_conflicts_with_disable(void **state)
{
    (void)state;
    assert_row(PM_DISCARD_REQUIRE_COORDINATED, (const bool[]){false, true, true, true});
}

/* --- ranges --- */

static void neighbours_do_not_conflict(void **state)
{
    (void)state;
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "the middle", PAGE, PAGE), 0);
    assert_int_not_equal(claim(PM_DISCARD_REQUIRE_UNCOORDINATED, "before", 0, PAGE), 0);
    assert_int_not_equal(
        claim(PM_DISCARD_REQUIRE_UNCOORDINATED, "after", 2 * PAGE, SIZE - 2 * PAGE), 0);
}

static void one_common_byte_is_a_conflict(void **state)
{
    (void)state;
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "the middle", PAGE, PAGE), 0);
    assert_int_equal(claim(PM_DISCARD_REQUIRE_UNCOORDINATED, "before", 0, PAGE + 1), 0);
    assert_int_equal(claim(PM_DISCARD_REQUIRE_UNCOORDINATED, "after", 2 * PAGE - 1, 1), 0);
    assert_int_equal(claim(PM_DISCARD_REQUIRE_UNCOORDINATED, "inside", PAGE + 8, 8), 0);
    assert_int_equal(claim(PM_DISCARD_REQUIRE_UNCOORDINATED, "around", 0, SIZE), 0);
}

/* --- refusals --- */

static void a_refusal_names_the_first_holder_its_range_and_the_way_out(void **state)
{
    g_autoptr(GError) error = NULL;
    uint64_t first = claim(PM_DISCARD_DISABLE_UNCOORDINATED, "the first", PAGE, 2 * PAGE);
    uint64_t second = claim_all(PM_DISCARD_DISABLE, "the second");

    (void)state;
    assert_int_equal(pm_ram_claim_discards(ram, PM_DISCARD_REQUIRE_UNCOORDINATED, "the balloon", 0,
                                           SIZE, &error),
                     0);
    assert_non_null(strstr(error->message, "the balloon cannot require uncoordinated discards of "
                                           "256K at offset 0x0"));
    assert_error(
        &error, PM_ERROR_BUSY,
        "the first disables uncoordinated discards of 8K at offset 0x1000: have it release "
        "its claim (pm_ram_release_discards()) first");
    release(first);
    assert_int_equal(pm_ram_claim_discards(ram, PM_DISCARD_REQUIRE_UNCOORDINATED, "the balloon", 0,
                                           SIZE, &error),
                     0);
    assert_error(&error, PM_ERROR_BUSY, "the second disables all discards of 256K");
    release(second);
}

static void a_refused_claim_leaves_nothing(void **state)
{
    (void)state;
    assert_int_not_equal(claim_all(PM_DISCARD_REQUIRE_COORDINATED, "the device"), 0);
    assert_int_equal(claim_all(PM_DISCARD_DISABLE, "the pinner"), 0);
    assert_int_equal(n_claims(), 1);
}

static void invalid_claims_are_refused(void **state)
{
    static const struct {
        PmDiscardClaimKind kind;
        const char *owner;
        uint64_t offset;
        uint64_t size;
    } table[] = {
        {(PmDiscardClaimKind)4, "one", 0, PAGE},    {(PmDiscardClaimKind)-1, "one", 0, PAGE},
        {PM_DISCARD_DISABLE, NULL, 0, PAGE},        {PM_DISCARD_DISABLE, "", 0, PAGE},
        {PM_DISCARD_DISABLE, "one", 0, 0},          {PM_DISCARD_DISABLE, "one", SIZE, 1},
        {PM_DISCARD_DISABLE, "one", 0, SIZE + 1},   {PM_DISCARD_DISABLE, "one", 1, SIZE},
        {PM_DISCARD_DISABLE, "one", UINT64_MAX, 2}, {PM_DISCARD_DISABLE, "one", 1, UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;

        assert_int_equal(pm_ram_claim_discards(ram, table[i].kind, table[i].owner, table[i].offset,
                                               table[i].size, &error),
                         0);
        assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "");
    }
    assert_int_equal(n_claims(), 0);
}

static void discards_of_device_memory_can_be_disabled_but_not_required(void **state)
{
    const PmRamAdoption adoption = {.struct_size = sizeof(adoption),
                                    .host = pm_ram_get_host(ram),
                                    .size = SIZE,
                                    .device_memory = true};
    g_autoptr(PmRam) bar = pm_ram_adopt(&adoption, NULL);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_int_not_equal(
        pm_ram_claim_discards(bar, PM_DISCARD_DISABLE_UNCOORDINATED, "one", 0, SIZE, NULL), 0);
    assert_int_equal(
        pm_ram_claim_discards(bar, PM_DISCARD_REQUIRE_COORDINATED, "one", 0, SIZE, &error), 0);
    assert_error(&error, PM_ERROR_UNSUPPORTED, "cannot discard device memory");
    assert_int_equal(
        pm_ram_claim_discards(bar, PM_DISCARD_REQUIRE_UNCOORDINATED, "one", 0, SIZE, &error), 0);
    assert_error(&error, PM_ERROR_UNSUPPORTED, "cannot discard device memory");
}

/* --- release --- */

static void releasing_twice_is_an_error(void **state)
{
    g_autoptr(GError) error = NULL;
    uint64_t id = claim_all(PM_DISCARD_DISABLE, "one");
    uint64_t other = claim_all(PM_DISCARD_DISABLE, "another");

    (void)state;
    release(id);
    assert_false(pm_ram_release_discards(ram, id, &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "released before");
    assert_int_equal(claim_all(PM_DISCARD_REQUIRE_COORDINATED, "the device"), 0);
    release(other);
    assert_int_not_equal(claim_all(PM_DISCARD_REQUIRE_COORDINATED, "the device"), 0);
}

/* A claim of each of many mappings, released in an order of their own. */
static void many_claims_are_released_in_any_order(void **state)
{
    enum {
        N = 1000,
        STEP = 387
    };
    uint64_t ids[N];

    (void)state;
    for (unsigned i = 0; i < N; i++)
        ids[i] = claim(PM_DISCARD_DISABLE_UNCOORDINATED, "domain 1", i % 64 * PAGE, PAGE);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(n_claims(), N - i);
        release(ids[i * STEP % N]);
        assert_false(pm_ram_release_discards(ram, ids[i * STEP % N], NULL));
    }
    assert_int_equal(n_claims(), 0);
    assert_true(pm_ram_discard(ram, 0, SIZE, NULL));
}

static void ids_that_were_never_made_are_not_found(void **state)
{
    const uint64_t ids[] = {0, 1, pm_discard_claim_new_id() + 1, UINT64_MAX};

    (void)state;
    assert_int_not_equal(claim_all(PM_DISCARD_DISABLE, "one"), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autoptr(GError) error = NULL;

        if (ids[i] == pm_discard_claims_next(&ram->claims, 0)->request.id)
            continue;
        assert_false(pm_ram_release_discards(ram, ids[i], &error));
        assert_error(&error, PM_ERROR_NOT_FOUND, "has no discard claim");
    }
    assert_int_equal(n_claims(), 1);
}

static void claims_of_other_ram_are_not_found(void **state)
{
    g_autoptr(PmRam) other = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, 0, NULL);
    g_autoptr(GError) error = NULL;
    uint64_t id = claim_all(PM_DISCARD_DISABLE, "one");

    (void)state;
    assert_int_not_equal(pm_ram_claim_discards(other, PM_DISCARD_DISABLE, "another", 0, SIZE, NULL),
                         0);
    assert_false(pm_ram_release_discards(other, id, &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "made on other RAM");
}

static void ids_are_never_used_again(void **state)
{
    uint64_t last = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t id = claim((PmDiscardClaimKind)(i % 4), "one", 0, PAGE);

        assert_true(id > last);
        last = id;
        release(id);
    }
}

static void claims_of_the_library_are_released_by_their_makers_only(void **state)
{
    g_autoptr(GError) error = NULL;
    const PmDiscardClaimRequest request = {
        .id = pm_discard_claim_new_id(),
        .kind = PM_DISCARD_DISABLE,
        .owner = "the region",
        .size = SIZE,
        .way_out = "unmap it first",
    };

    (void)state;
    assert_true(pm_ram_enter_claim(ram, &request, NULL));
    assert_false(pm_ram_release_discards(ram, request.id, &error));
    assert_error(&error, PM_ERROR_PERMISSION, "belongs to the region: unmap it first");
    assert_int_equal(n_claims(), 1);
    assert_true(pm_ram_leave_claim(ram, request.id));
    assert_false(pm_ram_leave_claim(ram, request.id));
}

static void a_manager_that_exists_is_not_excluded(void **state)
{
    const PmDiscardClaimRequest request = {.id = pm_discard_claim_new_id(),
                                           .owner = "the region",
                                           .size = SIZE,
                                           .excludes_manager = true};
    PmDiscardManager *manager = pm_discard_manager_new(ram, PAGE, NULL);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_non_null(manager);
    assert_false(pm_ram_exclude_manager(ram, &request, &error));
    assert_error(&error, PM_ERROR_BUSY, "the region cannot exclude a discard manager");
    assert_false(pm_ram_leave_claim(ram, request.id));
    pm_discard_manager_unref(manager);
    assert_true(pm_ram_exclude_manager(ram, &request, NULL));
    assert_null(pm_discard_manager_new(ram, PAGE, NULL));
    assert_true(pm_ram_leave_claim(ram, request.id));
}

/* --- the list --- */

static void claims_are_listed_in_the_order_in_which_they_were_made(void **state)
{
    static const PmDiscardClaimKind kinds[] = {
        PM_DISCARD_REQUIRE_COORDINATED, PM_DISCARD_DISABLE_UNCOORDINATED,
        PM_DISCARD_REQUIRE_COORDINATED, PM_DISCARD_DISABLE_UNCOORDINATED,
        PM_DISCARD_DISABLE_UNCOORDINATED};
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    uint64_t ids[5];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        g_autofree char *owner = g_strdup_printf("owner %u", i);

        ids[i] = claim(kinds[i], owner, i * PAGE, (5 - i) * PAGE);
    }
    release(ids[2]);
    for (unsigned i = 0; i < 5; i += i == 1 ? 2 : 1) {
        g_autofree char *expected = g_strdup_printf("owner %u", i);
        g_autofree char *owner = NULL;

        assert_true(pm_ram_next_discard_claim(ram, found.id, &found, &owner));
        assert_int_equal(found.id, ids[i]);
        assert_int_equal(found.kind, kinds[i]);
        assert_int_equal(found.offset, i * PAGE);
        assert_int_equal(found.size, (5 - i) * PAGE);
        assert_string_equal(owner, expected);
    }
    assert_false(pm_ram_next_discard_claim(ram, found.id, &found, NULL));
    assert_false(pm_ram_next_discard_claim(ram, UINT64_MAX, &found, NULL));
}

static void the_list_needs_a_struct_size(void **state)
{
    PmDiscardClaim found = {0};

    (void)state;
    assert_int_not_equal(claim_all(PM_DISCARD_DISABLE, "one"), 0);
    assert_false(pm_ram_next_discard_claim(ram, 0, &found, NULL));
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(pm_discard_claim_kind_name(PM_DISCARD_DISABLE), "disable");
    assert_string_equal(pm_discard_claim_kind_name(PM_DISCARD_DISABLE_UNCOORDINATED),
                        "disable-uncoordinated");
    assert_string_equal(pm_discard_claim_kind_name(PM_DISCARD_REQUIRE_UNCOORDINATED),
                        "require-uncoordinated");
    assert_string_equal(pm_discard_claim_kind_name(PM_DISCARD_REQUIRE_COORDINATED),
                        "require-coordinated");
    assert_string_equal(pm_discard_claim_kind_name((PmDiscardClaimKind)4), "unknown");
}

/* --- failures --- */

static void every_failing_allocation_leaves_the_claims_as_they_were(void **state)
{
    unsigned n_failed = 0;

    (void)state;
    for (unsigned n = 0; n < 20; n++) {
        for (unsigned n_allowed = 0; n_allowed < 3; n_allowed++) {
            g_autoptr(GError) error = NULL;
            uint64_t id;

            allocations_end_after(n_allowed);
            id = pm_ram_claim_discards(ram, PM_DISCARD_DISABLE, "one", 0, SIZE, &error);
            allocations_go_on();
            if (id != 0) {
                assert_int_equal(n_claims(), n + 1);
                break;
            }
            n_failed++;
            assert_error(&error, PM_ERROR_MEMORY, "out of memory for the discard claim of one");
            assert_int_equal(n_claims(), n);
        }
    }
    assert_true(n_failed > 20);
    assert_int_equal(n_claims(), 20);
}

/* --- fork --- */

static uint64_t id_of_the_parent;

static bool use_claims_in_the_child(void *user_data)
{
    PmDiscardClaim found = {.struct_size = sizeof(found)};
    GError *error = NULL;
    uint64_t id = pm_ram_claim_discards(ram, PM_DISCARD_DISABLE, "the child", 0, SIZE, &error);
    bool refused = is_refused(id != 0, error);

    (void)user_data;
    return refused && pm_ram_next_discard_claim(ram, 0, &found, NULL) &&
           found.id == id_of_the_parent && pm_ram_release_discards(ram, id_of_the_parent, NULL) &&
           !pm_ram_next_discard_claim(ram, 0, &found, NULL);
}

static void a_forked_child_claims_nothing_and_releases_only_its_copy(void **state)
{
    (void)state;
    id_of_the_parent = claim_all(PM_DISCARD_DISABLE, "the parent");
    for (size_t i = 0; i < n_ways_to_fork; i++)
        assert_child(ways_to_fork[i], use_claims_in_the_child, NULL);
    assert_int_equal(n_claims(), 1);
    assert_false(pm_ram_discard(ram, 0, SIZE, NULL));
}

#define CLAIMS_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIMS_TEST(disable_conflicts_with_both_requirements),
        CLAIMS_TEST(disable_uncoordinated_conflicts_with_require_uncoordinated),
        CLAIMS_TEST(require_uncoordinated_conflicts_with_both_disables),
        CLAIMS_TEST(require_coordinated_conflicts_with_disable),
        CLAIMS_TEST(neighbours_do_not_conflict),
        CLAIMS_TEST(one_common_byte_is_a_conflict),
        CLAIMS_TEST(a_refusal_names_the_first_holder_its_range_and_the_way_out),
        CLAIMS_TEST(a_refused_claim_leaves_nothing),
        CLAIMS_TEST(invalid_claims_are_refused),
        CLAIMS_TEST(discards_of_device_memory_can_be_disabled_but_not_required),
        CLAIMS_TEST(releasing_twice_is_an_error),
        CLAIMS_TEST(many_claims_are_released_in_any_order),
        CLAIMS_TEST(ids_that_were_never_made_are_not_found),
        CLAIMS_TEST(claims_of_other_ram_are_not_found),
        CLAIMS_TEST(ids_are_never_used_again),
        CLAIMS_TEST(claims_of_the_library_are_released_by_their_makers_only),
        CLAIMS_TEST(a_manager_that_exists_is_not_excluded),
        CLAIMS_TEST(claims_are_listed_in_the_order_in_which_they_were_made),
        CLAIMS_TEST(the_list_needs_a_struct_size),
        CLAIMS_TEST(kinds_have_names),
        CLAIMS_TEST(every_failing_allocation_leaves_the_claims_as_they_were),
        CLAIMS_TEST(a_forked_child_claims_nothing_and_releases_only_its_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
