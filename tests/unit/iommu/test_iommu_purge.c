/* SPDX-License-Identifier: MIT */
/* pm_iommu_claim_purge(): blocks are unmapped when the kernel proves it, not when it reports it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include <plugmap/fake.h>
#include <plugmap/log.h>

#include "kernel-uapi/iommufd.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"

#define N_BLOCKS (FIXTURE_MEMORY_SIZE / BLOCK)

static uint64_t n_unmaps(IommuFixture *fixture)
{
    return pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_UNMAP);
}

static bool purge(IommuFixture *fixture, GError **error)
{
    return pm_iommu_claim_purge(fixture->claim, error);
}

static void assert_calls(IommuFixture *fixture, uint64_t unmaps, unsigned probes)
{
    assert_int_equal(n_unmaps(fixture), unmaps);
    assert_int_equal(fixture->hooked.n_probes, probes);
}

/* Nothing is mapped, and mapping anything succeeds. */
static void assert_purged(IommuFixture *fixture)
{
    assert_mapped(fixture, 0);
    assert_all_known(fixture);
    assert_true(fixture_map(fixture, 0, N_BLOCKS, NULL));
    assert_mapped(fixture, N_BLOCKS);
}

/* --- a correct kernel --- */

static void purge_removes_everything_with_one_call(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 1, 2, NULL));
    assert_true(fixture_map(fixture, 5, 1, NULL));
    assert_true(fixture_map(fixture, 60, 4, NULL));
    assert_true(purge(fixture, NULL));
    assert_calls(fixture, 1, 0);
    assert_purged(fixture);
}

static void purge_of_nothing_makes_no_call(void **state)
{
    IommuFixture *fixture = *state;
    uint64_t n_ioctls = pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL);

    assert_true(purge(fixture, NULL));
    assert_int_equal(pm_fake_kernel_get_n_calls(fixture->kernel, PM_FAKE_CALL_IOCTL), n_ioctls);
}

static void purge_after_a_short_unmap_leaves_nothing(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 2, 4, NULL));
    assert_true(purge(fixture, NULL));
    assert_calls(fixture, 2, 1);
    assert_purged(fixture);
}

/* --- a kernel whose reports are wrong --- */

/* The same number of bytes can be other bytes than the known ones. */
static void purge_of_unknown_blocks_always_probes(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_MAP, 3, EFAULT);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(fixture_map(fixture, 4, 3, NULL));
    assert_unknown(fixture, 4, 2, "EIO");
    assert_true(purge(fixture, NULL));
    assert_calls(fixture, 2, 1);
    assert_purged(fixture);
}

/* They are unmapped already, which iommufd reports as ENOENT. */
static void purge_of_unknown_blocks_that_are_unmapped_succeeds(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->hooked.unmap_size_added = 4096;
    assert_false(fixture_unmap(fixture, 0, 2, NULL));
    fixture->hooked.unmap_size_added = 0;
    assert_true(purge(fixture, NULL));
    assert_calls(fixture, 2, 1);
    assert_purged(fixture);
}

static void short_purge_repeats_until_nothing_is_left(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    pm_fake_kernel_shorten_unmap(fixture->kernel, 2);
    assert_true(purge(fixture, NULL));
    assert_calls(fixture, 3, 3);
    assert_purged(fixture);
}

static void purge_that_removes_too_much_is_probed_until_nothing_is_left(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    fixture->hooked.unmap_size_added = BLOCK;
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_true(purge(fixture, NULL));
    assert_calls(fixture, 2, 2);
    fixture->hooked.unmap_size_added = 0;
    assert_purged(fixture);
}

static unsigned n_idle_unmaps;

/* The next n_idle_unmaps calls do nothing, and report that. */
static bool idle(unsigned long request, void *argument, int *result)
{
    if (request != backend_unmap_request() || n_idle_unmaps == 0)
        return false;
    n_idle_unmaps--;
    backend_set_unmapped(argument, 0);
    *result = 0;
    return true;
}

static void purge_that_removes_nothing_is_probed_until_nothing_is_left(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    fixture->hooked.answer = idle;
    n_idle_unmaps = 15;
    assert_true(purge(fixture, NULL));
    assert_calls(fixture, 1, 16);
    assert_purged(fixture);
}

static void count_message(GLogLevelFlags level, const char *message, void *user_data)
{
    assert_int_equal(level, G_LOG_LEVEL_WARNING);
    assert_string_equal(message,
                        "purging 0x8000000 bytes at I/O address 0x100000000 removed 0x600000 bytes "
                        "where 0x400000 bytes were known to be mapped: probing for what is left");
    (*(unsigned *)user_data)++;
}

static void purge_of_an_unexpected_size_is_logged_once(void **state)
{
    IommuFixture *fixture = *state;
    unsigned n_messages = 0;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->hooked.unmap_size_added = BLOCK;
    pm_log_set_func(count_message, &n_messages);
    assert_true(purge(fixture, NULL));
    pm_log_set_func(NULL, NULL);
    assert_int_equal(n_messages, 1);
}

