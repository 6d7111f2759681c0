/* SPDX-License-Identifier: MIT */
/* What a guest IOMMU's domains map, as the guest maps, plugs and unplugs. */
#include "guest_world.h"

#include <string.h>

#define DOMAIN 7

static GuestWorld *attached(void **state)
{
    assert_true(guest_attach(*state, DOMAIN, 0, NULL));
    return *state;
}

static void map_all(GuestWorld *world, uint64_t iova, uint64_t address, uint64_t size)
{
    assert_true(guest_map(world, DOMAIN, iova, address, size, PM_IOMMU_READ_WRITE, NULL));
}

static void a_mapping_of_plain_ram_is_one_mapping(void **state)
{
    GuestWorld *world = attached(state);

    map_all(world, IOVA, PLAIN + PAGE, 3 * BLOCK);
    assert_int_equal(guest_n_mappings(world, 0), 1);
    guest_check(world);
    assert_true(guest_unmap(world, DOMAIN, IOVA, 3 * BLOCK, NULL));
    assert_int_equal(guest_n_mappings(world, 0), 0);
    guest_check(world);
}

static void a_mapping_is_split_at_blocks_with_its_first_and_last_part(void **state)
{
    GuestWorld *world = attached(state);

    guest_plug(world, 0, 4);
    map_all(world, IOVA, MEMORY + BLOCK - PAGE, 2 * BLOCK + 3 * PAGE);
    assert_int_equal(guest_n_mappings(world, 0), 4);
    guest_check(world);
}

static void a_page_inside_a_block_is_one_mapping(void **state)
{
    GuestWorld *world = attached(state);

    guest_plug(world, 3, 1);
    map_all(world, IOVA, MEMORY + 3 * BLOCK + 5 * PAGE, PAGE);
    assert_int_equal(guest_n_mappings(world, 0), 1);
    guest_check(world);
}

static void a_mapping_can_straddle_regions(void **state)
{
    GuestWorld *world = attached(state);

    guest_plug(world, 0, N_BLOCKS);
    map_all(world, IOVA, PLAIN + PAGE, MEMORY - PLAIN + N_BLOCKS * BLOCK - 2 * PAGE);
    assert_int_equal(guest_n_mappings(world, 0), 2 + N_BLOCKS);
    guest_check(world);
    assert_true(guest_unmap(world, DOMAIN, 0, UINT64_C(1) << 38, NULL));
    guest_check(world);
}

static void a_rom_is_mapped_for_reading_only(void **state)
{
    GuestWorld *world = attached(state);
    g_autoptr(GError) error = NULL;

    map_all(world, IOVA, ROM, BLOCK);
    guest_check(world);
    assert_false(guest_map(world, DOMAIN, 2 * IOVA, ROM, BLOCK, PM_IOMMU_WRITE, &error));
    guest_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "may only read");
    guest_check(world);
}

static void a_read_only_mapping_stays_so_when_its_block_is_plugged_again(void **state)
{
    GuestWorld *world = attached(state);

    guest_plug(world, 0, 2);
    assert_true(guest_map(world, DOMAIN, IOVA, MEMORY, 2 * BLOCK, PM_IOMMU_READ, NULL));
    guest_check(world);
    guest_unplug(world, 1, 1);
    guest_check(world);
    guest_plug(world, 1, 1);
    guest_check(world);
}

static void mapping_unplugged_memory_fails_without_a_call(void **state)
{
    GuestWorld *world = attached(state);
    g_autoptr(GError) error = NULL;
    uint64_t n_calls;

    guest_plug(world, 0, 2);
    n_calls = either_n_calls(world->kernel, PM_FAKE_CALL_ANY);
    assert_false(guest_map(world, DOMAIN, IOVA, ROM, 4 * BLOCK, PM_IOMMU_READ_WRITE, &error));
    guest_assert_error(&error, PM_ERROR_NOT_POPULATED, "guest address 0x100020000");
    assert_false(guest_map(world, DOMAIN, IOVA, MEMORY + 2 * BLOCK + PAGE, PAGE,
                           PM_IOMMU_READ_WRITE, &error));
    guest_assert_error(&error, PM_ERROR_NOT_POPULATED, "guest address 0x100021000");
    assert_int_equal(either_n_calls(world->kernel, PM_FAKE_CALL_ANY), n_calls);
    guest_check(world);
}

