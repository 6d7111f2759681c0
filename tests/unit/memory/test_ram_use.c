/* SPDX-License-Identifier: MIT */
/* RAM has one discard manager, or is mapped without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/size.h>

#include "memory/ram_claims.h"
#include "memory/ram_private.h"

#define SIZE (8 * PM_MIB)

static void a_second_manager_is_rejected(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, 0, NULL);
    PmDiscardManager *manager = (PmDiscardManager *)&ram; /* never dereferenced */
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_true(pm_ram_take_manager(ram, manager, NULL));
    assert_false(pm_ram_take_manager(ram, manager, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BUSY));
    pm_ram_release_manager(ram);
    assert_true(pm_ram_take_manager(ram, manager, NULL));
    pm_ram_release_manager(ram);
}

/* As a PmIommuClaim does. Returns the id of the discard claim, or 0. */
static uint64_t map(PmRam *ram, bool follows_manager)
{
    const PmDiscardClaimRequest request = {
        .id = pm_discard_claim_new_id(),
        .kind = follows_manager ? PM_DISCARD_DISABLE_UNCOORDINATED : PM_DISCARD_DISABLE,
        .owner = "a mapping",
        .size = pm_ram_get_size(ram),
        .way_out = "unmap it",
        .follows_manager = follows_manager,
    };

    return pm_ram_enter_claim(ram, &request, NULL) ? request.id : 0;
}

static void memory_has_a_manager_or_is_mapped_without_one(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, SIZE, 0, NULL);
    PmDiscardManager *manager = (PmDiscardManager *)&ram; /* never dereferenced */
    uint64_t one = map(ram, false);
    uint64_t another = map(ram, false);
    uint64_t follower;

    (void)state;
    assert_true(one != 0 && another != 0);
    assert_false(pm_ram_take_manager(ram, manager, NULL));
    assert_true(pm_ram_leave_claim(ram, one));
    assert_false(pm_ram_take_manager(ram, manager, NULL));
    assert_true(pm_ram_leave_claim(ram, another));
    assert_true(pm_ram_take_manager(ram, manager, NULL));
    assert_int_equal(map(ram, false), 0);
    follower = map(ram, true);
    assert_int_not_equal(follower, 0);
    pm_ram_release_manager(ram);
    assert_false(pm_ram_take_manager(ram, manager, NULL));
    assert_true(pm_ram_leave_claim(ram, follower));
    one = map(ram, false);
    assert_int_not_equal(one, 0);
    assert_true(pm_ram_leave_claim(ram, one));
    assert_true(pm_ram_take_manager(ram, manager, NULL));
    pm_ram_release_manager(ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_manager_is_rejected),
        cmocka_unit_test(memory_has_a_manager_or_is_mapped_without_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
