/* SPDX-License-Identifier: MIT */
/* How claims end: released, or abandoned and settled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include <plugmap/fake.h>
#include <plugmap/log.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"

#define N_CLAIMED UINT64_C(4)

/* A claim of N_CLAIMED blocks after the fixture's claim, number @nth of them. */
static uint64_t iova_of(unsigned nth)
{
    return BASE + FIXTURE_MEMORY_SIZE + nth * N_CLAIMED * BLOCK;
}

static PmIommuClaim *claim_for(IommuFixture *fixture, const char *owner, unsigned nth, PmRam *ram,
                               GError **error)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = owner,
        .ram = ram,
        .iova = iova_of(nth),
        .size = N_CLAIMED * BLOCK,
        .block_size = BLOCK,
    };

    return pm_iommu_claim_new(fixture->iommu, &config, error);
}

/* All of it is mapped. */
static PmIommuClaim *mapped_claim(IommuFixture *fixture, const char *owner, unsigned nth)
{
    PmIommuClaim *claim = claim_for(fixture, owner, nth, fixture->ram, NULL);

    assert_non_null(claim);
    assert_true(pm_iommu_claim_map(claim, 0, N_CLAIMED * BLOCK, 0, PM_IOMMU_READ_WRITE, NULL));
    return claim;
}

static PmIommuClaim *abandoned_claim(IommuFixture *fixture, const char *owner, unsigned nth)
{
    PmIommuClaim *claim = mapped_claim(fixture, owner, nth);

    pm_iommu_claim_abandon(claim);
    return claim;
}

/* Unmapping this address fails; 0: none does. */
static uint64_t stuck_iova;

static bool refuse_to_unmap(unsigned long request, void *argument, int *result)
{
    const struct iommu_ioas_unmap *iommufd = argument;
    const struct vfio_iommu_type1_dma_unmap *type1 = argument;

    *result = -EIO;
    return stuck_iova != 0 && request == backend_unmap_request() &&
           (backend_is_iommufd() ? iommufd->iova : type1->iova) == stuck_iova;
}

static int make(void **state)
{
    IommuFixture *fixture = iommu_fixture_new(NULL);

    stuck_iova = 0;
    fixture->hooked.answer = refuse_to_unmap;
    *state = fixture;
    return 0;
}

static uint64_t n_unmaps(IommuFixture *fixture)
{
    return pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_UNMAP);
}

static void assert_refuses_requests(PmIommuClaim *claim, const char *words)
{
    g_autoptr(GError) map = NULL;
    g_autoptr(GError) unmap = NULL;

    assert_false(pm_iommu_claim_map(claim, 0, BLOCK, 0, PM_IOMMU_READ, &map));
    assert_error(&map, PM_ERROR_INVALID_ARGUMENT, words);
    assert_false(pm_iommu_claim_unmap(claim, 0, BLOCK, &unmap));
    assert_error(&unmap, PM_ERROR_INVALID_ARGUMENT, words);
}

/* --- release --- */

static void released_claim_has_nothing_mapped_and_its_addresses_are_free(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = mapped_claim(fixture, "first", 0);
    g_autoptr(PmIommuClaim) next = NULL;

    assert_true(pm_iommu_claim_release(claim, NULL));
    assert_mapped(fixture, 0);
    next = mapped_claim(fixture, "second", 0);
    assert_non_null(next);
    assert_mapped(fixture, N_CLAIMED);
}

static void released_claim_refuses_requests(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = mapped_claim(fixture, "the owner", 0);

    assert_true(pm_iommu_claim_release(claim, NULL));
    assert_refuses_requests(claim, "the claim of the owner on I/O address 0x108000000 has been "
                                   "released");
    assert_mapped(fixture, 0);
}

static void released_claim_can_still_be_queried_and_released(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = mapped_claim(fixture, "the owner", 0);
    PmIommuRun run;
    uint64_t offset;
    uint64_t size;

    assert_true(pm_iommu_claim_release(claim, NULL));
    assert_true(pm_iommu_claim_release(claim, NULL));
    assert_true(pm_iommu_claim_purge(claim, NULL));
    pm_iommu_claim_abandon(claim);
    assert_int_equal(pm_iommu_claim_get_iova(claim), iova_of(0));
    assert_int_equal(pm_iommu_claim_get_size(claim), N_CLAIMED * BLOCK);
    assert_int_equal(pm_iommu_claim_get_block_size(claim), BLOCK);
    assert_string_equal(pm_iommu_claim_get_owner(claim), "the owner");
    assert_false(pm_iommu_claim_next_run(claim, 0, &run));
    assert_false(pm_iommu_claim_next_unknown(claim, 0, &offset, &size, NULL));
    assert_int_equal(n_unmaps(fixture), 1);
}

