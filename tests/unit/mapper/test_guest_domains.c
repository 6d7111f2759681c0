/* SPDX-License-Identifier: MIT */
/* Domains, bypass, regions and limits of a PmGuestMapper. */
#include "guest_world.h"
#include "util/fork_util.h"

#include <errno.h>
#include <stdlib.h>

static void each_domain_is_an_address_space_of_its_own(void **state)
{
    GuestWorld *world = *state;

    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_attach(world, 1, 1, NULL));
    assert_true(guest_attach(world, 2, 2, NULL));
    assert_int_equal(world->n_opened, 2);
    assert_ptr_equal(pm_guest_mapper_get_iommu(world->mapper, 0),
                     pm_guest_mapper_get_iommu(world->mapper, 1));
    assert_true(guest_map(world, 1, IOVA, PLAIN, PAGE, PM_IOMMU_READ, NULL));
    assert_true(guest_map(world, 2, IOVA, PLAIN + PAGE, PAGE, PM_IOMMU_READ, NULL));
    guest_check(world);
    assert_int_equal(guest_n_mappings(world, 1), 1);
}

static void an_endpoint_in_no_domain_can_access_nothing(void **state)
{
    GuestWorld *world = *state;

    assert_null(pm_guest_mapper_get_iommu(world->mapper, 0));
    assert_int_equal(either_n_open(world->kernel), 0);
    guest_check(world);
}

static void the_last_detach_drops_all_mappings_at_once(void **state)
{
    GuestWorld *world = *state;
    uint64_t n_unmaps;

    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_attach(world, 1, 1, NULL));
    guest_plug(world, 0, N_BLOCKS);
    assert_true(guest_map(world, 1, IOVA, PLAIN, N_BLOCKS * BLOCK, PM_IOMMU_READ, NULL));
    assert_true(pm_guest_iommu_detach(world->table, 1, 1, NULL));
    guest_check(world);
    n_unmaps = either_n_calls(world->kernel, PM_FAKE_CALL_UNMAP);
    assert_true(pm_guest_iommu_detach(world->table, 1, 0, NULL));
    assert_true(either_n_calls(world->kernel, PM_FAKE_CALL_UNMAP) - n_unmaps <= N_BLOCKS / 2);
    assert_int_equal(either_n_open(world->kernel), 0);
    assert_int_equal(pm_discard_manager_get_quarantined(pm_virtio_mem_get_manager(world->device)),
                     0);
    guest_check(world);
    guest_unplug(world, 0, N_BLOCKS);
}

static void attaching_elsewhere_moves_a_device_between_address_spaces(void **state)
{
    GuestWorld *world = *state;

    guest_plug(world, 0, 4);
    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_attach(world, 2, 1, NULL));
    assert_true(guest_map(world, 1, IOVA, MEMORY, 2 * BLOCK, PM_IOMMU_READ, NULL));
    assert_true(guest_map(world, 2, IOVA, MEMORY + 2 * BLOCK, BLOCK, PM_IOMMU_READ, NULL));
    assert_true(guest_attach(world, 2, 0, NULL));
    assert_int_equal(guest_n_mappings(world, 0), 1);
    guest_check(world);
    guest_unplug(world, 0, 3);
    guest_check(world);
    assert_true(guest_attach(world, 3, 0, NULL));
    guest_plug(world, 0, 3);
    guest_check(world);
}

/* The host cannot isolate them from each other. */
static void endpoints_of_one_group_can_only_be_in_one_domain(void **state)
{
    GuestWorld *world = *state;
    const PmGuestEndpoint neighbor = {
        .struct_size = sizeof(neighbor), .endpoint = N_DEVICES, .device = "0000:00:1f.0"};
    PmError code = backend_is_iommufd() ? PM_ERROR_UNSUPPORTED : PM_ERROR_BUSY;
    g_autoptr(GError) error = NULL;

    either_needs_fake("needs two devices in one IOMMU group");
    assert_true(pm_fake_kernel_add_device(world->kernel, 1, neighbor.device, "vfio-pci", NULL));
    assert_true(pm_guest_iommu_add_endpoint(world->table, &neighbor, NULL));
    assert_true(guest_attach(world, 1, 0, NULL));
    assert_false(guest_attach(world, 2, N_DEVICES, &error));
    guest_assert_error(&error, code, neighbor.device);
    assert_null(pm_guest_mapper_get_iommu(world->mapper, N_DEVICES));
    assert_true(guest_attach(world, 1, N_DEVICES, NULL));
    assert_false(guest_attach(world, 2, 0, &error));
    guest_assert_error(&error, code, either_device(0));
    assert_ptr_equal(pm_guest_mapper_get_iommu(world->mapper, 0),
                     pm_guest_mapper_get_iommu(world->mapper, N_DEVICES));
    guest_check(world);
}

