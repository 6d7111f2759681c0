/* SPDX-License-Identifier: MIT */
/* Refused regions and failed additions leave nothing mapped, reserved or referenced. */
#include "region_world.h"

#include <errno.h>

#include "util/allocation_util.h"

typedef struct {
    uint64_t ram_offset;
    uint64_t size;
    uint64_t address;
    int access;
    unsigned flags;
    PmError code;
    const char *words;
} Refusal;

static void assert_refused(RegionWorld *world, const Refusal *refusal)
{
    const PmMapperRegion region = {
        .struct_size = sizeof(region),
        .ram = world->ram,
        .ram_offset = refusal->ram_offset,
        .size = refusal->size,
        .address = refusal->address,
        .access = (PmIommuAccess)refusal->access,
        .flags = refusal->flags,
    };
    g_autoptr(GError) error = NULL;

    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, refusal->code, refusal->words);
    region_assert_nothing_left(world);
}

static void assert_all_refused(RegionWorld *world, const Refusal *refusals, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_refused(world, &refusals[i]);
}

static void region_without_ram_is_refused(void **state)
{
    RegionWorld *world = *state;
    const PmMapperRegion region = {
        .struct_size = sizeof(region), .size = BLOCK, .address = LOW, .access = PM_IOMMU_READ};
    g_autoptr(GError) error = NULL;

    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_INVALID_ARGUMENT, "no RAM");
}

static void region_past_the_end_of_the_ram_is_refused(void **state)
{
    static const Refusal refusals[] = {
        {0, SIZE + BLOCK, LOW, 3, 0, PM_ERROR_INVALID_ARGUMENT,
         "must be inside the RAM of 0x100000"},
        {BLOCK, SIZE, LOW, 3, 0, PM_ERROR_INVALID_ARGUMENT, "at offset 0x10000"},
        {SIZE, BLOCK, LOW, 3, 0, PM_ERROR_INVALID_ARGUMENT, "must be inside"},
        {SIZE + BLOCK, BLOCK, LOW, 3, 0, PM_ERROR_INVALID_ARGUMENT, "must be inside"},
        {-BLOCK, 2 * BLOCK, LOW, 3, 0, PM_ERROR_INVALID_ARGUMENT, "must be inside"},
        {BLOCK, -BLOCK, LOW, 3, 0, PM_ERROR_INVALID_ARGUMENT, "must be inside"},
    };

    assert_all_refused(*state, refusals, G_N_ELEMENTS(refusals));
}

static void empty_region_is_refused(void **state)
{
    static const Refusal refusals[] = {
        {0, 0, LOW, 3, 0, PM_ERROR_INVALID_ARGUMENT, "is empty"},
        {SIZE, 0, LOW, 3, 0, PM_ERROR_INVALID_ARGUMENT, "is empty"},
    };

    assert_all_refused(*state, refusals, G_N_ELEMENTS(refusals));
}

static void region_past_the_last_guest_address_is_refused(void **state)
{
    static const Refusal refusals[] = {
        {0, 2 * BLOCK, -BLOCK, 3, 0, PM_ERROR_INVALID_ARGUMENT, "past the last guest address"},
        {0, BLOCK, -BLOCK, 3, 0, PM_ERROR_IOVA_RANGE, "valid ranges"},
        {0, SIZE, 0xfee00000 - BLOCK, 3, 0, PM_ERROR_IOVA_RANGE, "valid ranges"},
    };

    assert_all_refused(*state, refusals, G_N_ELEMENTS(refusals));
}

static void unknown_access_and_flags_are_refused(void **state)
{
    static const Refusal refusals[] = {
        {0, BLOCK, LOW, 0, 0, PM_ERROR_INVALID_ARGUMENT, "invalid access 0x0"},
        {0, BLOCK, LOW, 4, 0, PM_ERROR_INVALID_ARGUMENT, "invalid access 0x4"},
        {0, BLOCK, LOW, 3, 1u << 31, PM_ERROR_INVALID_ARGUMENT, "invalid flags 0x80000000"},
    };

    assert_all_refused(*state, refusals, G_N_ELEMENTS(refusals));
}

