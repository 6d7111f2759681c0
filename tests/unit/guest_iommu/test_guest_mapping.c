/* SPDX-License-Identifier: MIT */
/* Adding, finding and removing mappings; what is unmapped with what, as the specification's
 * examples have it. */
#include "follower_util.h"

static bool unmap(World *world, uint64_t iova, uint64_t last)
{
    return pm_guest_iommu_unmap(world->iommu, 1, iova, last, NULL);
}

/* Maps [first, last] in units of pages, as in the examples. */
static void map_pages(World *world, uint64_t first, uint64_t last)
{
    map(world->iommu, 1, first * PAGE, (last - first + 1) * PAGE, first * PAGE);
}

static bool unmap_pages(World *world, uint64_t first, uint64_t last)
{
    return unmap(world, first * PAGE, last * PAGE + PAGE - 1);
}

static void assert_n_mappings(World *world, unsigned n_mappings)
{
    PmGuestDomainInfo info = {.struct_size = sizeof(info)};

    assert_true(pm_guest_iommu_next_domain(world->iommu, 1, &info));
    assert_int_equal(info.n_mappings, n_mappings);
    assert_follows(world->iommu, &world->follower);
}

static void unmap_of_nothing_succeeds(void **state)
{
    World *world = *state;

    assert_true(unmap_pages(world, 0, 4));
    assert_true(unmap(world, 0, UINT64_MAX));
    assert_calls(&world->follower, "attach 1 8; ");
}

static void unmap_of_a_mapping_removes_it(void **state)
{
    World *world = *state;

    map_pages(world, 0, 9);
    assert_true(unmap_pages(world, 0, 9));
    assert_n_mappings(world, 0);
}

static void unmap_of_two_mappings_removes_both(void **state)
{
    World *world = *state;

    map_pages(world, 0, 4);
    map_pages(world, 5, 9);
    assert_true(unmap_pages(world, 0, 9));
    assert_n_mappings(world, 0);
}

static void unmap_of_part_of_a_mapping_removes_nothing(void **state)
{
    World *world = *state;

    map_pages(world, 0, 9);
    assert_false(unmap_pages(world, 0, 4));
    assert_false(unmap_pages(world, 5, 9));
    assert_false(unmap_pages(world, 3, 6));
    assert_n_mappings(world, 1);
}

static void unmap_of_one_of_two_mappings_leaves_the_other(void **state)
{
    World *world = *state;

    map_pages(world, 0, 4);
    map_pages(world, 5, 9);
    assert_true(unmap_pages(world, 0, 4));
    assert_n_mappings(world, 1);
}

static void unmap_spills_over_unmapped_addresses(void **state)
{
    World *world = *state;

    map_pages(world, 0, 4);
    assert_true(unmap_pages(world, 0, 9));
    assert_n_mappings(world, 0);
}

static void unmap_spans_holes(void **state)
{
    World *world = *state;

    map_pages(world, 0, 4);
    map_pages(world, 10, 14);
    assert_true(unmap_pages(world, 0, 14));
    assert_n_mappings(world, 0);
}

static void unmap_of_an_unaligned_range_takes_the_whole_mappings_in_it(void **state)
{
    World *world = *state;

    map_pages(world, 1, 1);
    map_pages(world, 3, 3);
    assert_true(unmap(world, PAGE - 5, 3 * PAGE - 1));
    assert_n_mappings(world, 1);
    assert_true(unmap(world, 3 * PAGE - 1, UINT64_MAX));
    assert_n_mappings(world, 0);
}

static void the_last_page_of_all_can_be_mapped_and_unmapped(void **state)
{
    World *world = *state;
    const uint64_t last_page = UINT64_MAX - PAGE + 1;

    map(world->iommu, 1, last_page, PAGE, last_page);
    map(world->iommu, 1, 0, PAGE, 0);
    assert_true(unmap(world, last_page - 1, UINT64_MAX));
    assert_n_mappings(world, 1);
    map(world->iommu, 1, last_page - PAGE, 2 * PAGE, 0);
    assert_false(unmap(world, last_page, UINT64_MAX));
    assert_true(unmap(world, 0, UINT64_MAX));
    assert_n_mappings(world, 0);
}

static void all_addresses_can_be_one_mapping(void **state)
{
    World *world = *state;
    PmGuestMapping mapping;

    assert_true(try_map(world->iommu, 1, 0, UINT64_MAX, 0, NULL));
    assert_false(try_map(world->iommu, 1, 0x5000, 0x5fff, 0, NULL));
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, UINT64_MAX, &mapping));
    assert_int_equal(mapping.iova, 0);
    assert_true(unmap(world, 0, UINT64_MAX));
    assert_n_mappings(world, 0);
}