static void a_failed_move_maps_everything_as_before(void **state)
{
    GuestWorld *world = *state;
    g_autoptr(GError) error = NULL;

    guest_plug(world, 0, 4);
    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_attach(world, 2, 1, NULL));
    assert_true(guest_map(world, 1, IOVA, MEMORY, 4 * BLOCK, PM_IOMMU_READ, NULL));
    guest_unplug(world, 1, 1); /* restored, too: mapped again when plugged */
    either_fail(world->kernel, PM_FAKE_CALL_OPEN, 1, EMFILE);
    assert_false(guest_attach(world, 2, 0, &error));
    assert_non_null(error);
    either_clear_faults(world->kernel);
    assert_int_equal(guest_n_mappings(world, 0), 3);
    guest_check(world);
    guest_plug(world, 1, 1);
    guest_check(world);
}

static void an_endpoint_that_cannot_go_back_can_access_nothing(void **state)
{
    GuestWorld *world = *state;
    PmGuestEndpointInfo info = {.struct_size = sizeof(info)};
    g_autoptr(GError) error = NULL;

    guest_plug(world, 0, 4);
    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_map(world, 1, IOVA, MEMORY, 4 * BLOCK, PM_IOMMU_READ, NULL));
    world->is_open_refused = true;
    assert_false(guest_attach(world, 2, 0, &error));
    guest_assert_error(&error, PM_ERROR_QUARANTINED, "can do no DMA");
    assert_true(pm_guest_iommu_next_endpoint(world->table, 0, &info));
    assert_int_equal(info.domain, PM_GUEST_IOMMU_NO_DOMAIN);
    assert_int_equal(either_n_open(world->kernel), 0);
    guest_check(world);
    guest_unplug(world, 0, 4);
    world->is_open_refused = false;
    assert_true(guest_attach(world, 2, 0, NULL));
    guest_check(world);
}

static void bypass_maps_guest_memory_by_guest_address(void **state)
{
    GuestWorld *world = *state;

    guest_plug(world, 0, 2);
    assert_true(pm_guest_iommu_set_bypass(world->table, true, NULL));
    assert_int_equal(world->n_opened, 1);
    assert_int_equal(guest_n_mappings(world, 2), 1 + 1 + 2);
    guest_check(world);
    guest_plug(world, 2, 8);
    guest_unplug(world, 0, 1);
    guest_check(world);
    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(pm_guest_iommu_attach(world->table, 2, true, 1, NULL));
    guest_check(world);
    assert_int_equal(world->n_opened, 2);
    assert_true(pm_guest_iommu_set_bypass(world->table, false, NULL));
    guest_check(world);
    assert_int_equal(guest_n_mappings(world, 2), 0);
}

static void bypass_follows_unplug_even_if_domains_refuse(void **state)
{
    GuestWorld *world = *state;

    assert_true(pm_guest_iommu_set_bypass(world->table, true, NULL));
    guest_plug(world, 0, 4);
    guest_unplug(world, 1, 2);
    guest_check(world);
}

static void a_mapper_takes_over_a_table_whose_memory_is_partly_unplugged(void **state)
{
    const GuestWorldConfig config = {0};
    GuestWorld *world = guest_world_new_without(&config);

    *state = world;
    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_map(world, 1, IOVA, PLAIN, 12 * BLOCK, PM_IOMMU_READ, NULL));
    guest_plug(world, 1, 3);
    world->mapper = guest_world_make_mapper(world, &config);
    assert_true(pm_guest_mapper_follow(world->mapper, world->table, NULL));
    assert_int_equal(guest_n_mappings(world, 0), 1 + 1 + 3);
    guest_check(world);
    guest_plug(world, 0, 1);
    guest_check(world);
    pm_guest_mapper_free(world->mapper);
    assert_int_equal(either_n_open(world->kernel), 0);
    world->mapper = guest_world_make_mapper(world, &config);
    assert_true(pm_guest_mapper_follow(world->mapper, world->table, NULL));
    guest_check(world);
}

static void a_mapper_follows_one_guest_iommu(void **state)
{
    GuestWorld *world = *state;
    g_autoptr(GError) error = NULL;

    assert_false(pm_guest_mapper_follow(world->mapper, world->table, &error));
    guest_assert_error(&error, PM_ERROR_BUSY, "follows a guest IOMMU already");
}

