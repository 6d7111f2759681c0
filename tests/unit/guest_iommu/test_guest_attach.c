/* SPDX-License-Identifier: MIT */
/* Attaching and detaching endpoints, and bypass. */
#include "follower_util.h"

static void attach_makes_a_domain_and_the_last_detach_ends_it(void **state)
{
    World *world = *state;
    PmGuestDomainInfo info = {.struct_size = sizeof(info)};

    assert_false(pm_guest_iommu_next_domain(world->iommu, 0, &info));
    attach(world->iommu, 5, 8);
    attach(world->iommu, 5, 9);
    map(world->iommu, 5, 0, PAGE, 0);
    assert_true(pm_guest_iommu_next_domain(world->iommu, 0, &info));
    assert_int_equal(info.domain, 5);
    assert_false(info.bypass);
    assert_int_equal(info.n_endpoints, 2);
    assert_int_equal(info.n_mappings, 1);
    assert_true(pm_guest_iommu_detach(world->iommu, 5, 8, NULL));
    assert_follows(world->iommu, &world->follower);
    assert_true(pm_guest_iommu_detach(world->iommu, 5, 9, NULL));
    assert_false(pm_guest_iommu_next_domain(world->iommu, 0, &info));
    assert_calls(&world->follower, "attach 5 8; attach 5 9; map 5 0x0; detach 5 8; detach 5 9; ");
    assert_follows(world->iommu, &world->follower);
}

static void a_domain_that_ended_begins_again_without_mappings(void **state)
{
    World *world = *state;
    PmGuestMapping mapping;

    attach(world->iommu, 5, 8);
    map(world->iommu, 5, 0, PAGE, 0);
    assert_true(pm_guest_iommu_detach(world->iommu, 5, 8, NULL));
    attach_bypass(world->iommu, 5, 8);
    assert_true(pm_guest_iommu_detach(world->iommu, 5, 8, NULL));
    attach(world->iommu, 5, 8);
    assert_false(pm_guest_iommu_next_mapping(world->iommu, 5, 0, &mapping));
    assert_follows(world->iommu, &world->follower);
}

static void attach_elsewhere_moves_the_endpoint(void **state)
{
    World *world = *state;

    attach(world->iommu, 1, 8);
    attach(world->iommu, 1, 9);
    attach(world->iommu, 2, 8);
    assert_calls(&world->follower, "attach 1 8; attach 1 9; detach 1 8; attach 2 8; ");
    assert_follows(world->iommu, &world->follower);
}

static void attach_where_it_is_changes_nothing(void **state)
{
    World *world = *state;

    attach(world->iommu, 1, 8);
    attach(world->iommu, 1, 8);
    assert_calls(&world->follower, "attach 1 8; ");
}

static void detach_with_bypass_on_attaches_to_bypass(void **state)
{
    World *world = *state;

    attach(world->iommu, 1, 8);
    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    assert_true(pm_guest_iommu_detach(world->iommu, 1, 8, NULL));
    attach(world->iommu, 1, 9);
    assert_calls(&world->follower, "attach 1 8; attach -1 9; attach -1 10; detach 1 8; "
                                   "attach -1 8; detach -1 9; attach 1 9; ");
    assert_true(pm_guest_iommu_set_bypass(world->iommu, false, NULL));
    assert_calls(&world->follower, "detach -1 8; detach -1 10; ");
    assert_follows(world->iommu, &world->follower);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(attach_makes_a_domain_and_the_last_detach_ends_it,
                                        world_setup_followed, world_teardown),
        cmocka_unit_test_setup_teardown(a_domain_that_ended_begins_again_without_mappings,
                                        world_setup_followed, world_teardown),
        cmocka_unit_test_setup_teardown(attach_elsewhere_moves_the_endpoint, world_setup_followed,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(attach_where_it_is_changes_nothing, world_setup_followed,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(detach_with_bypass_on_attaches_to_bypass,
                                        world_setup_followed, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
