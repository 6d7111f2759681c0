/* SPDX-License-Identifier: MIT */
/* Several mappers of several address spaces in one handover. */
#include "handover_world.h"

#include <plugmap/discard_policy.h>
#include <plugmap/guest_mapper.h>

#include "util/backend_util.h"

static void run_to_the_end(HandoverWorld *world)
{
    handover_run(world);
    if (!world->new.owns)
        fail_msg("%s", world->new.error->message);
}

static void mappers_of_one_address_space_still_share_it(void **state)
{
    HandoverWorld *world = *state;
    PmIommu **iommus = world->new.iommus;

    run_to_the_end(world);
    assert_ptr_equal(iommus[MOVED], iommus[BESIDE]);
    assert_ptr_not_equal(iommus[MOVED], iommus[MAIN]);
}

/* What a test looks at before the offer is refused. */
typedef void (*Look)(const PmHandover *handover);

static void look_at_offer(HandoverWorld *world, Look look)
{
    GThread *thread = handover_start_sending(world);
    PmHandover *handover = handover_receive_and_restore(&world->new, world->sockets[1]);

    assert_non_null(handover);
    look(handover);
    pm_handover_free(handover);
    g_thread_join(thread);
    handover_assert_owner(world, &world->old);
}

static void look_at_ram(const PmHandover *handover)
{
    const PmRam *plain = pm_handover_get_region(handover, MAIN, 0)->ram;
    const PmRam *managed = pm_handover_get_region(handover, MAIN, 1)->ram;

    assert_ptr_equal(pm_handover_get_region(handover, MOVED, 0)->ram, managed);
    assert_ptr_equal(pm_handover_get_region(handover, BESIDE, 0)->ram, plain);
    assert_int_equal(pm_handover_get_region(handover, MOVED, 0)->address, MANAGED_AGAIN);
}

static void ram_of_several_mappers_stays_one(void **state)
{
    look_at_offer(*state, look_at_ram);
}

static void look_past_the_end(const PmHandover *handover)
{
    assert_int_equal(pm_handover_get_n_regions(handover, BESIDE), 1);
    assert_int_equal(pm_handover_get_n_regions(handover, N_MAPPERS), 0);
    assert_null(pm_handover_get_region(handover, BESIDE, 1));
    assert_null(pm_handover_get_region(handover, N_MAPPERS, 0));
}

static void mappers_and_regions_have_an_end(void **state)
{
    look_at_offer(*state, look_past_the_end);
}

/* Changes nothing. */
static void assert_refused(HandoverWorld *world, PmMapper *const *mappers, size_t n_mappers,
                           PmError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_handover_check(mappers, n_mappers, &error));
    handover_assert_error(&error, code, words);
    assert_false(pm_handover_send(mappers, n_mappers, world->sockets[0], &error));
    handover_assert_error(&error, code, words);
}

static void mapper_that_shares_ram_is_not_handed_over_alone(void **state)
{
    HandoverWorld *world = *state;

    assert_refused(world, &world->old.mappers[MAIN], 1, PM_ERROR_BUSY,
                   "the region at 0x100000 relies on 0x100000 bytes at offset 0x0");
    handover_assert_owner(world, &world->old);
}

static void mapper_that_shares_an_address_space_is_not_handed_over_alone(void **state)
{
    HandoverWorld *world = *state;

    assert_refused(world, &world->old.mappers[MOVED], 1, PM_ERROR_BUSY,
                   "the region at 0x100000 has I/O addresses 0x100000-0x1fffff, and is no region "
                   "of a mapper that is handed over");
    handover_assert_owner(world, &world->old);
}

static void mapper_is_handed_over_once(void **state)
{
    HandoverWorld *world = *state;
    PmMapper *const *old = world->old.mappers;
    PmMapper *mappers[] = {old[MAIN], old[MOVED], old[BESIDE], old[MOVED], NULL};

    assert_refused(world, mappers, 4, PM_ERROR_INVALID_ARGUMENT,
                   "mapper 3 of the handover is one of those before it");
    assert_refused(world, &mappers[4], 1, PM_ERROR_INVALID_ARGUMENT, "is NULL");
    handover_assert_owner(world, &world->old);
}

static void number_of_mappers_is_bounded(void **state)
{
    HandoverWorld *world = *state;

    assert_refused(world, NULL, 0, PM_ERROR_INVALID_ARGUMENT, "must be 1 to 1024");
    assert_refused(world, world->old.mappers, 1025, PM_ERROR_INVALID_ARGUMENT, "must be 1 to 1024");
}