static void mapping_what_is_not_memory_fails(void **state)
{
    GuestWorld *world = attached(state);
    g_autoptr(GError) error = NULL;

    assert_false(guest_map(world, DOMAIN, IOVA, 0, PAGE, PM_IOMMU_READ, &error));
    guest_assert_error(&error, PM_ERROR_NOT_POPULATED, "guest address 0x0 is not memory");
    assert_false(guest_map(world, DOMAIN, IOVA, PLAIN - PAGE, 2 * PAGE, PM_IOMMU_READ, &error));
    guest_assert_error(&error, PM_ERROR_NOT_POPULATED, "is not memory");
    guest_plug(world, 0, N_BLOCKS);
    assert_false(guest_map(world, DOMAIN, IOVA, MEMORY + (N_BLOCKS - 1) * BLOCK, 2 * BLOCK,
                           PM_IOMMU_READ, &error));
    guest_assert_error(&error, PM_ERROR_NOT_POPULATED, "guest address 0x100100000 is not memory");
    guest_check(world);
}

static void unplug_revokes_exactly_the_blocks_mappings_of_all_domains(void **state)
{
    GuestWorld *world = attached(state);
    uint64_t resident;

    assert_true(guest_attach(world, DOMAIN + 1, 1, NULL));
    guest_plug(world, 0, 8);
    map_all(world, IOVA, MEMORY, 8 * BLOCK);
    map_all(world, 2 * IOVA, MEMORY + 3 * BLOCK + PAGE, PAGE);
    map_all(world, 3 * IOVA, MEMORY + 3 * BLOCK - PAGE, 2 * PAGE);
    assert_true(guest_map(world, DOMAIN + 1, IOVA, MEMORY + 2 * BLOCK, 2 * BLOCK,
                          PM_IOMMU_READ_WRITE, NULL));
    guest_check(world);
    assert_int_equal(guest_n_mappings(world, 0), 8 + 1 + 2);
    guest_unplug(world, 3, 1);
    assert_int_equal(guest_n_mappings(world, 0), 7 + 0 + 1);
    assert_int_equal(guest_n_mappings(world, 1), 1);
    guest_check(world);
    assert_true(pm_ram_resident(world->memory, 3 * BLOCK, BLOCK, &resident, NULL));
    assert_int_equal(resident, 0);
}

static void plugging_again_maps_what_the_table_still_maps(void **state)
{
    GuestWorld *world = attached(state);

    guest_plug(world, 0, 8);
    map_all(world, IOVA, MEMORY, 8 * BLOCK);
    map_all(world, 2 * IOVA, MEMORY + PAGE, 3 * BLOCK);
    map_all(world, 3 * IOVA, MEMORY + 2 * BLOCK, PAGE);
    guest_unplug(world, 1, 3);
    guest_check(world);
    assert_true(guest_unmap(world, DOMAIN, 3 * IOVA, PAGE, NULL));
    guest_check(world);
    guest_plug(world, 1, 3);
    assert_int_equal(guest_n_mappings(world, 0), 8 + 4);
    guest_check(world);
}

/* As after a migration, whose destination has the table before the blocks. */
static void loading_a_snapshot_maps_what_the_table_maps(void **state)
{
    GuestWorld *world = attached(state);
    g_autoptr(GBytes) snapshot = NULL;

    guest_plug(world, 2, 3);
    map_all(world, IOVA, MEMORY + 2 * BLOCK, 3 * BLOCK);
    snapshot = pm_virtio_mem_save(world->device, NULL);
    assert_true(pm_virtio_mem_system_reset(world->device, NULL));
    assert_int_equal(guest_n_mappings(world, 0), 0);
    assert_true(pm_virtio_mem_load(world->device, snapshot, NULL));
    assert_int_equal(guest_n_mappings(world, 0), 3);
    guest_check(world);
}

