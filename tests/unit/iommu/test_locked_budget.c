/* SPDX-License-Identifier: MIT */
/* Locked memory: reservations add up over all address spaces of a kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>

#include "util/backend_util.h"
#include "util/iommu_fixture.h"

#define OTHER_DEVICE "0000:00:05.0"
#define N_CLAIMED    UINT64_C(16)

/* Allows this many blocks of locked memory, with a second device. */
static IommuFixture *make_limited(uint64_t n_blocks)
{
    IommuFixture *fixture;
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.memlock_limit = n_blocks * BLOCK;
    fixture = iommu_fixture_new(&config);
    assert_true(pm_fake_kernel_add_device(fixture->kernel, 2, OTHER_DEVICE, "vfio-pci", NULL));
    return fixture;
}

static int make(void **state)
{
    *state = make_limited(8);
    return 0;
}

/* Another address space of @kernel: the fake one, or a wrapper. */
static PmIommu *open_other(PmKernel *kernel)
{
    g_autoptr(GError) error = NULL;
    PmIommu *iommu = backend_open(kernel, 1, &error);

    if (iommu == NULL)
        fail_msg("%s", error->message);
    return iommu;
}

/* A claim of N_CLAIMED blocks after the fixture's claim, with some reserved. */
static PmIommuClaim *reserve_in(IommuFixture *fixture, PmIommu *iommu, unsigned nth,
                                uint64_t n_blocks, GError **error)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "who reserves",
        .ram = fixture->ram,
        .iova = BASE + FIXTURE_MEMORY_SIZE + nth * N_CLAIMED * BLOCK,
        .size = N_CLAIMED * BLOCK,
        .block_size = BLOCK,
        .reserved_size = n_blocks * BLOCK,
    };

    return pm_iommu_claim_new(iommu, &config, error);
}

static PmIommuClaim *reserve(IommuFixture *fixture, PmIommu *iommu, unsigned nth, uint64_t n_blocks)
{
    g_autoptr(GError) error = NULL;
    PmIommuClaim *claim = reserve_in(fixture, iommu, nth, n_blocks, &error);

    if (claim == NULL)
        fail_msg("%s", error->message);
    return claim;
}

static bool map_in(PmIommuClaim *claim, uint64_t first, uint64_t count, GError **error)
{
    return pm_iommu_claim_map(claim, first * BLOCK, count * BLOCK, first * BLOCK, PM_IOMMU_READ,
                              error);
}

static bool has_room(PmIommuClaim *claim, uint64_t n_blocks)
{
    return pm_iommu_claim_check_room(claim, n_blocks * BLOCK, NULL);
}

static void assert_over(PmIommuClaim *claim, uint64_t n_blocks, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_claim_check_room(claim, n_blocks * BLOCK, &error));
    assert_error(&error, PM_ERROR_LOCKED_MEMORY, words);
}

/* --- one claim --- */

static void room_ends_exactly_at_the_limit(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 3, NULL));
    assert_true(has_room(fixture->claim, 5));
    assert_over(fixture->claim, 6,
                "12M more of locked memory are needed, and 6M of the limit of 16M are in use: "
                "raise the limit (ulimit -l 18432, LimitMEMLOCK=18432K of the systemd unit; for a "
                "running process, as root: prlimit --pid PID --memlock=18874368)");
    assert_true(has_room(fixture->claim, 5));
}

static void limit_lowered_below_what_is_used_leaves_no_room(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 3, NULL));
    pm_fake_kernel_set_memlock(fixture->kernel, BLOCK, false);
    assert_over(fixture->claim, 1, "6M of the limit of 2M");
}

static void cap_ipc_lock_waives_the_limit(void **state)
{
    IommuFixture *fixture = *state;

    pm_fake_kernel_set_memlock(fixture->kernel, BLOCK, true);
    assert_true(has_room(fixture->claim, 9));
}

static void locked_memory_is_the_kernels(void **state)
{
    IommuFixture *fixture = *state;
    PmLockedMemory locked = {.struct_size = sizeof(locked)};

    assert_true(fixture_map(fixture, 0, 3, NULL));
    assert_true(pm_iommu_query_locked_memory(fixture->iommu, &locked, NULL));
    assert_int_equal(locked.limit, 8 * BLOCK);
    assert_int_equal(locked.used, 3 * BLOCK);
    assert_false(locked.waived);
}