/* The first one has begun when the second one is refused. */
static void refusal_of_one_address_space_leaves_the_others_usable(void **state)
{
    HandoverWorld *world = *state;
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, BLOCK, 0, NULL);
    const PmIommuClaimConfig config = {.struct_size = sizeof(config),
                                       .owner = "the ring",
                                       .ram = ram,
                                       .iova = 2 * PM_GIB,
                                       .size = BLOCK,
                                       .block_size = BLOCK};
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(world->old.iommus[MOVED], &config, NULL);
    uint64_t id;

    assert_non_null(claim);
    assert_refused(world, world->old.mappers, N_MAPPERS, PM_ERROR_BUSY, "the ring has I/O");
    handover_assert_owner(world, &world->old);
    id = pm_ram_claim_discards(world->old.plain, PM_DISCARD_DISABLE, "another user", 0, SIZE, NULL);
    assert_int_not_equal(id, 0);
    assert_true(pm_ram_release_discards(world->old.plain, id, NULL));
}

/* The new process would discard what is pinned there. */
static void ram_is_not_mapped_elsewhere_during_the_handover(void **state)
{
    HandoverWorld *world = *state;
    g_autoptr(GError) error = NULL;
    PmIommu *iommu = backend_open(world->fake, 1, NULL);
    PmMapper *elsewhere = pm_mapper_new(iommu);
    PmMapperRegion region = {.struct_size = sizeof(region),
                             .ram = world->old.plain,
                             .size = SIZE,
                             .address = PLAIN,
                             .access = PM_IOMMU_READ_WRITE};
    GThread *thread = handover_start_sending(world);
    PmHandover *handover = handover_receive_and_restore(&world->new, world->sockets[1]);

    assert_non_null(handover);
    assert_false(pm_mapper_add(elsewhere, &region, &error));
    handover_assert_error(&error, PM_ERROR_BUSY, "it is being handed over to another process");
    region.ram = world->old.managed;
    assert_false(pm_mapper_add(elsewhere, &region, NULL));
    pm_handover_free(handover);
    g_thread_join(thread);
    assert_true(pm_mapper_add(elsewhere, &region, NULL));
    pm_mapper_free(elsewhere);
    pm_iommu_unref(iommu);
    handover_assert_owner(world, &world->old);
}

/* --- with a guest mapper --- */

static PmIommu *open_other(void *user_data, const char *device G_GNUC_UNUSED, GError **error)
{
    return backend_open(user_data, 1, error);
}

static PmGuestIommu *make_table(void)
{
    const PmGuestIommuConfig config = {.struct_size = sizeof(config)};
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint), .endpoint = 8, .device = "0000:00:05.0"};
    PmGuestIommu *table = pm_guest_iommu_new(&config, NULL);

    assert_true(pm_guest_iommu_add_endpoint(table, &endpoint, NULL));
    assert_true(pm_guest_iommu_attach(table, 1, false, 8, NULL));
    return table;
}

static PmGuestMapper *make_guest_mapper(HandoverWorld *world, PmGuestIommu *table)
{
    const PmGuestMapperConfig config = {
        .struct_size = sizeof(config), .open = open_other, .user_data = world->fake};
    const PmMapperRegion region = {.struct_size = sizeof(region),
                                   .ram = world->old.managed,
                                   .size = SIZE,
                                   .address = MANAGED,
                                   .access = PM_IOMMU_READ_WRITE};
    PmGuestMapper *mapper = pm_guest_mapper_new(&config, NULL);

    assert_true(pm_guest_mapper_add(mapper, &region, NULL));
    assert_true(pm_guest_mapper_follow(mapper, table, NULL));
    return mapper;
}

/* The new process would discard what the guest's domain has mapped. */
static void ram_that_a_guest_maps_is_not_handed_over(void **state)
{
    HandoverWorld *world = *state;
    g_autoptr(PmGuestIommu) table = make_table();
    PmGuestMapper *mapper = make_guest_mapper(world, table);
    const PmGuestMapping mapping = {
        .last = BLOCK - 1, .address = MANAGED, .access = PM_IOMMU_READ_WRITE};

    assert_true(pm_guest_iommu_map(table, 1, &mapping, NULL));
    assert_refused(world, world->old.mappers, N_MAPPERS, PM_ERROR_BUSY,
                   "domain 1 relies on 0x10000 bytes at offset 0x0");
    assert_true(pm_guest_mapper_audit(mapper, NULL, NULL));
    pm_guest_mapper_free(mapper);
    handover_run(world);
    handover_assert_owner(world, &world->new);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, handover_world_setup, handover_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mappers_of_one_address_space_still_share_it),
        TEST(ram_of_several_mappers_stays_one),
        TEST(mappers_and_regions_have_an_end),
        TEST(mapper_that_shares_ram_is_not_handed_over_alone),
        TEST(mapper_that_shares_an_address_space_is_not_handed_over_alone),
        TEST(mapper_is_handed_over_once),
        TEST(number_of_mappers_is_bounded),
        TEST(refusal_of_one_address_space_leaves_the_others_usable),
        TEST(ram_is_not_mapped_elsewhere_during_the_handover),
        TEST(ram_that_a_guest_maps_is_not_handed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