static void claim_that_fails_to_release_stays(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = mapped_claim(fixture, "the owner", 0);
    g_autoptr(GError) error = NULL;

    stuck_iova = iova_of(0);
    assert_false(pm_iommu_claim_release(claim, &error));
    assert_error(&error, PM_ERROR_KERNEL, "EIO");
    assert_null(claim_for(fixture, "another", 0, fixture->ram, NULL));
    stuck_iova = 0;
    assert_true(pm_iommu_claim_unmap(claim, 0, BLOCK, NULL));
    assert_true(pm_iommu_claim_release(claim, NULL));
    assert_mapped(fixture, 0);
}

static void last_reference_releases(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuClaim *claim = mapped_claim(fixture, "the owner", 0);

    pm_iommu_claim_unref(pm_iommu_claim_ref(claim));
    assert_mapped(fixture, N_CLAIMED);
    pm_iommu_claim_unref(claim);
    assert_mapped(fixture, 0);
    pm_iommu_claim_unref(mapped_claim(fixture, "another", 0));
    pm_iommu_claim_unref(NULL);
}

static void count_message(GLogLevelFlags level, const char *message, void *user_data)
{
    assert_int_equal(level, G_LOG_LEVEL_WARNING);
    assert_non_null(strstr(message, "the owner stays mapped (pm_iommu_settle() retries"));
    (*(unsigned *)user_data)++;
}

static void last_reference_abandons_a_claim_that_fails_to_release(void **state)
{
    IommuFixture *fixture = *state;
    PmIommuClaim *claim = mapped_claim(fixture, "the owner", 0);
    g_autoptr(GError) error = NULL;
    unsigned n_messages = 0;

    stuck_iova = iova_of(0);
    pm_log_set_func(count_message, &n_messages);
    pm_iommu_claim_unref(claim);
    pm_log_set_func(NULL, NULL);
    assert_int_equal(n_messages, 1);
    assert_null(claim_for(fixture, "another", 0, fixture->ram, &error));
    assert_error(&error, PM_ERROR_QUARANTINED, "since the owner abandoned them");
    stuck_iova = 0;
    assert_true(pm_iommu_settle(fixture->iommu, NULL));
    assert_mapped(fixture, 0);
}

/* --- abandoned claims --- */

static void abandoned_claim_does_not_know_what_is_mapped(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = mapped_claim(fixture, "the owner", 0);
    g_autofree char *reason = NULL;
    uint64_t offset;
    uint64_t size;
    uint64_t n_calls;

    assert_true(pm_iommu_claim_unmap(claim, 0, BLOCK, NULL));
    n_calls = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_ANY);
    pm_iommu_claim_abandon(claim);
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_ANY), n_calls);
    assert_true(pm_iommu_claim_next_unknown(claim, 0, &offset, &size, &reason));
    assert_int_equal(offset, BLOCK);
    assert_int_equal(size, (N_CLAIMED - 1) * BLOCK);
    assert_string_equal(reason, "its owner abandoned it while mapped");
    assert_mapped(fixture, N_CLAIMED - 1);
}

static void abandoned_claim_refuses_requests(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = abandoned_claim(fixture, "the owner", 0);

    assert_refuses_requests(claim, "has been abandoned");
    pm_iommu_claim_abandon(claim);
    assert_mapped(fixture, N_CLAIMED);
}

static void abandoned_claim_keeps_the_reason_that_it_had(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    fixture->hooked.unmap_size_added = 4096;
    assert_false(fixture_unmap(fixture, 0, 2, NULL));
    pm_iommu_claim_abandon(fixture->claim);
    assert_unknown(fixture, 0, 2, "removed 0x401000 bytes");
}

static void abandoned_claim_forgets_the_reason_of_what_was_purged(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 0, 4, NULL));
    assert_true(pm_iommu_claim_purge(fixture->claim, NULL));
    assert_true(fixture_map(fixture, 0, 4, NULL));
    pm_iommu_claim_abandon(fixture->claim);
    assert_unknown(fixture, 0, 4, "abandoned it while mapped");
}

