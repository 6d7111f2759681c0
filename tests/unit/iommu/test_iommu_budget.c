/* SPDX-License-Identifier: MIT */
/* The limits of mappings and of locked memory, and what claims reserve of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>

#include "util/backend_util.h"
#include "util/iommu_fixture.h"

#define NO_LIMIT 65535

/* Allows this number of mappings and this much locked memory. */
static IommuFixture *make_limited(uint32_t entry_limit, uint64_t memlock_limit)
{
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.entry_limit = entry_limit;
    config.memlock_limit = memlock_limit;
    return iommu_fixture_new(&config);
}

/* A claim of 16 blocks after the fixture's claim, number @nth of them, with some reserved. */
static PmIommuClaim *reserve_in(IommuFixture *fixture, PmIommu *iommu, unsigned nth,
                                uint64_t n_blocks, GError **error)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "who reserves",
        .ram = fixture->ram,
        .iova = BASE + FIXTURE_MEMORY_SIZE + nth * (16 * BLOCK),
        .size = 16 * BLOCK,
        .block_size = BLOCK,
        .reserved_size = n_blocks * BLOCK,
    };

    return pm_iommu_claim_new(iommu, &config, error);
}

static PmIommuClaim *reserve(IommuFixture *fixture, unsigned nth, uint64_t n_blocks)
{
    g_autoptr(GError) error = NULL;
    PmIommuClaim *claim = reserve_in(fixture, fixture->iommu, nth, n_blocks, &error);

    if (claim == NULL)
        fail_msg("%s", error->message);
    return claim;
}

static void assert_not_reserved(IommuFixture *fixture, unsigned nth, uint64_t n_blocks,
                                PmError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_null(reserve_in(fixture, fixture->iommu, nth, n_blocks, &error));
    assert_error(&error, code, words);
}

static bool map_in(PmIommuClaim *claim, uint64_t first, uint64_t count, GError **error)
{
    return pm_iommu_claim_map(claim, first * BLOCK, count * BLOCK, first * BLOCK, PM_IOMMU_READ,
                              error);
}

static void assert_over(PmIommuClaim *claim, uint64_t size, PmError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_claim_check_room(claim, size, &error));
    assert_error(&error, code, words);
}

static bool has_room(PmIommuClaim *claim, uint64_t n_blocks)
{
    return pm_iommu_claim_check_room(claim, n_blocks * BLOCK, NULL);
}

/* --- mappings --- */

static void limit_and_dma_avail_are_the_kernels(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_available = 0;

    assert_int_equal(pm_iommu_get_mapping_limit(fixture->iommu), 65535);
    assert_true(pm_iommu_query_available(fixture->iommu, &n_available, NULL));
    assert_int_equal(n_available, 65535);
    assert_true(fixture_map(fixture, 0, 5, NULL));
    assert_true(pm_iommu_query_available(fixture->iommu, &n_available, NULL));
    assert_int_equal(n_available, 65530);
    assert_int_equal(pm_iommu_get_mapping_limit(fixture->iommu), 65535);
}

static void there_is_no_limit_of_mappings(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_available = 0;

    assert_true(pm_iommu_get_mapping_limit(fixture->iommu) == UINT64_MAX);
    assert_true(pm_iommu_query_available(fixture->iommu, &n_available, NULL));
    assert_true(n_available == UINT64_MAX);
    assert_true(has_room(fixture->claim, UINT64_C(1) << 40));
}

static void query_available_can_fail(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;
    uint64_t n_available = 7;

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_false(pm_iommu_query_available(fixture->iommu, &n_available, &error));
    assert_error(&error, PM_ERROR_KERNEL, "EIO");
    assert_int_equal(n_available, 7);
}

static void room_ends_exactly_at_the_limit(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);

    (void)state;
    assert_true(fixture_map(fixture, 0, 3, NULL));
    assert_true(has_room(fixture->claim, 5));
    assert_over(fixture->claim, 6 * BLOCK, PM_ERROR_LIMIT,
                "6 more mappings would exceed the container's limit of 8 (3 in use, room for 5)");
    assert_over(fixture->claim, UINT64_MAX - BLOCK + 1, PM_ERROR_LIMIT,
                "8,796,093,022,207 more mappings");
    assert_mapped(fixture, 3);
    iommu_fixture_free(fixture);
}