static void what_others_have_locked_counts(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->hooked.locked_by_others = 3 * BLOCK;
    assert_true(has_room(fixture->claim, 3));
    assert_over(fixture->claim, 4, "8M more of locked memory are needed, and 10M of the limit");
    fixture->hooked.locked_by_others = 100 * BLOCK;
    assert_over(fixture->claim, 1, "204M of the limit of 16M are in use");
}

static void failure_to_read_the_limit_is_an_error(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    fixture->hooked.locked_result = -ENOENT;
    assert_false(pm_iommu_claim_check_room(fixture->claim, BLOCK, &error));
    assert_error(&error, PM_ERROR_KERNEL,
                 "ENOENT (No such file or directory); check that /proc is mounted");
    assert_null(reserve_in(fixture, fixture->iommu, 0, 1, &error));
    assert_error(&error, PM_ERROR_KERNEL,
                 "ENOENT (No such file or directory); check that /proc is mounted");
}

/* --- reservations --- */

static void second_reservation_that_does_not_fit_is_refused(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) first = reserve(fixture, fixture->iommu, 0, 5);
    g_autoptr(PmIommuClaim) second = NULL;
    g_autoptr(GError) error = NULL;

    assert_non_null(first);
    assert_null(reserve_in(fixture, fixture->iommu, 1, 4, &error));
    assert_error(&error, PM_ERROR_LOCKED_MEMORY,
                 "8M more of locked memory are needed, and 0 of the limit of 16M are in use, 10M "
                 "more reserved: raise the limit (ulimit -l 18432,");
    second = reserve(fixture, fixture->iommu, 1, 3);
    assert_non_null(second);
    assert_over(fixture->claim, 1, "16M more reserved");
}

/* In KiB, parsed from the message. */
static uint64_t suggested_limit(const GError *error)
{
    const char *at = strstr(error->message, "ulimit -l ");

    assert_non_null(at);
    return strtoull(at + strlen("ulimit -l "), NULL, 10);
}

static void suggested_limit_is_the_smallest_that_suffices(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) first = reserve(fixture, fixture->iommu, 0, 5);
    g_autoptr(PmIommuClaim) second = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t n_kib;

    assert_true(map_in(first, 0, 2, NULL));
    assert_true(fixture_map(fixture, 0, 1, NULL));
    fixture->hooked.locked_by_others = 4096;
    assert_null(reserve_in(fixture, fixture->iommu, 1, 9, &error));
    n_kib = suggested_limit(error);
    pm_fake_kernel_set_memlock(fixture->kernel, (n_kib - 1) * PM_KIB, false);
    assert_null(reserve_in(fixture, fixture->iommu, 1, 9, NULL));
    pm_fake_kernel_set_memlock(fixture->kernel, n_kib * PM_KIB, false);
    second = reserve(fixture, fixture->iommu, 1, 9);
    assert_true(map_in(first, 2, 3, NULL));
    assert_true(map_in(second, 0, 9, NULL));
}

static void check_two_address_spaces(IommuFixture *fixture, PmKernel *kernel)
{
    g_autoptr(PmIommu) other = open_other(kernel);
    g_autoptr(PmIommuClaim) first = reserve(fixture, fixture->iommu, 0, 5);
    g_autoptr(PmIommuClaim) second = NULL;
    g_autoptr(GError) error = NULL;

    assert_null(reserve_in(fixture, other, 0, 4, &error));
    assert_error(&error, PM_ERROR_LOCKED_MEMORY, "0 of the limit of 16M are in use, 10M more");
    second = reserve(fixture, other, 0, 3);
    assert_true(map_in(first, 0, 5, NULL));
    assert_true(map_in(second, 0, 3, NULL));
    assert_int_equal(backend_get_pinned(fixture->kernel), 8 * BLOCK);
    assert_true(pm_iommu_claim_release(first, NULL));
    assert_true(has_room(second, 5));
    assert_false(has_room(second, 6));
}

static void reservations_add_up_over_address_spaces(void **state)
{
    IommuFixture *fixture = *state;

    check_two_address_spaces(fixture, &fixture->hooked.parent);
}

static void reservations_add_up_through_a_kernel_that_wraps_another(void **state)
{
    IommuFixture *fixture = *state;

    check_two_address_spaces(fixture, fixture->kernel);
}

static void reservations_add_up_through_two_kernels_that_wrap_one(void **state)
{
    IommuFixture *fixture = *state;
    HookedKernel twice;
    HookedKernel beside;

    hooked_kernel_init(&beside, fixture->kernel);
    check_two_address_spaces(fixture, &beside.parent);
    hooked_kernel_init(&twice, &fixture->hooked.parent);
    check_two_address_spaces(fixture, &twice.parent);
    pm_kernel_unref(&twice.parent);
    pm_kernel_unref(&beside.parent);
}