static void abandoned_claim_without_mappings_ends(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = mapped_claim(fixture, "the owner", 0);
    g_autoptr(PmIommuClaim) next = NULL;

    assert_true(pm_iommu_claim_unmap(claim, 0, N_CLAIMED * BLOCK, NULL));
    pm_iommu_claim_abandon(claim);
    assert_refuses_requests(claim, "has been released");
    next = claim_for(fixture, "another", 0, fixture->ram, NULL);
    assert_non_null(next);
    assert_int_equal(n_unmaps(fixture), 1);
}

static void abandoned_claim_can_be_purged_and_released_through_a_reference(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = abandoned_claim(fixture, "the owner", 0);
    g_autoptr(PmIommuClaim) next = NULL;
    uint64_t offset;
    uint64_t size;

    assert_true(pm_iommu_claim_purge(claim, NULL));
    assert_mapped(fixture, 0);
    assert_false(pm_iommu_claim_next_unknown(claim, 0, &offset, &size, NULL));
    assert_true(pm_iommu_claim_release(claim, NULL));
    next = claim_for(fixture, "another", 0, fixture->ram, NULL);
    assert_non_null(next);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* A memfd is closed with its RAM. */
static void abandoned_claim_keeps_its_ram_until_it_is_settled(void **state)
{
    IommuFixture *fixture = *state;
    PmRam *ram = pm_ram_new(PM_RAM_MEMFD, N_CLAIMED * BLOCK, 0, NULL);
    PmIommuClaim *claim = claim_for(fixture, "the owner", 0, ram, NULL);
    int fd = pm_ram_get_fd(ram, NULL);

    assert_true(pm_iommu_claim_map(claim, 0, BLOCK, 0, PM_IOMMU_READ, NULL));
    pm_iommu_claim_abandon(claim);
    pm_iommu_claim_unref(claim);
    pm_ram_unref(ram);
    assert_true(is_open(fd));
    stuck_iova = iova_of(0);
    assert_false(pm_iommu_settle(fixture->iommu, NULL));
    assert_true(is_open(fd));
    stuck_iova = 0;
    assert_true(pm_iommu_settle(fixture->iommu, NULL));
    assert_false(is_open(fd));
}

static void released_claim_drops_its_ram(void **state)
{
    IommuFixture *fixture = *state;
    PmRam *ram = pm_ram_new(PM_RAM_MEMFD, N_CLAIMED * BLOCK, 0, NULL);
    g_autoptr(PmIommuClaim) claim = claim_for(fixture, "the owner", 0, ram, NULL);
    int fd = pm_ram_get_fd(ram, NULL);

    pm_ram_unref(ram);
    assert_true(is_open(fd));
    assert_true(pm_iommu_claim_release(claim, NULL));
    assert_false(is_open(fd));
}

/* --- addresses of abandoned claims --- */

static void abandoned_claim_that_is_purged_releases_its_ram(void **state)
{
    IommuFixture *fixture = *state;
    PmRam *ram = pm_ram_new(PM_RAM_MEMFD, N_CLAIMED * BLOCK, 0, NULL);
    g_autoptr(PmIommuClaim) claim = claim_for(fixture, "the owner", 0, ram, NULL);
    int fd = pm_ram_get_fd(ram, NULL);

    assert_true(pm_iommu_claim_map(claim, 0, BLOCK, 0, PM_IOMMU_READ, NULL));
    pm_iommu_claim_abandon(claim);
    pm_ram_unref(ram);
    stuck_iova = iova_of(0);
    assert_false(pm_iommu_claim_purge(claim, NULL));
    assert_true(is_open(fd));
    stuck_iova = 0;
    assert_true(pm_iommu_claim_purge(claim, NULL));
    assert_false(is_open(fd));
}

static void abandoned_addresses_are_refused_until_they_are_unmapped(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) claim = abandoned_claim(fixture, "the owner", 0);
    g_autoptr(GError) error = NULL;

    assert_non_null(claim);
    stuck_iova = iova_of(0);
    assert_null(fixture_claim(fixture, iova_of(0) + BLOCK, BLOCK, BLOCK, &error));
    assert_error(
        &error, PM_ERROR_QUARANTINED,
        "I/O addresses 0x108000000-0x1087fffff are in quarantine since the owner abandoned them; "
        "retrying the unmap failed: unmapping 8M at I/O address 0x108000000 failed with EIO");
    assert_mapped(fixture, N_CLAIMED);
    stuck_iova = 0;
}