static void check_room_makes_no_call(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_ioctls = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL);
    unsigned n_queries = fixture->hooked.n_locked_queries;

    assert_true(has_room(fixture->claim, 5));
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL), n_ioctls);
    assert_int_equal(fixture->hooked.n_locked_queries, n_queries);
}

static void advice_is_the_smallest_block_size_that_fits(void **state)
{
    IommuFixture *fixture = make_limited(NO_LIMIT, UINT64_MAX);
    g_autoptr(PmIommuClaim) pages = fixture_claim(fixture, 0, 4096, 4096, NULL);

    (void)state;
    assert_over(fixture->claim, 65536 * BLOCK, PM_ERROR_LIMIT,
                "use blocks of at least 4M, or raise "
                "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit to 65536 before the "
                "container is opened");
    assert_over(fixture->claim, 16 * PM_TIB, PM_ERROR_LIMIT, "blocks of at least 512M");
    /* 1 TiB and a page in blocks of 4 KiB: 65,535 blocks of 16 MiB are a page too few. */
    assert_over(pages, 65535 * (16 * PM_MIB) + 4096, PM_ERROR_LIMIT, "blocks of at least 32M");
    g_clear_pointer(&pages, pm_iommu_claim_unref);
    iommu_fixture_free(fixture);
}

static void full_container_advises_larger_blocks_for_all(void **state)
{
    IommuFixture *fixture = make_limited(4, UINT64_MAX);

    (void)state;
    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_over(fixture->claim, BLOCK, PM_ERROR_LIMIT, "blocks of at least 4M");
    iommu_fixture_free(fixture);
}

static void no_block_size_is_advised_if_none_would_fit(void **state)
{
    IommuFixture *fixture = make_limited(4, UINT64_MAX);
    PmIommuClaim *all = reserve(fixture, 0, 4);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_false(pm_iommu_claim_check_room(fixture->claim, BLOCK, &error));
    assert_null(strstr(error->message, "blocks of at least"));
    assert_error(&error, PM_ERROR_LIMIT, "limit of 4 (0 in use, 4 more reserved, room for 0)");
    pm_iommu_claim_unref(all);
    iommu_fixture_free(fixture);
}

static void reserved_mappings_add_up_over_claims(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);
    PmIommuClaim *first = reserve(fixture, 0, 5);
    PmIommuClaim *second;

    (void)state;
    assert_not_reserved(fixture, 1, 4, PM_ERROR_LIMIT,
                        "4 more mappings would exceed the container's limit of 8 (0 in use, 5 more "
                        "reserved, room for 3)");
    second = reserve(fixture, 1, 3);
    assert_not_reserved(fixture, 2, 1, PM_ERROR_LIMIT, "8 more reserved, room for 0");
    assert_mapped(fixture, 0);
    pm_iommu_claim_unref(first);
    pm_iommu_claim_unref(second);
    iommu_fixture_free(fixture);
}

static void nobody_maps_what_others_have_reserved(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);
    PmIommuClaim *reserved = reserve(fixture, 0, 5);
    uint64_t n_maps = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_MAP);
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_false(fixture_map(fixture, 0, 4, &error));
    assert_error(&error, PM_ERROR_LIMIT, "(0 in use, 5 more reserved, room for 3)");
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_MAP), n_maps);
    assert_true(fixture_map(fixture, 0, 3, NULL));
    assert_true(map_in(reserved, 0, 5, NULL));
    assert_mapped(fixture, 8);
    pm_iommu_claim_unref(reserved);
    iommu_fixture_free(fixture);
}