/* The last mapping leads nowhere; then each call that detaches the two endpoints fails. */
static void a_follow_that_fails_leaves_nothing_though_detaching_fails(void **state)
{
    const GuestWorldConfig config = {0};
    GuestWorld *world = guest_world_new_without(&config);

    *state = world;
    assert_true(guest_attach(world, 1, 1, NULL));
    assert_true(guest_attach(world, 1, 2, NULL));
    assert_true(guest_map(world, 1, IOVA, PLAIN, PAGE, PM_IOMMU_READ, NULL));
    assert_true(guest_map(world, 1, IOVA + PAGE, 0, PAGE, PM_IOMMU_READ, NULL));
    world->mapper = guest_world_make_mapper(world, &config);
    for (unsigned i = 1; i <= 40; i++) {
        either_fail(world->kernel, PM_FAKE_CALL_IOCTL, i, EBUSY);
        assert_false(pm_guest_mapper_follow(world->mapper, world->table, NULL));
        either_clear_faults(world->kernel);
        assert_int_equal(either_n_open(world->kernel), 0);
        assert_null(pm_guest_mapper_get_iommu(world->mapper, 1));
        assert_true(pm_guest_mapper_audit(world->mapper, NULL, NULL));
    }
    assert_true(guest_unmap(world, 1, IOVA + PAGE, PAGE, NULL));
    assert_true(pm_guest_mapper_follow(world->mapper, world->table, NULL));
    guest_check(world);
}

static void freeing_a_mapper_does_not_end_its_successor(void **state)
{
    GuestWorld *world = *state;
    PmGuestMapper *before = world->mapper;

    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_map(world, 1, IOVA, PLAIN, PAGE, PM_IOMMU_READ, NULL));
    assert_true(pm_guest_iommu_set_follower(world->table, NULL, NULL, NULL));
    world->mapper = guest_world_make_mapper(world, &(GuestWorldConfig){0});
    assert_true(pm_guest_mapper_follow(world->mapper, world->table, NULL));
    pm_guest_mapper_free(before);
    assert_int_equal(guest_n_mappings(world, 0), 1);
    guest_check(world);
}

static void a_region_is_removed_once_no_domain_maps_it(void **state)
{
    GuestWorld *world = *state;
    g_autoptr(GError) error = NULL;

    assert_true(pm_guest_iommu_set_bypass(world->table, true, NULL));
    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_map(world, 1, IOVA, ROM - PAGE, 2 * PAGE, PM_IOMMU_READ, NULL));
    assert_false(pm_guest_mapper_remove(world->mapper, ROM, &error));
    guest_assert_error(&error, PM_ERROR_BUSY,
                       "domain 1 maps guest address 0xffff0000 at I/O "
                       "address 0x10001000");
    assert_false(pm_guest_mapper_remove(world->mapper, ROM + PAGE, &error));
    guest_assert_error(&error, PM_ERROR_NOT_FOUND, "no region begins at");
    guest_check(world);
    assert_true(guest_unmap(world, 1, IOVA, 2 * PAGE, NULL));
    assert_int_equal(guest_n_mappings(world, 1), 2);
    assert_true(pm_guest_mapper_remove(world->mapper, ROM, NULL));
    assert_int_equal(guest_n_mappings(world, 1), 1);
    assert_false(guest_map(world, 1, IOVA, ROM, PAGE, PM_IOMMU_READ, &error));
    guest_assert_error(&error, PM_ERROR_NOT_POPULATED, "is not memory");
}

static void a_region_added_late_is_mapped_in_bypass(void **state)
{
    GuestWorld *world = *state;
    const PmMapperRegion rom = {
        .struct_size = sizeof(rom),
        .ram = world->rom,
        .size = BLOCK,
        .address = ROM,
        .access = PM_IOMMU_READ,
    };
    g_autoptr(GError) error = NULL;

    assert_true(pm_guest_mapper_remove(world->mapper, ROM, NULL));
    assert_true(pm_guest_iommu_set_bypass(world->table, true, NULL));
    assert_int_equal(guest_n_mappings(world, 0), 1);
    assert_true(pm_guest_mapper_add(world->mapper, &rom, NULL));
    guest_check(world);
    assert_false(pm_guest_mapper_add(world->mapper, &rom, &error));
    guest_assert_error(&error, PM_ERROR_OVERLAP, "overlaps");
    guest_check(world);
}

