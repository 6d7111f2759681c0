/* SPDX-License-Identifier: MIT */
/* What reports say about discard claims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replay/discard_holders.h"

#define PAGE UINT64_C(4096)
#define SIZE (64 * PAGE)

static PmRam *ram;

static int make(void **state)
{
    (void)state;
    ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, 0, NULL);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    pm_ram_unref(ram);
    return 0;
}

static void claim(PmDiscardClaimKind kind, const char *owner, uint64_t offset, uint64_t size)
{
    assert_int_not_equal(pm_ram_claim_discards(ram, kind, owner, offset, size, NULL), 0);
}

static void assert_described(guint max, const char *expected)
{
    g_autoptr(GPtrArray) holders = pm_replay_holders_of(ram);
    g_autofree char *text = pm_replay_holders_describe(holders, max);

    assert_string_equal(text, expected);
}

static void ram_without_claims_has_no_holders(void **state)
{
    (void)state;
    assert_described(4, "nobody disables or requires any");
}

static void every_kind_has_words(void **state)
{
    (void)state;
    claim(PM_DISCARD_DISABLE, "a", 0, PAGE);
    claim(PM_DISCARD_DISABLE_UNCOORDINATED, "b", 0, PAGE);
    claim(PM_DISCARD_REQUIRE_UNCOORDINATED, "c", PAGE, PAGE);
    claim(PM_DISCARD_REQUIRE_COORDINATED, "d", PAGE, PAGE);
    assert_described(4, "a disables all, b disables uncoordinated, c requires uncoordinated, "
                        "d requires coordinated");
}

static void claims_of_one_owner_and_kind_are_added_up(void **state)
{
    g_autoptr(GPtrArray) holders = NULL;
    const PmReplayHolder *domain;

    (void)state;
    claim(PM_DISCARD_REQUIRE_COORDINATED, "virtio-mem", 0, SIZE);
    for (uint64_t i = 0; i < 10; i++)
        claim(PM_DISCARD_DISABLE_UNCOORDINATED, "domain 1", i * PAGE, 2 * PAGE);
    claim(PM_DISCARD_REQUIRE_COORDINATED, "domain 1", 0, PAGE);
    assert_described(4, "virtio-mem requires coordinated, domain 1 disables uncoordinated "
                        "(10 claims), domain 1 requires coordinated");
    holders = pm_replay_holders_of(ram);
    domain = g_ptr_array_index(holders, 1);
    assert_int_equal(domain->n_claims, 10);
    assert_int_equal(domain->n_bytes, 20 * PAGE);
}

static void more_holders_than_a_line_has_room_for_are_counted(void **state)
{
    (void)state;
    claim(PM_DISCARD_DISABLE, "a", 0, PAGE);
    claim(PM_DISCARD_DISABLE, "b", 0, PAGE);
    claim(PM_DISCARD_DISABLE, "c", 0, PAGE);
    assert_described(1, "a disables all, 2 more (--json lists all)");
    assert_described(3, "a disables all, b disables all, c disables all");
}

#define HOLDERS_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDERS_TEST(ram_without_claims_has_no_holders),
        HOLDERS_TEST(every_kind_has_words),
        HOLDERS_TEST(claims_of_one_owner_and_kind_are_added_up),
        HOLDERS_TEST(more_holders_than_a_line_has_room_for_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
