/* SPDX-License-Identifier: MIT */
/* What discard claims keep from being discarded, and from getting a discard manager. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/discard_policy.h>

#include "memory/ram_private.h"
#include "util/source_util.h"

/* Last: it has the RAM in a variable that others would shadow. */
#include "discard_claims_util.h"

static bool is_intact(uint64_t offset, uint64_t size)
{
    const char *memory = (const char *)pm_ram_get_host(ram) + offset;

    for (uint64_t i = 0; i < size; i++)
        if (memory[i] != 'x')
            return false;
    return true;
}

/* --- discards --- */

static void a_disabled_discard_fails_and_changes_nothing(void **state)
{
    static const PmDiscardClaimKind kinds[] = {PM_DISCARD_DISABLE,
                                               PM_DISCARD_DISABLE_UNCOORDINATED};

    (void)state;
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        uint64_t id = claim(kinds[i], "the region", 4 * PAGE, 4 * PAGE);
        g_autoptr(GError) error = NULL;

        assert_false(pm_ram_discard(ram, 0, SIZE, &error));
        assert_error(&error, PM_ERROR_BUSY, "cannot discard 256K at offset 0x0");
        assert_false(pm_ram_discard(ram, 7 * PAGE, 2 * PAGE, &error));
        assert_error(&error, PM_ERROR_BUSY, "the region disables");
        assert_true(is_intact(0, SIZE));
        release(id);
    }
}

static void memory_beside_a_claim_can_be_discarded(void **state)
{
    (void)state;
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "the region", 4 * PAGE, 4 * PAGE), 0);
    assert_true(pm_ram_discard(ram, 3 * PAGE, PAGE, NULL));
    assert_true(pm_ram_discard(ram, 8 * PAGE, PAGE, NULL));
    assert_true(pm_ram_discard(ram, 5 * PAGE, 0, NULL));
    assert_true(is_intact(4 * PAGE, 4 * PAGE));
    assert_false(is_intact(3 * PAGE, PAGE));
    assert_false(is_intact(8 * PAGE, PAGE));
}

static void requirements_forbid_no_discard(void **state)
{
    (void)state;
    assert_int_not_equal(claim_all(PM_DISCARD_REQUIRE_COORDINATED, "the device"), 0);
    assert_int_not_equal(claim_all(PM_DISCARD_REQUIRE_UNCOORDINATED, "the balloon"), 0);
    assert_true(pm_ram_discard(ram, 0, SIZE, NULL));
    assert_true(pm_ram_discard_coordinated(ram, 0, SIZE, NULL));
}

static void coordinated_discards_fail_only_if_all_are_disabled(void **state)
{
    g_autoptr(GError) error = NULL;
    uint64_t id = claim_all(PM_DISCARD_DISABLE_UNCOORDINATED, "the region");

    (void)state;
    assert_true(pm_ram_discard_coordinated(ram, 0, PAGE, NULL));
    release(id);
    id = claim(PM_DISCARD_DISABLE, "the pinner", 0, 1);
    assert_false(pm_ram_discard_coordinated(ram, 0, PAGE, &error));
    assert_error(&error, PM_ERROR_BUSY, "the pinner disables all discards of 1");
    release(id);
}

static void a_released_claim_forbids_nothing(void **state)
{
    uint64_t first = claim_all(PM_DISCARD_DISABLE, "one");
    uint64_t second = claim_all(PM_DISCARD_DISABLE, "another");

    (void)state;
    release(first);
    assert_false(pm_ram_discard(ram, 0, SIZE, NULL));
    release(second);
    assert_true(pm_ram_discard(ram, 0, SIZE, NULL));
}

/* --- discard managers --- */

static void ram_that_is_partly_disabled_gets_no_manager(void **state)
{
    uint64_t id = claim(PM_DISCARD_DISABLE, "the ring", SIZE - 1, 1);
    g_autoptr(PmDiscardManager) manager = NULL;
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_null(pm_discard_manager_new(ram, PAGE, &error));
    assert_error(&error, PM_ERROR_BUSY, "the ring disables all discards of 1 at offset 0x3ffff");
    release(id);
    manager = pm_discard_manager_new(ram, PAGE, NULL);
    assert_non_null(manager);
}

static void managed_ram_does_not_have_all_discards_disabled(void **state)
{
    PmDiscardManager *manager = pm_discard_manager_new(ram, PAGE, NULL);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_int_equal(
        pm_ram_claim_discards(ram, PM_DISCARD_DISABLE, "the ring", SIZE - 1, 1, &error), 0);
    assert_error(&error, PM_ERROR_BUSY, "its discard manager requires coordinated discards");
    pm_discard_manager_unref(manager);
    assert_int_not_equal(claim(PM_DISCARD_DISABLE, "the ring", SIZE - 1, 1), 0);
}

static void a_manager_discards_what_others_must_not(void **state)
{
    g_autoptr(PmDiscardManager) manager = manager_with_source(ram, PAGE, NULL);

    (void)state;
    assert_true(source_populate(manager, 0, SIZE, 0, NULL));
    memset(pm_ram_get_host(ram), 'x', SIZE);
    assert_int_not_equal(claim_all(PM_DISCARD_DISABLE_UNCOORDINATED, "the mapper"), 0);
    assert_false(pm_ram_discard(ram, 0, PAGE, NULL));
    assert_true(source_discard(manager, 0, PAGE, NULL));
    assert_false(is_intact(0, PAGE));
    assert_true(source_discard_all(manager, NULL));
    assert_false(is_intact(PAGE, PAGE));
}

#define CLAIMS_TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIMS_TEST(a_disabled_discard_fails_and_changes_nothing),
        CLAIMS_TEST(memory_beside_a_claim_can_be_discarded),
        CLAIMS_TEST(requirements_forbid_no_discard),
        CLAIMS_TEST(coordinated_discards_fail_only_if_all_are_disabled),
        CLAIMS_TEST(a_released_claim_forbids_nothing),
        CLAIMS_TEST(ram_that_is_partly_disabled_gets_no_manager),
        CLAIMS_TEST(managed_ram_does_not_have_all_discards_disabled),
        CLAIMS_TEST(a_manager_discards_what_others_must_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
