/* SPDX-License-Identifier: MIT */
/* Who may discard, or manage, the RAM of a guest mapper's regions. */
#include <string.h>

#include "guest_world.h"

#define DOMAIN 1

static bool add_plain(GuestWorld *world)
{
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = world->plain,
        .size = PLAIN_SIZE,
        .address = PLAIN,
        .access = PM_IOMMU_READ_WRITE,
    };

    return pm_guest_mapper_add(world->mapper, &region, NULL);
}

static void assert_excluded(PmRam *ram)
{
    g_autoptr(GError) error = NULL;

    assert_null(pm_discard_manager_new(ram, BLOCK, &error));
    guest_assert_error(&error, PM_ERROR_BUSY, "the guest IOMMU's region at 0xfffb0000");
}

static void assert_manageable(PmRam *ram)
{
    g_autoptr(PmDiscardManager) manager = pm_discard_manager_new(ram, BLOCK, NULL);

    assert_non_null(manager);
}

static void plain_ram_gets_no_manager_while_it_has_a_region(void **state)
{
    GuestWorld *world = *state;

    assert_excluded(world->plain);
    assert_true(guest_attach(world, DOMAIN, 0, NULL));
    assert_true(guest_map(world, DOMAIN, IOVA, PLAIN, PAGE, PM_IOMMU_READ, NULL));
    assert_true(guest_unmap(world, DOMAIN, IOVA, PAGE, NULL));
    assert_excluded(world->plain);
    assert_true(pm_guest_mapper_remove(world->mapper, PLAIN, NULL));
    assert_manageable(world->plain);
    assert_true(add_plain(world));
    assert_excluded(world->plain);
    g_clear_pointer(&world->mapper, pm_guest_mapper_free);
    assert_manageable(world->plain);
}

/* Domain 1 maps any part of it, block by block. */
static void plain_ram_that_gets_a_manager_is_mapped_once_it_is_added_again(void **state)
{
    GuestWorld *world = *state;
    g_autoptr(PmDiscardManager) manager = NULL;

    assert_true(guest_attach(world, DOMAIN, 0, NULL));
    assert_true(pm_guest_mapper_remove(world->mapper, PLAIN, NULL));
    manager = pm_discard_manager_new(world->plain, BLOCK, NULL);
    assert_non_null(manager);
    assert_true(add_plain(world));
    assert_true(guest_map(world, DOMAIN, IOVA, PLAIN, PLAIN_SIZE, PM_IOMMU_READ, NULL));
    assert_int_equal(guest_n_mappings(world, 0), PLAIN_SIZE / BLOCK);
    guest_check(world);
    g_clear_pointer(&world->mapper, pm_guest_mapper_free);
}

static void a_balloon_takes_pages_of_plain_ram_that_no_domain_maps(void **state)
{
    GuestWorld *world = *state;
    g_autoptr(GError) error = NULL;

    assert_true(guest_attach(world, DOMAIN, 0, NULL));
    assert_true(guest_map(world, DOMAIN, IOVA, PLAIN + PAGE, PAGE, PM_IOMMU_READ, NULL));
    assert_true(pm_ram_discard(world->plain, 0, PAGE, NULL));
    assert_false(pm_ram_discard(world->plain, PAGE, PAGE, &error));
    guest_assert_error(&error, PM_ERROR_BUSY, "domain 1 disables all discards");
    assert_true(pm_ram_discard(world->plain, 2 * PAGE, PAGE, NULL));
}

static void a_map_that_a_balloons_claim_excludes_names_the_balloon(void **state)
{
    static const uint64_t addresses[] = {PLAIN, MEMORY};
    GuestWorld *world = *state;
    PmRam *rams[] = {world->plain, world->memory};

    guest_plug(world, 0, 1);
    assert_true(guest_attach(world, DOMAIN, 0, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(rams); i++) {
        uint64_t id = pm_ram_claim_discards(rams[i], PM_DISCARD_REQUIRE_UNCOORDINATED,
                                            "the balloon", 0, BLOCK, NULL);
        const GError *refusal;

        assert_int_not_equal(id, 0);
        assert_int_equal(guest_send_map(world, DOMAIN, IOVA, addresses[i], PAGE),
                         PM_VIRTIO_IOMMU_DEVERR);
        assert_int_equal(pm_virtio_iommu_last_refusal(world->table, &refusal),
                         PM_VIRTIO_IOMMU_DEVERR);
        assert_int_equal(refusal->code, PM_ERROR_BUSY);
        if (strstr(refusal->message,
                   "the balloon requires uncoordinated discards of 64K at offset 0x0: have it "
                   "release its claim") == NULL)
            fail_msg("%s", refusal->message);
        assert_true(pm_ram_release_discards(rams[i], id, NULL));
        assert_int_equal(guest_send_map(world, DOMAIN, IOVA, addresses[i], PAGE),
                         PM_VIRTIO_IOMMU_OK);
        assert_true(guest_unmap(world, DOMAIN, IOVA, PAGE, NULL));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_world_setup, guest_world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(plain_ram_gets_no_manager_while_it_has_a_region),
        TEST(plain_ram_that_gets_a_manager_is_mapped_once_it_is_added_again),
        TEST(a_balloon_takes_pages_of_plain_ram_that_no_domain_maps),
        TEST(a_map_that_a_balloons_claim_excludes_names_the_balloon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