/* --- inconclusive probes --- */

static void assert_given_up(IommuFixture *fixture, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(purge(fixture, &error));
    assert_error(&error, PM_ERROR_UNMAP_MISMATCH, words);
}

static void purge_gives_up_on_a_kernel_that_removes_nothing(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    assert_true(fixture_map(fixture, 4, 2, NULL));
    fixture->hooked.answer = idle;
    n_idle_unmaps = 16;
    assert_given_up(fixture, "the kernel still has a mapping in the 0x8000000 bytes of the test at "
                             "I/O address 0x100000000 after 16 calls to unmap them");
    assert_calls(fixture, 0, 16);
    assert_mapped(fixture, 4);
    assert_unknown(fixture, 0, 2, "after 16 calls");
    assert_true(purge(fixture, NULL));
    assert_purged(fixture);
}

static int probe_result;

static bool answer_probe(unsigned long request, void *argument, int *result)
{
    *result = probe_result;
    return backend_is_probe(request, argument);
}

static void purge_gives_up_on_a_kernel_that_keeps_finding_mappings(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    fixture->hooked.answer = answer_probe;
    probe_result = -EEXIST;
    assert_given_up(fixture, "after 16 calls");
    assert_calls(fixture, 16, 16);
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 8);
    assert_unknown(fixture, 0, 8, "Find who else has the descriptor");
    fixture->hooked.answer = NULL;
    assert_true(purge(fixture, NULL));
    assert_purged(fixture);
}

static void purge_gives_up_at_once_if_the_probe_is_inconclusive(void **state)
{
    static const int results[] = {-EIO, -ENOMEM, -EPERM, -EINTR};
    IommuFixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(results); i++) {
        uint64_t n_before = n_unmaps(fixture);

        assert_true(fixture_map(fixture, 0, 8, NULL));
        pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
        fixture->hooked.answer = answer_probe;
        probe_result = results[i];
        assert_given_up(fixture, "the kernel does not report whether anything is mapped in the "
                                 "0x8000000 bytes of the test");
        assert_int_equal(n_unmaps(fixture), n_before + 1);
        assert_unknown(fixture, 0, 8, "close the address space");
        fixture->hooked.answer = NULL;
        assert_true(purge(fixture, NULL));
        assert_mapped(fixture, 0);
    }
}

/* In any case it is unmapped. */
static void probe_that_succeeds_proves_nothing(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    fixture->hooked.answer = answer_probe;
    probe_result = 0;
    assert_given_up(fixture, "does not report");
    fixture->hooked.answer = NULL;
    assert_true(purge(fixture, NULL));
    assert_purged(fixture);
}

/* Memory that the probe can map after all. */
static char *probed_memory;

/* A kernel with memory where there should be none. */
static bool take_probe(unsigned long request, void *argument, int *result)
{
    struct iommu_ioas_map *map = argument;

    *result = 0;
    if (backend_is_probe(request, argument))
        map->user_va = (uintptr_t)probed_memory;
    return false;
}

static void probe_that_maps_is_unmapped(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    fixture->hooked.unmap_size_added = PM_MIB;
    fixture->hooked.answer = take_probe;
    probed_memory = fixture->memory;
    assert_given_up(fixture, "does not report");
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 0);
    fixture->hooked.unmap_size_added = 0;
    fixture->hooked.answer = NULL;
    assert_true(purge(fixture, NULL));
    assert_purged(fixture);
}

/* --- errors of the kernel --- */

static void failed_purge_keeps_the_ledger(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(purge(fixture, &error));
    assert_error(&error, PM_ERROR_KERNEL, "EIO");
    assert_mapped(fixture, 8);
    assert_run(fixture, 0, 0, 8);
    assert_all_known(fixture);
    assert_true(fixture_unmap(fixture, 2, 4, NULL));
}

static void purge_that_fails_after_removing_a_part_leaves_the_blocks_unknown(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 2, EIO);
    assert_given_up(fixture, "EIO");
    assert_unknown(fixture, 0, 8, "EIO");
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), 8);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 4);
    assert_true(purge(fixture, NULL));
    assert_purged(fixture);
}

static void failed_purge_of_unknown_blocks_keeps_them_unknown(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 2, 4, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_false(purge(fixture, &error));
    assert_error(&error, PM_ERROR_KERNEL, "EIO");
    assert_unknown(fixture, 2, 4, "failed with EIO");
    assert_run(fixture, 0, 0, 2);
}

/* It stops at the one in use, and does not report how many it removed before. */
static void purge_that_stops_halfway_leaves_the_blocks_unknown(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_UNMAP, 1, EBUSY);
    assert_given_up(fixture, "some mappings may already be removed");
    assert_unknown(fixture, 0, 8, "EBUSY");
}

/* --- mappings of others --- */

