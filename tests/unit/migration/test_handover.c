/* SPDX-License-Identifier: MIT */
/* A handover that succeeds. */
#include "handover_world.h"

#include <string.h>
#include <unistd.h>

#include "util/backend_util.h"

static void run_to_the_end(HandoverWorld *world)
{
    handover_run(world);
    if (!world->new.owns)
        fail_msg("%s", world->new.error->message);
}

static void new_process_owns_everything(void **state)
{
    HandoverWorld *world = *state;

    run_to_the_end(world);
    handover_assert_owner(world, &world->new);
}

static void nothing_is_mapped_or_unmapped(void **state)
{
    HandoverWorld *world = *state;
    uint64_t pinned = backend_get_pinned(world->fake);
    uint64_t n_mappings = pm_fake_kernel_get_n_mappings(world->fake, 1);

    run_to_the_end(world);
    assert_int_equal(backend_get_pinned(world->fake), pinned);
    assert_int_equal(pm_fake_kernel_get_n_mappings(world->fake, 1), n_mappings);
}

static void device_reaches_the_memory_all_along(void **state)
{
    HandoverWorld *world = *state;

    run_to_the_end(world);
    assert_true(world->n_dma_checks > 2);
}

typedef struct {
    const Side *side;
    unsigned n_right;
} Addresses;

static bool count_right(uint64_t iova, uint64_t size G_GNUC_UNUSED, const void *host,
                        PmIommuAccess access G_GNUC_UNUSED, void *user_data)
{
    Addresses *addresses = user_data;
    const PmRam *ram = iova >= MANAGED ? addresses->side->managed : addresses->side->plain;
    const char *expected =
        (const char *)pm_ram_get_host(ram) + (iova - (iova >= MANAGED ? MANAGED : PLAIN));

    addresses->n_right += host == expected;
    return true;
}

static void host_addresses_are_the_new_processes(void **state)
{
    HandoverWorld *world = *state;
    Addresses addresses = {.side = &world->new};

    run_to_the_end(world);
    (void)pm_fake_kernel_foreach_mapping(world->fake, 1, count_right, &addresses);
    assert_int_equal(addresses.n_right, 1 + N_BLOCKS / 2);
}

static void old_objects_can_be_dropped_in_any_order(void **state)
{
    HandoverWorld *world = *state;

    run_to_the_end(world);
    g_clear_pointer(&world->old.iommus[MAIN], pm_iommu_unref);
    g_clear_pointer(&world->old.managed, pm_ram_unref);
    g_clear_pointer(&world->old.manager, pm_discard_manager_unref);
    g_clear_pointer(&world->old.mappers[MAIN], pm_mapper_free);
    handover_check_dma(world);
    assert_true(pm_mapper_audit(world->new.mappers[MAIN], NULL, NULL, NULL));
}

static void old_descriptors_close_without_effect(void **state)
{
    HandoverWorld *world = *state;

    run_to_the_end(world);
    g_clear_pointer(&world->old.mappers[MAIN], pm_mapper_free);
    g_clear_pointer(&world->old.iommus[MAIN], pm_iommu_unref);
    handover_check_dma(world);
    assert_true(pm_iommu_has_device(world->new.iommus[MAIN], "0000:00:04.0"));
    assert_true(pm_iommu_open_device(world->new.iommus[MAIN], "0000:00:04.0", NULL) >= 0);
    handover_check_dma(world);
}

static void new_process_can_hand_over_again(void **state)
{
    HandoverWorld *world = *state;

    run_to_the_end(world);
    assert_true(pm_handover_check(world->new.mappers, N_MAPPERS, NULL));
}

static void both_sides_reserve_as_before(void **state)
{
    HandoverWorld *world = *state;

    run_to_the_end(world);
    assert_int_equal(pm_iommu_get_n_mappings(world->old.iommus[MAIN]), 0);
    assert_int_equal(pm_iommu_get_pinned_bytes(world->old.iommus[MAIN]), 0);
    assert_int_equal(pm_iommu_get_n_mappings(world->new.iommus[MAIN]), 1 + N_BLOCKS / 2);
    assert_int_equal(pm_iommu_get_pinned_bytes(world->new.iommus[MAIN]), SIZE + SIZE / 2);
}

static void ram_keeps_its_contents_when_the_old_one_is_dropped(void **state)
{
    HandoverWorld *world = *state;
    const char *memory;

    run_to_the_end(world);
    g_clear_pointer(&world->old.mappers[MAIN], pm_mapper_free);
    g_clear_pointer(&world->old.manager, pm_discard_manager_unref);
    g_clear_pointer(&world->old.managed, pm_ram_unref);
    memory = pm_ram_get_host(world->new.managed);
    for (unsigned i = 0; i < N_BLOCKS; i++)
        assert_int_equal(memory[i * BLOCK], handover_is_plugged(i) ? (char)(i + 1) : 0);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, handover_world_setup, handover_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_process_owns_everything),
        TEST(nothing_is_mapped_or_unmapped),
        TEST(device_reaches_the_memory_all_along),
        BACKEND_TYPE1_ONLY(TEST(host_addresses_are_the_new_processes)),
        TEST(old_objects_can_be_dropped_in_any_order),
        TEST(old_descriptors_close_without_effect),
        TEST(new_process_can_hand_over_again),
        TEST(both_sides_reserve_as_before),
        TEST(ram_keeps_its_contents_when_the_old_one_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