static void a_guest_cannot_exceed_the_limit_of_a_domain(void **state)
{
    GuestWorld *world = guest_world_new(&(GuestWorldConfig){.max_mappings = 8});
    g_autoptr(GError) error = NULL;
    uint64_t n_calls;

    *state = world;
    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_attach(world, 2, 1, NULL));
    guest_plug(world, 0, 8);
    assert_true(guest_map(world, 1, IOVA, MEMORY, 5 * BLOCK, PM_IOMMU_READ, NULL));
    guest_unplug(world, 0, 4); /* their room stays reserved */
    guest_plug(world, 4 + 4, 4);
    n_calls = either_n_calls(world->kernel, PM_FAKE_CALL_ANY);
    assert_false(
        guest_map(world, 1, 2 * IOVA, MEMORY + 4 * BLOCK, 4 * BLOCK, PM_IOMMU_READ, &error));
    guest_assert_error(&error, PM_ERROR_GUEST_LIMIT,
                       "domain 1 needs 4 mappings more, and has 5 of at most 8");
    assert_int_equal(either_n_calls(world->kernel, PM_FAKE_CALL_ANY), n_calls);
    assert_true(guest_map(world, 1, 2 * IOVA, MEMORY + 4 * BLOCK, 3 * BLOCK, PM_IOMMU_READ, NULL));
    assert_true(guest_map(world, 2, IOVA, MEMORY + 4 * BLOCK, 4 * BLOCK, PM_IOMMU_READ, NULL));
    assert_true(guest_unmap(world, 1, IOVA, 5 * BLOCK, NULL));
    assert_true(guest_map(world, 1, IOVA, MEMORY + 4 * BLOCK, 4 * BLOCK, PM_IOMMU_READ, NULL));
    guest_check(world);
}

static void assert_refusal(const GuestWorld *world, PmError code)
{
    const GError *refusal;

    (void)pm_virtio_iommu_last_refusal(world->table, &refusal);
    assert_int_equal(refusal->code, code);
}

static void only_a_limit_of_the_guest_is_nomem(void **state)
{
    GuestWorld *world =
        guest_world_new(&(GuestWorldConfig){.max_mappings = 8, .memlock_limit = 4 * BLOCK});

    *state = world;
    assert_true(guest_attach(world, 1, 0, NULL));
    guest_plug(world, 0, 9);
    assert_int_equal(guest_send_map(world, 1, IOVA, MEMORY, 9 * BLOCK), PM_VIRTIO_IOMMU_NOMEM);
    assert_refusal(world, PM_ERROR_GUEST_LIMIT);
    assert_int_equal(guest_send_map(world, 1, IOVA, MEMORY, 5 * BLOCK), PM_VIRTIO_IOMMU_DEVERR);
    assert_refusal(world, PM_ERROR_LOCKED_MEMORY);
    either_fail(world->kernel, PM_FAKE_CALL_MAP, 1, ENOSPC);
    assert_int_equal(guest_send_map(world, 1, IOVA, MEMORY, BLOCK), PM_VIRTIO_IOMMU_DEVERR);
    assert_refusal(world, PM_ERROR_LIMIT);
    assert_int_equal(guest_send_map(world, 1, IOVA, MEMORY, BLOCK), PM_VIRTIO_IOMMU_OK);
    guest_check(world);
}

static void room_for_what_the_table_maps_stays_reserved(void **state)
{
    GuestWorld *world = guest_world_new(&(GuestWorldConfig){.memlock_limit = 8 * BLOCK});
    g_autoptr(GError) error = NULL;

    *state = world;
    assert_true(guest_attach(world, 1, 0, NULL));
    guest_plug(world, 0, 8);
    assert_true(guest_map(world, 1, IOVA, MEMORY, 6 * BLOCK, PM_IOMMU_READ, NULL));
    guest_unplug(world, 0, 4);
    assert_false(
        guest_map(world, 1, 2 * IOVA, MEMORY + 4 * BLOCK, 3 * BLOCK, PM_IOMMU_READ, &error));
    guest_assert_error(&error, PM_ERROR_LOCKED_MEMORY, "");
    guest_check(world);
    guest_plug(world, 0, 4);
    guest_check(world);
    assert_int_equal(guest_n_mappings(world, 0), 6);
}