static void independent_kernels_have_independent_accounts(void **state)
{
    IommuFixture *fixture = *state;
    IommuFixture *other = make_limited(8);
    g_autoptr(PmIommuClaim) first = reserve(fixture, fixture->iommu, 0, 8);
    PmIommuClaim *second = reserve(other, other->iommu, 0, 8);

    assert_true(map_in(first, 0, 8, NULL));
    assert_true(map_in(second, 0, 8, NULL));
    pm_iommu_claim_unref(second);
    iommu_fixture_free(other);
}

/* The kernel has two limits: for locked memory of the process, and for pinned memory of the user.
 */
static void type1_and_iommufd_do_not_share_a_limit(void **state)
{
    IommuFixture *fixture = *state;
    const PmType1Config type1 = {.struct_size = sizeof(type1),
                                 .kernel = &fixture->hooked.parent,
                                 .has_group = true,
                                 .group = 2};
    g_autoptr(PmIommu) other = pm_iommu_type1_new(&type1, NULL);
    g_autoptr(PmIommuClaim) first = NULL;
    g_autoptr(PmIommuClaim) second = NULL;

    assert_non_null(other);
    first = reserve(fixture, fixture->iommu, 0, 8);
    second = reserve(fixture, other, 0, 8);
    assert_true(map_in(first, 0, 8, NULL));
    assert_true(map_in(second, 0, 8, NULL));
}

/* The kernel would allow it: it does not know about reservations. */
static void nobody_maps_what_others_have_reserved(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommu) other = open_other(fixture->kernel);
    g_autoptr(PmIommuClaim) reserved = reserve(fixture, other, 0, 5);
    uint64_t n_maps = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_MAP);
    g_autoptr(GError) error = NULL;

    assert_false(fixture_map(fixture, 0, 4, &error));
    assert_error(&error, PM_ERROR_LOCKED_MEMORY, "8M more of locked memory are needed");
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_MAP), n_maps);
    assert_true(fixture_map(fixture, 0, 3, NULL));
    assert_true(map_in(reserved, 0, 5, NULL));
}

/* The call is between the check and the kernel's accounting. */
static struct {
    IommuFixture *fixture;
    PmIommu *iommu;    /* of another claim; NULL: already tried */
    unsigned n_before; /* MAPs */
    uint64_t n_blocks;
    bool reserved;
} beside;

static bool reserve_while_mapping(unsigned long request, void *argument G_GNUC_UNUSED,
                                  int *result G_GNUC_UNUSED)
{
    if (request == backend_map_request() && beside.iommu != NULL && beside.n_before-- == 0) {
        PmIommu *iommu = g_steal_pointer(&beside.iommu);
        g_autoptr(PmIommuClaim) claim = reserve_in(beside.fixture, iommu, 0, beside.n_blocks, NULL);

        beside.reserved = claim != NULL;
    }
    return false;
}

static void what_is_being_mapped_is_not_reserved_for_others(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommu) other = open_other(&fixture->hooked.parent);

    beside.fixture = fixture;
    beside.iommu = other;
    beside.n_before = 0;
    beside.n_blocks = 5;
    fixture->hooked.answer = reserve_while_mapping;
    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_null(beside.iommu);
    assert_false(beside.reserved);
    beside.iommu = other;
    beside.n_before = 0;
    assert_true(fixture_map(fixture, 4, 1, NULL));
    assert_false(beside.reserved);
}

/* The kernel has already counted the first two blocks. */
static void what_is_being_mapped_is_not_what_others_have_locked(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommu) other = open_other(&fixture->hooked.parent);

    beside.fixture = fixture;
    beside.iommu = other;
    beside.n_before = 2;
    beside.n_blocks = 4;
    fixture->hooked.answer = reserve_while_mapping;
    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_null(beside.iommu);
    assert_true(beside.reserved);
}

/* It takes longer than a MAP. */
static void mapping_without_reservations_of_others_does_not_query_locked_memory(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) reserved = reserve(fixture, fixture->iommu, 0, 2);
    unsigned n_queries = fixture->hooked.n_locked_queries;

    assert_true(map_in(reserved, 0, 1, NULL));
    assert_true(map_in(reserved, 1, 2, NULL));
    assert_true(pm_iommu_claim_release(reserved, NULL));
    assert_true(fixture_map(fixture, 0, 1, NULL));
    assert_int_equal(fixture->hooked.n_locked_queries, n_queries);
}