static void unplug_all_and_a_reset_revoke_everything(void **state)
{
    GuestWorld *world = attached(state);

    guest_plug(world, 0, 8);
    map_all(world, IOVA, MEMORY, 8 * BLOCK);
    map_all(world, 2 * IOVA, PLAIN, PLAIN_SIZE);
    assert_int_equal(guest_request(world, PM_VIRTIO_MEM_UNPLUG_ALL, 0, 0), PM_VIRTIO_MEM_ACK);
    assert_int_equal(guest_n_mappings(world, 0), 1);
    guest_check(world);
    guest_plug(world, 4, 2);
    assert_int_equal(guest_n_mappings(world, 0), 3);
    guest_check(world);
    assert_true(pm_virtio_mem_system_reset(world->device, NULL));
    guest_check(world);
}

static void refuse_answers_busy_and_names_domain_and_address(void **state)
{
    GuestWorld *world = attached(state);
    const GError *refusal = NULL;

    guest_plug(world, 0, 8);
    map_all(world, IOVA, MEMORY + BLOCK + PAGE, PAGE);
    assert_int_equal(guest_request(world, PM_VIRTIO_MEM_UNPLUG, 0, 3), PM_VIRTIO_MEM_BUSY);
    assert_int_equal(pm_virtio_mem_last_refusal(world->device, &refusal), PM_REFUSAL_LISTENER);
    assert_non_null(strstr(refusal->message,
                           "domain 7 maps guest address 0x100011000, 0x1000 bytes, at I/O address "
                           "0x10000000"));
    assert_int_equal(guest_n_mappings(world, 0), 1);
    guest_check(world);
    guest_unplug(world, 2, 2);
    assert_true(guest_unmap(world, DOMAIN, IOVA, PAGE, NULL));
    guest_unplug(world, 0, 2);
    guest_check(world);
}

static void several_domains_map_the_same_block(void **state)
{
    GuestWorld *world = attached(state);

    for (uint32_t i = 1; i < N_DEVICES; i++)
        assert_true(guest_attach(world, DOMAIN + i, i, NULL));
    guest_plug(world, 0, 1);
    for (uint32_t i = 0; i < N_DEVICES; i++)
        for (uint64_t j = 0; j < 10; j++)
            assert_true(guest_map(world, DOMAIN + i, IOVA + j * BLOCK, MEMORY + j * PAGE, PAGE,
                                  PM_IOMMU_READ_WRITE, NULL));
    guest_check(world);
    guest_unplug(world, 0, 1);
    for (uint32_t i = 0; i < N_DEVICES; i++)
        assert_int_equal(guest_n_mappings(world, i), 0);
    guest_check(world);
    guest_plug(world, 0, 1);
    guest_check(world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_world_setup, guest_world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_mapping_of_plain_ram_is_one_mapping),
        TEST(a_mapping_is_split_at_blocks_with_its_first_and_last_part),
        TEST(a_page_inside_a_block_is_one_mapping),
        TEST(a_mapping_can_straddle_regions),
        TEST(a_rom_is_mapped_for_reading_only),
        TEST(a_read_only_mapping_stays_so_when_its_block_is_plugged_again),
        TEST(mapping_unplugged_memory_fails_without_a_call),
        TEST(mapping_what_is_not_memory_fails),
        TEST(unplug_revokes_exactly_the_blocks_mappings_of_all_domains),
        TEST(plugging_again_maps_what_the_table_still_maps),
        TEST(loading_a_snapshot_maps_what_the_table_maps),
        TEST(unplug_all_and_a_reset_revoke_everything),
        cmocka_unit_test_setup_teardown(refuse_answers_busy_and_names_domain_and_address,
                                        guest_world_setup_refusing, guest_world_teardown),
        TEST(several_domains_map_the_same_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
