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

static void an_unknown_endpoint_is_not_found(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_false(pm_guest_iommu_attach(world->iommu, 1, false, 7, &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "no endpoint 0x7");
    assert_false(pm_guest_iommu_detach(world->iommu, 1, 7, &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "no endpoint 0x7");
    assert_false(pm_guest_iommu_remove_endpoint(world->iommu, 7, &error));
    assert_error(&error, PM_ERROR_NOT_FOUND, "no endpoint 0x7");
}

static void the_largest_domain_is_not_that_of_endpoints_without(void **state)
{
    World *world = *state;
    GError *error = NULL;

    assert_false(pm_guest_iommu_attach(world->iommu, NO_DOMAIN, true, 8, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "outside the domain range 0-4294967294");
    attach(world->iommu, NO_DOMAIN - 1, 8);
    assert_follows(world->iommu, &world->follower);
}

static void removing_an_endpoint_detaches_it(void **state)
{
    World *world = *state;
    PmGuestEndpointInfo info = {.struct_size = sizeof(info)};

    attach(world->iommu, 1, 8);
    map(world->iommu, 1, 0, PAGE, 0);
    assert_true(pm_guest_iommu_remove_endpoint(world->iommu, 8, NULL));
    assert_true(pm_guest_iommu_next_endpoint(world->iommu, 0, &info));
    assert_int_equal(info.endpoint, 9);
    assert_false(pm_guest_iommu_next_domain(world->iommu, 0, NULL));
    assert_calls(&world->follower, "attach 1 8; map 1 0x0; detach 1 8; ");
    assert_follows(world->iommu, &world->follower);
}

static void an_endpoint_that_fails_to_detach_is_not_removed(void **state)
{
    World *world = *state;
    GError *error = NULL;

    attach(world->iommu, 1, 8);
    follower_fail(&world->follower, 0, 1, PM_ERROR_KERNEL);
    assert_false(pm_guest_iommu_remove_endpoint(world->iommu, 8, &error));
    assert_error(&error, PM_ERROR_KERNEL, "detaching endpoint 0x8");
    assert_follows(world->iommu, &world->follower);
    assert_true(pm_guest_iommu_remove_endpoint(world->iommu, 8, NULL));
}

static void an_endpoint_added_with_bypass_on_is_attached_to_bypass(void **state)
{
    World *world = *state;
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint), .endpoint = 7, .device = "0000:00:07.0"};
    GError *error = NULL;

    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    assert_calls(&world->follower, "attach -1 8; attach -1 9; attach -1 10; ");
    follower_fail(&world->follower, 0, 1, PM_ERROR_BUSY);
    assert_false(pm_guest_iommu_add_endpoint(world->iommu, &endpoint, &error));
    assert_error(&error, PM_ERROR_BUSY, "attaching endpoint 0x7 (0000:00:07.0) to bypass failed");
    assert_follows(world->iommu, &world->follower);
    add_endpoint(world->iommu, 7);
    assert_calls(&world->follower, "attach -1 7 fails; attach -1 7; ");
    assert_follows(world->iommu, &world->follower);
}

static void bypass_on_again_retries_endpoints_without_dma(void **state)
{
    World *world = *state;
    PmGuestEndpointInfo info = {.struct_size = sizeof(info)};
    GError *error = NULL;

    attach(world->iommu, 1, 8);
    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    follower_fail(&world->follower, 1, 2, PM_ERROR_KERNEL);
    assert_false(pm_guest_iommu_detach(world->iommu, 1, 8, &error));
    assert_error(&error, PM_ERROR_QUARANTINED,
                 "endpoint 0x8 can do no DMA, and domain 1 has ended");
    assert_true(pm_guest_iommu_next_endpoint(world->iommu, 8, &info));
    assert_int_equal(info.domain, NO_DOMAIN);
    assert_false(info.bypass);
    follower_succeed(&world->follower);
    g_string_truncate(world->follower.calls, 0);
    assert_true(pm_guest_iommu_set_bypass(world->iommu, true, NULL));
    assert_calls(&world->follower, "attach -1 8; ");
    assert_true(pm_guest_iommu_next_endpoint(world->iommu, 8, &info));
    assert_true(info.bypass);
    assert_follows(world->iommu, &world->follower);
}

#define ATTACH_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, world_setup_followed, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ATTACH_TEST(attach_makes_a_domain_and_the_last_detach_ends_it),
        ATTACH_TEST(a_domain_that_ended_begins_again_without_mappings),
        ATTACH_TEST(attach_elsewhere_moves_the_endpoint),
        ATTACH_TEST(attach_where_it_is_changes_nothing),
        ATTACH_TEST(detach_with_bypass_on_attaches_to_bypass),
        ATTACH_TEST(an_unknown_endpoint_is_not_found),
        ATTACH_TEST(the_largest_domain_is_not_that_of_endpoints_without),
        ATTACH_TEST(removing_an_endpoint_detaches_it),
        ATTACH_TEST(an_endpoint_that_fails_to_detach_is_not_removed),
        ATTACH_TEST(an_endpoint_added_with_bypass_on_is_attached_to_bypass),
        ATTACH_TEST(bypass_on_again_retries_endpoints_without_dma),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