static void plain_region_off_the_iommus_pages_is_refused(void **state)
{
    static const Refusal refusals[] = {
        {0x800, BLOCK, LOW, 3, 0, PM_ERROR_UNALIGNED, "multiples of 4K, the IOMMU's page"},
        {0, 0x1800, LOW, 3, 0, PM_ERROR_UNALIGNED, "multiples of 4K"},
        {0, BLOCK, LOW + 0x800, 3, 0, PM_ERROR_UNALIGNED, "multiples of 4K"},
    };

    assert_all_refused(*state, refusals, G_N_ELEMENTS(refusals));
}

static void managed_region_off_the_managers_blocks_is_refused(void **state)
{
    static const Refusal refusals[] = {
        {0x1000, BLOCK, LOW, 3, 0, PM_ERROR_UNALIGNED, "multiples of 64K, the manager's block"},
        {0, BLOCK + 0x1000, LOW, 3, 0, PM_ERROR_UNALIGNED, "multiples of 64K"},
        {0, BLOCK, LOW + 0x1000, 3, 0, PM_ERROR_UNALIGNED, "multiples of 64K"},
    };

    assert_all_refused(*state, refusals, G_N_ELEMENTS(refusals));
}

/* --- overlaps --- */

static void regions_of_one_mapper_may_touch_but_not_overlap(void **state)
{
    RegionWorld *world = *state;
    const uint64_t overlapping[] = {LOW - 3 * BLOCK, LOW, LOW + BLOCK, LOW + 7 * BLOCK};

    assert_true(region_add(world, 0, 8, LOW));
    for (size_t i = 0; i < G_N_ELEMENTS(overlapping); i++) {
        const PmMapperRegion region = region_of(world, 8, 4, overlapping[i]);
        g_autoptr(GError) error = NULL;

        assert_false(pm_mapper_add(world->mappers[0], &region, &error));
        region_assert_code(&error, PM_ERROR_OVERLAP, "overlaps the one at 0x40000000-0x4007ffff");
    }
    assert_true(region_add(world, 8, 4, LOW - 4 * BLOCK));
    assert_true(region_add(world, 8, 4, LOW + 8 * BLOCK));
    assert_int_equal(region_n_mappings(world, 0), 3);
}

static void mappers_of_one_address_space_do_not_overlap(void **state)
{
    RegionWorld *world = *state;
    g_autoptr(PmMapper) other = pm_mapper_new(world->iommus[0]);
    const PmMapperRegion region = region_of(world, 8, 4, LOW + 7 * BLOCK);
    g_autoptr(GError) error = NULL;

    assert_true(region_add(world, 0, 8, LOW));
    assert_false(pm_mapper_add(other, &region, &error));
    region_assert_code(&error, PM_ERROR_OVERLAP, "those of the region at 0x40000000");
    assert_true(pm_mapper_add(world->mappers[1], &region, NULL));
}

/* --- failures --- */

/* Adds the second half of the RAM after an existing region, with each of @code failing in turn. */
static void fail_each_call(RegionWorld *world, PmFakeCall call)
{
    const PmMapperRegion region = region_of(world, 8, 8, HIGH);
    bool added = false;

    for (uint64_t nth = 1; !added; nth++) {
        either_fail(world->kernel, call, nth, EIO);
        added = pm_mapper_add(world->mappers[0], &region, NULL);
        either_clear_faults(world->kernel);
        if (!added)
            region_assert_nothing_left(world);
    }
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
}

static void failed_call_leaves_nothing_of_plain_ram(void **state)
{
    fail_each_call(*state, PM_FAKE_CALL_IOCTL);
}

static void failed_call_leaves_nothing_of_managed_ram(void **state)
{
    RegionWorld *world = *state;

    assert_true(region_plug(world, 6, 4));
    assert_true(region_plug(world, 12, 2));
    fail_each_call(world, PM_FAKE_CALL_IOCTL);
    assert_int_equal(region_n_mappings(world, 0), 4);
}