static void new_claim_unmaps_abandoned_blocks_there(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) old = abandoned_claim(fixture, "the owner", 0);
    g_autoptr(PmIommuClaim) next = fixture_claim(fixture, iova_of(0) + BLOCK, BLOCK, BLOCK, NULL);

    assert_non_null(next);
    assert_mapped(fixture, 0);
    assert_int_equal(fixture->hooked.n_probes, 1);
    assert_refuses_requests(old, "has been released");
    assert_true(pm_iommu_claim_map(next, 0, BLOCK, 0, PM_IOMMU_READ, NULL));
    pm_iommu_claim_abandon(old);
    assert_mapped(fixture, 1);
}

/* A success that the kernel reports is no proof. */
static bool unmap_nothing(unsigned long request, void *argument, int *result)
{
    (void)argument;
    *result = 0;
    return request == backend_unmap_request();
}

static void new_claim_over_an_abandoned_one_needs_proof_of_the_unmap(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) old = abandoned_claim(fixture, "the owner", 0);
    g_autoptr(GError) error = NULL;

    fixture->hooked.answer = unmap_nothing;
    assert_null(claim_for(fixture, "another", 0, fixture->ram, &error));
    assert_error(&error, PM_ERROR_QUARANTINED, "the kernel still has a mapping");
    fixture->hooked.answer = NULL;
    g_clear_pointer(&old, pm_iommu_claim_unref);
    old = claim_for(fixture, "another", 0, fixture->ram, &error);
    assert_non_null(old);
    assert_mapped(fixture, 0);
}

static void new_claim_over_several_unmaps_them_all(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) all = NULL;

    for (unsigned i = 0; i < 3; i++)
        pm_iommu_claim_unref(abandoned_claim(fixture, "the owner", i));
    all = fixture_claim(fixture, iova_of(0), 3 * N_CLAIMED * BLOCK, BLOCK, NULL);
    assert_non_null(all);
    assert_mapped(fixture, 0);
}

/* --- settling --- */

static void settling_nothing_succeeds(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    assert_true(pm_iommu_settle(fixture->iommu, NULL));
    assert_mapped(fixture, 2);
    assert_int_equal(n_unmaps(fixture), 0);
}

static void settle_ends_all_it_can_and_reports_the_first_failure(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) stays = abandoned_claim(fixture, "who stays", 1);
    g_autoptr(GError) error = NULL;

    pm_iommu_claim_unref(abandoned_claim(fixture, "the owner", 0));
    pm_iommu_claim_unref(abandoned_claim(fixture, "the other owner", 2));
    stuck_iova = iova_of(1);
    assert_false(pm_iommu_settle(fixture->iommu, &error));
    assert_error(&error, PM_ERROR_KERNEL, "0x108800000 failed with EIO");
    assert_mapped(fixture, N_CLAIMED);
    assert_int_equal(n_unmaps(fixture), 2);
    assert_false(pm_iommu_settle(fixture->iommu, NULL));
    stuck_iova = 0;
    assert_true(pm_iommu_settle(fixture->iommu, &error));
    assert_refuses_requests(stays, "has been released");
    assert_mapped(fixture, 0);
}

#define END_TEST(name) cmocka_unit_test_setup_teardown(name, make, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        END_TEST(released_claim_has_nothing_mapped_and_its_addresses_are_free),
        END_TEST(released_claim_refuses_requests),
        END_TEST(released_claim_can_still_be_queried_and_released),
        END_TEST(claim_that_fails_to_release_stays),
        END_TEST(last_reference_releases),
        END_TEST(last_reference_abandons_a_claim_that_fails_to_release),
        END_TEST(abandoned_claim_does_not_know_what_is_mapped),
        END_TEST(abandoned_claim_refuses_requests),
        END_TEST(abandoned_claim_keeps_the_reason_that_it_had),
        END_TEST(abandoned_claim_forgets_the_reason_of_what_was_purged),
        END_TEST(abandoned_claim_without_mappings_ends),
        END_TEST(abandoned_claim_can_be_purged_and_released_through_a_reference),
        END_TEST(abandoned_claim_keeps_its_ram_until_it_is_settled),
        END_TEST(abandoned_claim_that_is_purged_releases_its_ram),
        END_TEST(released_claim_drops_its_ram),
        END_TEST(abandoned_addresses_are_refused_until_they_are_unmapped),
        END_TEST(new_claim_unmaps_abandoned_blocks_there),
        END_TEST(new_claim_over_an_abandoned_one_needs_proof_of_the_unmap),
        END_TEST(new_claim_over_several_unmaps_them_all),
        END_TEST(settling_nothing_succeeds),
        END_TEST(settle_ends_all_it_can_and_reports_the_first_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
