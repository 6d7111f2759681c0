/* SPDX-License-Identifier: MIT */
/* What a guest can make the host allocate may fail, and then nothing changes. */
#include "util/allocation_util.h"
#include "wire_util.h"

#define N_MAPPINGS 1000

/* Lets allocation @n_before + 1 fail. Returns the status. */
static unsigned send_with(World *world, const Wire *request, unsigned n_before)
{
    unsigned status;

    allocations_end_after(n_before);
    status = send_request(world->iommu, request);
    allocations_go_on();
    return status;
}

/* Sends a request until it succeeds. Returns how often memory was short. */
static unsigned send_until_done(World *world, const Wire *request)
{
    unsigned n_before = 0;
    unsigned status;

    while ((status = send_with(world, request, n_before)) != OK) {
        assert_int_equal(status, DEVERR);
        assert_refusal(world->iommu, DEVERR, PM_ERROR_MEMORY, "out of memory");
        assert_follows(world->iommu, &world->follower);
        n_before++;
    }
    return n_before;
}

static void attach_out_of_memory_is_deverr(void **state)
{
    World *world = *state;
    const Wire request = attach_request(1, 8, 0);

    assert_in_range(send_until_done(world, &request), 1, 10);
    assert_calls(&world->follower, "attach 1 8; ");
}

static void map_out_of_memory_is_deverr(void **state)
{
    World *world = *state;
    unsigned n_short = 0;

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    /* A guest's worst case: no mapping follows another. */
    for (unsigned i = 0; i < N_MAPPINGS; i++) {
        uint64_t iova = (uint64_t)(i * 7919 % N_MAPPINGS) * 2 * PAGE;
        const Wire request = map_request(1, iova, iova + PAGE - 1, 0, READ);

        n_short += send_until_done(world, &request);
    }
    assert_in_range(n_short, N_MAPPINGS / 128, N_MAPPINGS);
    assert_follows(world->iommu, &world->follower);
}

static void detach_and_unmap_need_no_memory(void **state)
{
    World *world = *state;
    Wire request = unmap_request(1, 0, UINT64_MAX);

    assert_int_equal(send_attach(world->iommu, 1, 8, 0), OK);
    assert_int_equal(send_map(world->iommu, 1, 0, PAGE - 1, 0, READ), OK);
    assert_int_equal(send_with(world, &request, 0), OK);
    request = detach_request(1, 8);
    assert_int_equal(send_with(world, &request, 0), OK);
}

static void add_endpoint_out_of_memory_changes_nothing(void **state)
{
    g_autoptr(PmGuestIommu) iommu = new_iommu(NULL);
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint), .endpoint = 7, .device = "0000:00:07.0"};
    GError *error = NULL;

    (void)state;
    allocations_end_after(0);
    assert_false(pm_guest_iommu_add_endpoint(iommu, &endpoint, &error));
    allocations_go_on();
    assert_error(&error, PM_ERROR_MEMORY, "out of memory for endpoint 0x7");
    assert_false(pm_guest_iommu_next_endpoint(iommu, 0, NULL));
}

#define ALLOCATION_TEST(name)                                                                      \
    cmocka_unit_test_setup_teardown(name, world_setup_driver, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALLOCATION_TEST(attach_out_of_memory_is_deverr),
        ALLOCATION_TEST(map_out_of_memory_is_deverr),
        ALLOCATION_TEST(detach_and_unmap_need_no_memory),
        ALLOCATION_TEST(add_endpoint_out_of_memory_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