static void out_of_memory_leaves_nothing(void **state)
{
    RegionWorld *world = *state;
    const PmMapperRegion region = region_of(world, 8, 8, HIGH);
    bool added = false;

    if (world->manager != NULL)
        assert_true(region_plug(world, 9, 4));
    for (unsigned n_left = 0; !added; n_left++) {
        allocations_end_after(n_left);
        added = pm_mapper_add(world->mappers[0], &region, NULL);
        allocations_go_on();
        if (!added)
            region_assert_nothing_left(world);
    }
    assert_true(pm_mapper_audit(world->mappers[0], NULL, NULL, NULL));
}

/* The claim exists, and has reserved room, when the manager refuses. */
static void refused_listener_leaves_nothing(void **state)
{
    RegionWorld *world = *state;
    const PmMapperRegion high = region_of(world, 8, 8, HIGH);
    const PmMapperRegion low = region_of(world, 8, 8, LOW);
    g_autoptr(GError) error = NULL;

    assert_true(region_plug(world, 9, 2));
    assert_true(pm_mapper_add(world->mappers[1], &low, NULL));
    either_shorten_unmap(world->kernel, 1);
    assert_false(region_unplug(world, 9, 2));
    assert_false(pm_mapper_add(world->mappers[0], &high, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_QUARANTINED));
    assert_int_equal(region_n_mappings(world, 0), 0);
    assert_true(pm_mapper_remove(world->mappers[1], LOW, NULL));
    region_assert_nothing_left(world);
}

static void region_that_is_refused_for_want_of_room_reserves_none(void **state)
{
    RegionWorld *world = *state;
    const PmMapperRegion region = region_of(world, 0, 8, LOW);
    g_autoptr(GError) error = NULL;

    either_set_memlock(world->kernel, 7 * BLOCK, false);
    assert_false(pm_mapper_add(world->mappers[0], &region, &error));
    region_assert_code(&error, PM_ERROR_LOCKED_MEMORY, "448K");
    region_assert_nothing_left(world);
    assert_true(region_add(world, 0, 7, LOW));
}

#define PLAIN(test)   cmocka_unit_test_setup_teardown(test, region_world_plain, region_world_free)
#define MANAGED(test) cmocka_unit_test_setup_teardown(test, region_world_managed, region_world_free)

int main(void)
{
    const struct CMUnitTest plain[] = {
        PLAIN(region_without_ram_is_refused),
        PLAIN(region_past_the_end_of_the_ram_is_refused),
        PLAIN(empty_region_is_refused),
        PLAIN(region_past_the_last_guest_address_is_refused),
        PLAIN(unknown_access_and_flags_are_refused),
        PLAIN(plain_region_off_the_iommus_pages_is_refused),
        PLAIN(regions_of_one_mapper_may_touch_but_not_overlap),
        PLAIN(mappers_of_one_address_space_do_not_overlap),
        PLAIN(failed_call_leaves_nothing_of_plain_ram),
        PLAIN(out_of_memory_leaves_nothing),
        PLAIN(region_that_is_refused_for_want_of_room_reserves_none),
    };
    const struct CMUnitTest managed[] = {
        MANAGED(region_past_the_end_of_the_ram_is_refused),
        MANAGED(empty_region_is_refused),
        MANAGED(region_past_the_last_guest_address_is_refused),
        MANAGED(managed_region_off_the_managers_blocks_is_refused),
        MANAGED(mappers_of_one_address_space_do_not_overlap),
        MANAGED(failed_call_leaves_nothing_of_managed_ram),
        MANAGED(out_of_memory_leaves_nothing),
        MANAGED(refused_listener_leaves_nothing),
        MANAGED(region_that_is_refused_for_want_of_room_reserves_none),
    };
    int n_failed = cmocka_run_group_tests(plain, NULL, NULL);

    return n_failed + cmocka_run_group_tests(managed, NULL, NULL);
}