static void what_is_mapped_of_a_reservation_counts_once(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);
    PmIommuClaim *reserved = reserve(fixture, 0, 5);

    (void)state;
    assert_true(map_in(reserved, 0, 4, NULL));
    assert_over(fixture->claim, 4 * BLOCK, PM_ERROR_LIMIT,
                "(4 in use, 1 more reserved, room for 3)");
    assert_true(map_in(reserved, 4, 2, NULL));
    assert_over(fixture->claim, 3 * BLOCK, PM_ERROR_LIMIT, "(6 in use, room for 2)");
    assert_true(pm_iommu_claim_unmap(reserved, 0, 6 * BLOCK, NULL));
    assert_over(fixture->claim, 4 * BLOCK, PM_ERROR_LIMIT,
                "(0 in use, 5 more reserved, room for 3)");
    pm_iommu_claim_unref(reserved);
    iommu_fixture_free(fixture);
}

static void reservation_of_the_claim_counts_as_room(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);
    PmIommuClaim *reserved = reserve(fixture, 0, 8);

    (void)state;
    assert_true(has_room(reserved, 8));
    assert_over(reserved, 9 * BLOCK, PM_ERROR_LIMIT, "1 more mapping would exceed");
    assert_false(has_room(fixture->claim, 1));
    pm_iommu_claim_unref(reserved);
    iommu_fixture_free(fixture);
}

static void released_claim_frees_its_room(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);
    PmIommuClaim *reserved = reserve(fixture, 0, 8);

    (void)state;
    assert_true(map_in(reserved, 0, 3, NULL));
    assert_false(has_room(fixture->claim, 1));
    assert_true(pm_iommu_claim_release(reserved, NULL));
    assert_true(has_room(fixture->claim, 8));
    pm_iommu_claim_unref(reserved);
    assert_true(fixture_map(fixture, 0, 8, NULL));
    iommu_fixture_free(fixture);
}

/* The kernel may still have them. */
static void unknown_blocks_take_room_until_they_are_purged(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);

    (void)state;
    assert_true(fixture_map(fixture, 0, 6, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 0, 6, NULL));
    assert_false(has_room(fixture->claim, 3));
    assert_true(pm_iommu_claim_purge(fixture->claim, NULL));
    assert_true(has_room(fixture->claim, 8));
    iommu_fixture_free(fixture);
}

/* Until it is settled. Its remaining reservation is released. */
static void abandoned_claim_counts_what_it_may_have_mapped(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);
    PmIommuClaim *abandoned = reserve(fixture, 0, 5);

    (void)state;
    assert_true(map_in(abandoned, 0, 2, NULL));
    pm_iommu_claim_abandon(abandoned);
    pm_iommu_claim_unref(abandoned);
    assert_true(has_room(fixture->claim, 6));
    assert_false(has_room(fixture->claim, 7));
    assert_true(pm_iommu_settle(fixture->iommu, NULL));
    assert_true(has_room(fixture->claim, 8));
    iommu_fixture_free(fixture);
}

static void claim_that_fails_reserves_nothing(void **state)
{
    IommuFixture *fixture = make_limited(8, UINT64_MAX);
    PmIommuClaim *before = reserve(fixture, 0, 1);

    (void)state;
    assert_not_reserved(fixture, 0, 5, PM_ERROR_OVERLAP, "overlap those of who reserves");
    assert_true(has_room(fixture->claim, 7));
    pm_iommu_claim_unref(before);
    iommu_fixture_free(fixture);
}

#define BUDGET_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKEND_IOMMUFD_ONLY(BUDGET_TEST(there_is_no_limit_of_mappings)),
        BACKEND_TYPE1_ONLY(BUDGET_TEST(limit_and_dma_avail_are_the_kernels)),
        BACKEND_TYPE1_ONLY(BUDGET_TEST(query_available_can_fail)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(room_ends_exactly_at_the_limit)),
        BUDGET_TEST(check_room_makes_no_call),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(advice_is_the_smallest_block_size_that_fits)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(full_container_advises_larger_blocks_for_all)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(no_block_size_is_advised_if_none_would_fit)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(reserved_mappings_add_up_over_claims)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(nobody_maps_what_others_have_reserved)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(what_is_mapped_of_a_reservation_counts_once)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(reservation_of_the_claim_counts_as_room)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(released_claim_frees_its_room)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(unknown_blocks_take_room_until_they_are_purged)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(abandoned_claim_counts_what_it_may_have_mapped)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(claim_that_fails_reserves_nothing)),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