static void a_guest_cannot_map_an_address_of_another_claim(void **state)
{
    GuestWorld *world = *state;
    g_autoptr(PmIommuClaim) claim = NULL;
    PmGuestMapperAudit audit = {.struct_size = sizeof(audit)};
    PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = world->plain,
        .iova = IOVA + PAGE,
        .size = PAGE,
        .block_size = PAGE,
    };
    g_autoptr(GError) error = NULL;

    assert_true(guest_attach(world, 1, 0, NULL));
    claim = pm_iommu_claim_new(pm_guest_mapper_get_iommu(world->mapper, 0), &config, NULL);
    assert_non_null(claim);
    assert_true(pm_iommu_claim_map(claim, 0, PAGE, 0, PM_IOMMU_READ, NULL));
    guest_plug(world, 0, 1);
    assert_false(guest_map(world, 1, IOVA, ROM + BLOCK - PAGE, 2 * PAGE, PM_IOMMU_READ, &error));
    guest_assert_error(&error, PM_ERROR_OVERLAP, "the test");
    assert_true(pm_guest_mapper_audit(world->mapper, &audit, NULL));
    assert_int_equal(audit.n_mapped, 0);
    assert_int_equal(audit.n_others, 1);
    assert_true(pm_iommu_claim_release(claim, NULL));
}

static bool use_in_child(void *user_data)
{
    GuestWorld *world = user_data;
    GError *errors[3] = {NULL, NULL, NULL};
    bool done[3];
    bool refused = true;

    done[0] = guest_map(world, 1, 2 * IOVA, PLAIN, PAGE, PM_IOMMU_READ, &errors[0]);
    done[1] = guest_unmap(world, 1, IOVA, 2 * BLOCK, &errors[1]);
    done[2] = pm_guest_mapper_audit(world->mapper, NULL, &errors[2]);
    for (unsigned i = 0; i < 3; i++)
        refused = is_refused(done[i], errors[i]) && refused;
    pm_guest_mapper_free(world->mapper);
    return refused;
}

static void a_forked_child_changes_nothing(void **state)
{
    GuestWorld *world = *state;

    guest_plug(world, 0, 2);
    assert_true(guest_attach(world, 1, 0, NULL));
    assert_true(guest_attach(world, 1, 1, NULL));
    assert_true(guest_map(world, 1, IOVA, MEMORY, 2 * BLOCK, PM_IOMMU_READ, NULL));
    for (unsigned i = 0; i < n_ways_to_fork; i++) {
        assert_child(ways_to_fork[i], use_in_child, world);
        guest_check(world);
    }
    guest_unplug(world, 0, 1);
    guest_check(world);
}

static void invalid_configurations_are_refused(void **state)
{
    const GuestWorld *world = *state;
    PmGuestMapperConfig config = {.struct_size = sizeof(config)};
    const PmMapperRegion region = {.struct_size = sizeof(region)};
    g_autoptr(GError) error = NULL;

    assert_null(pm_guest_mapper_new(&config, &error));
    guest_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "open is missing");
    config.open = (PmIommu * (*)(void *, const char *, GError **)) abort;
    config.unplug = (PmGuestUnplug)2;
    assert_null(pm_guest_mapper_new(&config, &error));
    guest_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "unplug");
    config.struct_size = 0;
    assert_null(pm_guest_mapper_new(&config, &error));
    guest_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "struct_size");
    assert_false(pm_guest_mapper_add(world->mapper, &region, &error));
    guest_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "has no RAM");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_world_setup, guest_world_teardown)
#define OWN(name)  cmocka_unit_test_teardown(name, guest_world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_domain_is_an_address_space_of_its_own),
        TEST(an_endpoint_in_no_domain_can_access_nothing),
        TEST(the_last_detach_drops_all_mappings_at_once),
        TEST(attaching_elsewhere_moves_a_device_between_address_spaces),
        TEST(endpoints_of_one_group_can_only_be_in_one_domain),
        TEST(a_failed_move_maps_everything_as_before),
        TEST(an_endpoint_that_cannot_go_back_can_access_nothing),
        TEST(bypass_maps_guest_memory_by_guest_address),
        cmocka_unit_test_setup_teardown(bypass_follows_unplug_even_if_domains_refuse,
                                        guest_world_setup_refusing, guest_world_teardown),
        OWN(a_mapper_takes_over_a_table_whose_memory_is_partly_unplugged),
        TEST(a_mapper_follows_one_guest_iommu),
        OWN(a_follow_that_fails_leaves_nothing_though_detaching_fails),
        TEST(freeing_a_mapper_does_not_end_its_successor),
        TEST(a_region_is_removed_once_no_domain_maps_it),
        TEST(a_region_added_late_is_mapped_in_bypass),
        OWN(a_guest_cannot_exceed_the_limit_of_a_domain),
        OWN(only_a_limit_of_the_guest_is_nomem),
        OWN(room_for_what_the_table_maps_stays_reserved),
        TEST(a_guest_cannot_map_an_address_of_another_claim),
        TEST(a_forked_child_changes_nothing),
        TEST(invalid_configurations_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