static void mapping_of_somebody_else_in_the_claim_is_purged_too(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture_map_secretly(fixture, BASE + 3 * BLOCK, 4096);
    assert_true(purge(fixture, NULL));
    assert_calls(fixture, 1, 1);
    assert_purged(fixture);
}

/* type1 checks first, and removes nothing. */
static void purge_that_would_cut_a_mapping_changes_nothing(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture_map_secretly(fixture, BASE + FIXTURE_MEMORY_SIZE - BLOCK, 2 * BLOCK);
    assert_false(purge(fixture, &error));
    assert_error(&error, PM_ERROR_KERNEL, "the container has mappings there");
    assert_all_known(fixture);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 3);
    fixture_unmap_secretly(fixture, BASE + FIXTURE_MEMORY_SIZE - BLOCK, 2 * BLOCK);
    assert_true(purge(fixture, NULL));
    assert_purged(fixture);
}

/* iommufd returns ENOENT, as if nothing was there, but has removed the areas before the hole. */
static void purge_finds_a_mapping_that_reaches_past_the_claim(void **state)
{
    static const uint64_t places[] = {BASE - BLOCK, BASE + FIXTURE_MEMORY_SIZE - BLOCK};
    IommuFixture *fixture = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        assert_true(fixture_map(fixture, 4, 2, NULL));
        fixture_map_secretly(fixture, places[i], 2 * BLOCK);
        assert_given_up(fixture, "after 16 calls to unmap them. Find who else has the descriptor");
        assert_unknown(fixture, 4, 2, "after 16 calls");
        fixture_unmap_secretly(fixture, places[i], 2 * BLOCK);
        assert_true(purge(fixture, NULL));
        assert_mapped(fixture, 0);
    }
    assert_purged(fixture);
}

/* Neighbours are not probed. */
static void purge_leaves_a_mapping_next_to_the_claim(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    fixture_map_secretly(fixture, BASE - BLOCK, BLOCK);
    fixture_map_secretly(fixture, BASE + FIXTURE_MEMORY_SIZE, BLOCK);
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_true(purge(fixture, NULL));
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), 2);
}

/* ENOSPC only where nothing is mapped. */
static void full_container_can_be_queried(void **state)
{
    PmFakeConfig config;
    IommuFixture *fixture;

    (void)state;
    pm_fake_config_init(&config);
    config.entry_limit = 8;
    fixture = iommu_fixture_new(&config);
    assert_true(fixture_map(fixture, 0, 4, NULL));
    for (uint64_t i = 0; i < 4; i++)
        fixture_map_secretly(fixture, i * BLOCK, BLOCK);
    fixture->hooked.unmap_size_added = 4096;
    assert_false(fixture_unmap(fixture, 0, 4, NULL));
    for (uint64_t i = 4; i < 8; i++)
        fixture_map_secretly(fixture, i * BLOCK, BLOCK);
    assert_true(purge(fixture, NULL));
    assert_all_known(fixture);
    iommu_fixture_free(fixture);
}

#define PURGE_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PURGE_TEST(purge_removes_everything_with_one_call),
        PURGE_TEST(purge_of_nothing_makes_no_call),
        PURGE_TEST(purge_after_a_short_unmap_leaves_nothing),
        PURGE_TEST(purge_of_unknown_blocks_always_probes),
        PURGE_TEST(purge_of_unknown_blocks_that_are_unmapped_succeeds),
        PURGE_TEST(short_purge_repeats_until_nothing_is_left),
        PURGE_TEST(purge_that_removes_too_much_is_probed_until_nothing_is_left),
        PURGE_TEST(purge_that_removes_nothing_is_probed_until_nothing_is_left),
        PURGE_TEST(purge_of_an_unexpected_size_is_logged_once),
        PURGE_TEST(purge_gives_up_on_a_kernel_that_removes_nothing),
        PURGE_TEST(purge_gives_up_on_a_kernel_that_keeps_finding_mappings),
        PURGE_TEST(purge_gives_up_at_once_if_the_probe_is_inconclusive),
        PURGE_TEST(probe_that_succeeds_proves_nothing),
        BACKEND_IOMMUFD_ONLY(PURGE_TEST(probe_that_maps_is_unmapped)),
        PURGE_TEST(failed_purge_keeps_the_ledger),
        PURGE_TEST(purge_that_fails_after_removing_a_part_leaves_the_blocks_unknown),
        PURGE_TEST(failed_purge_of_unknown_blocks_keeps_them_unknown),
        BACKEND_IOMMUFD_ONLY(PURGE_TEST(purge_that_stops_halfway_leaves_the_blocks_unknown)),
        PURGE_TEST(mapping_of_somebody_else_in_the_claim_is_purged_too),
        BACKEND_TYPE1_ONLY(PURGE_TEST(purge_that_would_cut_a_mapping_changes_nothing)),
        BACKEND_IOMMUFD_ONLY(PURGE_TEST(purge_finds_a_mapping_that_reaches_past_the_claim)),
        PURGE_TEST(purge_leaves_a_mapping_next_to_the_claim),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(full_container_can_be_queried)),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
