/* SPDX-License-Identifier: MIT */
/* The part of a RAM that a claim may map, and whose discards it disables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/discard_policy.h>
#include <plugmap/iommu_claim.h>
#include <plugmap/size.h>

#include "util/backend_util.h"
#include "util/iommu_fixture.h"

/* Beside the fixture's own claim, which is dropped. */
static PmIommuClaimConfig part(IommuFixture *fixture, uint64_t offset, uint64_t size)
{
    fixture_drop_claim(fixture);
    return (PmIommuClaimConfig){
        .struct_size = sizeof(PmIommuClaimConfig),
        .owner = "the ring",
        .ram = fixture->ram,
        .iova = BASE,
        .size = 4 * BLOCK,
        .block_size = BLOCK,
        .ram_offset = offset,
        .ram_size = size,
    };
}

static bool map(PmIommuClaim *claim, uint64_t ram_offset, GError **error)
{
    bool mapped = pm_iommu_claim_map(claim, 0, BLOCK, ram_offset, PM_IOMMU_READ_WRITE, error);

    if (mapped)
        assert_true(pm_iommu_claim_unmap(claim, 0, BLOCK, NULL));
    return mapped;
}

static void a_claim_maps_only_its_part_of_the_ram(void **state)
{
    IommuFixture *fixture = *state;
    const PmIommuClaimConfig config = part(fixture, 2 * BLOCK, 3 * BLOCK);
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(fixture->iommu, &config, NULL);
    g_autoptr(GError) error = NULL;

    assert_false(map(claim, BLOCK, &error));
    assert_error(&error, PM_ERROR_INVALID_ARGUMENT,
                 "are not inside the part of the RAM that the ring may map, 0x600000 bytes at "
                 "offset 0x400000");
    assert_true(map(claim, 2 * BLOCK, NULL));
    assert_true(map(claim, 4 * BLOCK, NULL));
    assert_false(map(claim, 5 * BLOCK, NULL));
    assert_false(map(claim, 4 * BLOCK + 4096, NULL));
}

static void a_part_without_a_size_reaches_to_the_end(void **state)
{
    IommuFixture *fixture = *state;
    const PmIommuClaimConfig config = part(fixture, 2 * BLOCK, 0);
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(fixture->iommu, &config, NULL);

    assert_true(map(claim, FIXTURE_MEMORY_SIZE - BLOCK, NULL));
    assert_false(map(claim, 0, NULL));
    assert_true(pm_ram_discard(fixture->ram, 0, 2 * BLOCK, NULL));
    assert_false(pm_ram_discard(fixture->ram, FIXTURE_MEMORY_SIZE - 4096, 4096, NULL));
}

static void a_part_outside_of_the_ram_is_refused(void **state)
{
    static const struct {
        uint64_t offset;
        uint64_t size;
    } table[] = {{FIXTURE_MEMORY_SIZE, 0},
                 {0, FIXTURE_MEMORY_SIZE + 1},
                 {BLOCK, FIXTURE_MEMORY_SIZE},
                 {BLOCK, UINT64_MAX},
                 {UINT64_MAX, 1}};
    IommuFixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        const PmIommuClaimConfig config = part(fixture, table[i].offset, table[i].size);
        g_autoptr(GError) error = NULL;

        assert_null(pm_iommu_claim_new(fixture->iommu, &config, &error));
        assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "must be inside the RAM");
    }
}

static void discards_beside_the_part_stay_possible(void **state)
{
    IommuFixture *fixture = *state;
    const PmIommuClaimConfig config = part(fixture, 2 * BLOCK, 3 * BLOCK);
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(fixture->iommu, &config, NULL);

    assert_non_null(claim);
    assert_true(pm_ram_discard(fixture->ram, 0, 2 * BLOCK, NULL));
    assert_true(pm_ram_discard(fixture->ram, 5 * BLOCK, BLOCK, NULL));
    assert_false(pm_ram_discard(fixture->ram, 2 * BLOCK, 4096, NULL));
    assert_false(pm_ram_discard(fixture->ram, 5 * BLOCK - 4096, 4096, NULL));
    assert_true(pm_iommu_claim_release(claim, NULL));
    assert_true(pm_ram_discard(fixture->ram, 2 * BLOCK, 3 * BLOCK, NULL));
}

/* After it has disabled discards: type1 has no mappings left to reserve. */
static void a_claim_that_is_refused_disables_nothing(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuClaimConfig config = part(fixture, 0, 0);

    config.block_size = 4096;
    config.size = UINT64_C(65536) * 4096;
    config.reserved_size = config.size;
    assert_null(pm_iommu_claim_new(fixture->iommu, &config, NULL));
    assert_true(pm_ram_discard(fixture->ram, 0, FIXTURE_MEMORY_SIZE, NULL));
}

static void a_second_claim_keeps_discards_disabled(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuClaimConfig config = part(fixture, 0, 2 * BLOCK);
    g_autoptr(PmIommuClaim) first = pm_iommu_claim_new(fixture->iommu, &config, NULL);
    g_autoptr(PmIommuClaim) second = NULL;

    config.iova = BASE + 4 * BLOCK;
    config.ram_offset = BLOCK;
    second = pm_iommu_claim_new(fixture->iommu, &config, NULL);
    assert_true(pm_iommu_claim_release(first, NULL));
    assert_true(pm_ram_discard(fixture->ram, 0, BLOCK, NULL));
    assert_false(pm_ram_discard(fixture->ram, BLOCK, BLOCK, NULL));
    assert_true(pm_iommu_claim_release(second, NULL));
    assert_true(pm_ram_discard(fixture->ram, BLOCK, BLOCK, NULL));
}

#define CLAIM_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM_TEST(a_claim_maps_only_its_part_of_the_ram),
        CLAIM_TEST(a_part_without_a_size_reaches_to_the_end),
        CLAIM_TEST(a_part_outside_of_the_ram_is_refused),
        CLAIM_TEST(discards_beside_the_part_stay_possible),
        BACKEND_TYPE1_ONLY(CLAIM_TEST(a_claim_that_is_refused_disables_nothing)),
        CLAIM_TEST(a_second_claim_keeps_discards_disabled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