static void what_is_mapped_of_a_reservation_counts_once(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) reserved = reserve(fixture, fixture->iommu, 0, 5);

    assert_true(map_in(reserved, 0, 4, NULL));
    assert_true(has_room(fixture->claim, 3));
    assert_over(fixture->claim, 4, "8M of the limit of 16M are in use, 2M more reserved");
    assert_true(map_in(reserved, 4, 2, NULL));
    assert_over(fixture->claim, 3, "12M of the limit of 16M are in use: raise");
}

/* The kernel has unmapped one block, and would give its room to anyone. */
static void room_of_unknown_blocks_stays_reserved(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) reserved = reserve(fixture, fixture->iommu, 0, 2);
    g_autoptr(GError) error = NULL;

    assert_true(map_in(reserved, 0, 2, NULL));
    assert_true(fixture_map(fixture, 0, 5, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(pm_iommu_claim_unmap(reserved, 0, 2 * BLOCK, NULL));
    assert_int_equal(backend_get_pinned(fixture->kernel), 6 * BLOCK);
    assert_false(fixture_map(fixture, 5, 2, &error));
    assert_error(&error, PM_ERROR_LOCKED_MEMORY, "");
    assert_true(fixture_map(fixture, 5, 1, NULL));
    assert_true(pm_iommu_claim_purge(reserved, NULL));
    assert_true(map_in(reserved, 0, 2, NULL));
}

static void released_claims_free_their_room(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) reserved = reserve(fixture, fixture->iommu, 0, 8);

    assert_true(map_in(reserved, 0, 3, NULL));
    assert_false(has_room(fixture->claim, 1));
    assert_true(pm_iommu_claim_release(reserved, NULL));
    assert_true(has_room(fixture->claim, 8));
    assert_true(fixture_map(fixture, 0, 8, NULL));
}

static void claim_released_by_its_last_reference_frees_its_room(void **state)
{
    IommuFixture *fixture = *state;

    pm_iommu_claim_unref(reserve(fixture, fixture->iommu, 0, 8));
    assert_true(has_room(fixture->claim, 8));
}

static void closed_address_space_frees_all_its_room(void **state)
{
    IommuFixture *fixture = *state;
    PmIommu *other = open_other(fixture->kernel);
    PmIommuClaim *abandoned = reserve(fixture, other, 0, 8);

    assert_true(map_in(abandoned, 0, 3, NULL));
    pm_iommu_claim_abandon(abandoned);
    pm_iommu_claim_unref(abandoned);
    /* It uses only what it has mapped. */
    assert_true(has_room(fixture->claim, 5));
    assert_false(has_room(fixture->claim, 6));
    pm_iommu_unref(other);
    assert_true(has_room(fixture->claim, 8));
}

#define LOCKED_TEST(name) cmocka_unit_test_setup_teardown(name, make, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCKED_TEST(room_ends_exactly_at_the_limit),
        LOCKED_TEST(limit_lowered_below_what_is_used_leaves_no_room),
        LOCKED_TEST(cap_ipc_lock_waives_the_limit),
        LOCKED_TEST(locked_memory_is_the_kernels),
        LOCKED_TEST(what_others_have_locked_counts),
        LOCKED_TEST(failure_to_read_the_limit_is_an_error),
        LOCKED_TEST(second_reservation_that_does_not_fit_is_refused),
        LOCKED_TEST(suggested_limit_is_the_smallest_that_suffices),
        LOCKED_TEST(reservations_add_up_over_address_spaces),
        LOCKED_TEST(reservations_add_up_through_a_kernel_that_wraps_another),
        LOCKED_TEST(reservations_add_up_through_two_kernels_that_wrap_one),
        LOCKED_TEST(independent_kernels_have_independent_accounts),
        BACKEND_IOMMUFD_ONLY(LOCKED_TEST(type1_and_iommufd_do_not_share_a_limit)),
        LOCKED_TEST(nobody_maps_what_others_have_reserved),
        LOCKED_TEST(what_is_being_mapped_is_not_reserved_for_others),
        LOCKED_TEST(what_is_being_mapped_is_not_what_others_have_locked),
        LOCKED_TEST(mapping_without_reservations_of_others_does_not_query_locked_memory),
        LOCKED_TEST(what_is_mapped_of_a_reservation_counts_once),
        LOCKED_TEST(room_of_unknown_blocks_stays_reserved),
        LOCKED_TEST(released_claims_free_their_room),
        LOCKED_TEST(claim_released_by_its_last_reference_frees_its_room),
        LOCKED_TEST(closed_address_space_frees_all_its_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