static void next_mapping_finds_the_one_that_ends_at_or_after(void **state)
{
    World *world = *state;
    PmGuestMapping mapping;

    map_pages(world, 2, 3);
    map_pages(world, 6, 6);
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, 0, &mapping));
    assert_int_equal(mapping.iova, 2 * PAGE);
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, 4 * PAGE - 1, &mapping));
    assert_int_equal(mapping.iova, 2 * PAGE);
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 1, 4 * PAGE, &mapping));
    assert_int_equal(mapping.iova, 6 * PAGE);
    assert_int_equal(mapping.last, 7 * PAGE - 1);
    assert_false(pm_guest_iommu_next_mapping(world->iommu, 1, 7 * PAGE, &mapping));
    assert_false(pm_guest_iommu_next_mapping(world->iommu, 2, 0, &mapping));
    assert_false(pm_guest_iommu_next_mapping(world->iommu, 0, 0, &mapping));
}

static void domains_have_their_own_addresses(void **state)
{
    World *world = *state;
    PmGuestMapping mapping;

    attach(world->iommu, 2, 9);
    map(world->iommu, 1, 0, PAGE, 0x1000);
    map(world->iommu, 2, 0, 2 * PAGE, 0x2000);
    assert_true(unmap(world, 0, UINT64_MAX));
    assert_true(pm_guest_iommu_next_mapping(world->iommu, 2, 0, &mapping));
    assert_int_equal(mapping.address, 0x2000);
    assert_follows(world->iommu, &world->follower);
}

static void a_coarser_granularity_is_enforced(void **state)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .page_size_mask = 0x30000};
    g_autoptr(PmGuestIommu) iommu = new_iommu(&config);
    GError *error = NULL;

    (void)state;
    add_endpoint(iommu, 8);
    attach(iommu, 1, 8);
    assert_false(try_map(iommu, 1, 0x10000, 0x1efff, 0, &error));
    assert_error(&error, PM_ERROR_UNALIGNED,
                 "0x10000-0x1efff to 0x0 is not aligned to the granularity 0x10000");
    assert_true(try_map(iommu, 1, 0x10000, 0x1ffff, 0x20000, NULL));
}

static void a_granularity_of_a_byte_maps_bytes(void **state)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config), .page_size_mask = 1};
    g_autoptr(PmGuestIommu) iommu = new_iommu(&config);

    (void)state;
    add_endpoint(iommu, 8);
    attach(iommu, 1, 8);
    assert_true(try_map(iommu, 1, 5, 5, 7, NULL));
    assert_true(try_map(iommu, 1, UINT64_MAX, UINT64_MAX, UINT64_MAX, NULL));
    assert_false(try_map(iommu, 1, 4, 6, 7, NULL));
}

static void invalid_access_and_flags_are_refused(void **state)
{
    World *world = *state;
    PmGuestMapping mapping = {.last = PAGE - 1, .access = (PmIommuAccess)4};
    GError *error = NULL;

    assert_false(pm_guest_iommu_map(world->iommu, 1, &mapping, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "invalid access 0x4");
    mapping.access = PM_IOMMU_READ;
    mapping.flags = PM_GUEST_MAPPING_MMIO;
    assert_false(pm_guest_iommu_map(world->iommu, 1, &mapping, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "invalid flags 0x1");
    mapping.flags = 2;
    assert_false(pm_guest_iommu_map(world->iommu, 1, &mapping, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "invalid flags 0x2");
    assert_n_mappings(world, 0);
}

static int setup(void **state)
{
    World *world;

    (void)world_setup_followed(state);
    world = *state;
    attach(world->iommu, 1, 8);
    return 0;
}

#define MAPPING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAPPING_TEST(unmap_of_nothing_succeeds),
        MAPPING_TEST(unmap_of_a_mapping_removes_it),
        MAPPING_TEST(unmap_of_two_mappings_removes_both),
        MAPPING_TEST(unmap_of_part_of_a_mapping_removes_nothing),
        MAPPING_TEST(unmap_of_one_of_two_mappings_leaves_the_other),
        MAPPING_TEST(unmap_spills_over_unmapped_addresses),
        MAPPING_TEST(unmap_spans_holes),
        MAPPING_TEST(unmap_of_an_unaligned_range_takes_the_whole_mappings_in_it),
        MAPPING_TEST(the_last_page_of_all_can_be_mapped_and_unmapped),
        MAPPING_TEST(all_addresses_can_be_one_mapping),
        MAPPING_TEST(next_mapping_finds_the_one_that_ends_at_or_after),
        MAPPING_TEST(domains_have_their_own_addresses),
        MAPPING_TEST(a_coarser_granularity_is_enforced),
        MAPPING_TEST(a_granularity_of_a_byte_maps_bytes),
        MAPPING_TEST(invalid_access_and_flags_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
