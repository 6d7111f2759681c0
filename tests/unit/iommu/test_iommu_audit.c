/* SPDX-License-Identifier: MIT */
/* pm_iommu_audit(): it succeeds after normal use, and finds every inconsistency. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>

#include "iommu/claim.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"

#define END (BASE + FIXTURE_MEMORY_SIZE)

static void assert_right(IommuFixture *fixture, unsigned flags)
{
    g_autoptr(GError) error = NULL;

    if (!pm_iommu_audit(fixture->iommu, NULL, flags, &error))
        fail_msg("%s", error->message);
}

static void assert_wrong(IommuFixture *fixture, unsigned flags, PmError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_iommu_audit(fixture->iommu, NULL, flags, &error));
    assert_error(&error, code, words);
}

/* --- consistent --- */

static void empty_address_space_passes_the_audit(void **state)
{
    IommuFixture *fixture = *state;

    assert_right(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER);
    fixture_drop_claim(fixture);
    assert_right(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER);
}

static void audit_succeeds_after_normal_use(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) pages = fixture_claim(fixture, END, UINT64_C(16) * 4096, 4096, NULL);

    assert_true(fixture_map(fixture, 0, 8, NULL));
    assert_true(fixture_map(fixture, 56, 8, NULL));
    assert_true(fixture_unmap(fixture, 2, 3, NULL));
    assert_true(pm_iommu_claim_map(pages, 0, UINT64_C(16) * 4096, BLOCK, PM_IOMMU_READ, NULL));
    assert_right(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER);
    assert_true(pm_iommu_claim_purge(fixture->claim, NULL));
    assert_right(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER);
    assert_true(pm_iommu_claim_release(pages, NULL));
    assert_right(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER);
}

static void audit_succeeds_after_purged_failures(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    pm_fake_kernel_shorten_unmap(fixture->kernel, 1);
    assert_false(fixture_unmap(fixture, 0, 8, NULL));
    assert_true(pm_iommu_claim_purge(fixture->claim, NULL));
    assert_true(fixture_map(fixture, 0, 3, NULL));
    assert_right(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER);
}

static void locked_memory_of_all_address_spaces_is_counted(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommu) other = NULL;
    g_autoptr(PmIommuClaim) claim = NULL;
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "another",
        .ram = fixture->ram,
        .iova = BASE,
        .size = 4 * BLOCK,
        .block_size = BLOCK,
    };

    assert_true(pm_fake_kernel_add_device(fixture->kernel, 2, "0000:00:05.0", "vfio-pci", NULL));
    other = backend_open(fixture->kernel, 1, NULL);
    claim = pm_iommu_claim_new(other, &config, NULL);
    assert_true(pm_iommu_claim_map(claim, 0, 4 * BLOCK, 0, PM_IOMMU_READ, NULL));
    assert_true(fixture_map(fixture, 0, 2, NULL));
    assert_right(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER);
    assert_true(pm_iommu_audit(other, NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
}

static void memory_locked_before_is_no_audit_error(void **state)
{
    g_autoptr(PmKernel) kernel = backend_fake_new(NULL, NULL);
    HookedKernel hooked;
    PmIommu *iommu;

    (void)state;
    hooked_kernel_init(&hooked, kernel);
    hooked.locked_by_others = 5 * BLOCK;
    iommu = backend_open(&hooked.parent, 0, NULL);
    assert_true(pm_iommu_audit(iommu, NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
    pm_iommu_unref(iommu);
    hooked.locked_by_others = BLOCK;
    iommu = backend_open(&hooked.parent, 0, NULL);
    assert_true(pm_iommu_audit(iommu, NULL, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
    pm_iommu_unref(iommu);
    pm_kernel_unref(&hooked.parent);
}

/* --- inconsistent --- */

static void unknown_blocks_are_found_with_owner_and_reason(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    fixture->hooked.unmap_size_added = 4096;
    assert_false(fixture_unmap(fixture, 2, 1, NULL));
    fixture->hooked.unmap_size_added = 0;
    assert_wrong(
        fixture, 0, PM_ERROR_QUARANTINED,
        "I/O address 0x100400000 is in quarantine: the kernel may still have a block of the test "
        "mapped there (unmapping 0x200000 bytes at I/O address 0x100400000 removed 0x201000 bytes");
}

static void blocks_of_an_abandoned_claim_are_found(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 3, 1, NULL));
    pm_iommu_claim_abandon(fixture->claim);
    assert_wrong(fixture, 0, PM_ERROR_QUARANTINED, "0x100600000 is in quarantine");
    assert_true(pm_iommu_settle(fixture->iommu, NULL));
    assert_right(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER);
}

static void mapping_of_others_is_found(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture_map_secretly(fixture, END, BLOCK);
    assert_wrong(
        fixture, 0, PM_ERROR_AUDIT,
        "the kernel has room for 65,532 more mappings (limit 65,535), but claims have 2 mappings");
    fixture_unmap_secretly(fixture, END, BLOCK);
    assert_right(fixture, 0);
}

static void mapping_removed_by_others_is_found(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture_unmap_secretly(fixture, BASE, BLOCK);
    assert_wrong(fixture, 0, PM_ERROR_AUDIT, "65,534 more mappings (limit 65,535)");
}

static void memory_locked_by_others_is_found_by_a_sole_locker(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->hooked.locked_by_others = 4096;
    assert_right(fixture, 0);
    assert_wrong(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER, PM_ERROR_AUDIT,
                 "the kernel has locked 0x401000 bytes, 0x0 of them before the first mapping, but "
                 "claims have 0x400000 bytes mapped");
    fixture->hooked.locked_by_others = -BLOCK;
    assert_wrong(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER, PM_ERROR_AUDIT, "has locked 0x200000 bytes");
    fixture->hooked.locked_by_others = 0;
    assert_right(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER);
}

static void area_of_others_is_found_by_its_pinned_memory(void **state)
{
    IommuFixture *fixture = *state;

    fixture_map_secretly(fixture, END, BLOCK);
    assert_right(fixture, 0);
    assert_wrong(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER, PM_ERROR_AUDIT, "has locked 0x200000 bytes");
}

static void kernel_that_does_not_report_dma_avail_is_an_error(void **state)
{
    IommuFixture *fixture = *state;

    pm_fake_kernel_fail(fixture->kernel, PM_FAKE_CALL_IOCTL, 1, EIO);
    assert_wrong(fixture, 0, PM_ERROR_KERNEL, "EIO");
}

static void kernel_that_does_not_report_locked_memory_is_an_error(void **state)
{
    IommuFixture *fixture = *state;

    fixture->hooked.locked_result = -EIO;
    assert_right(fixture, 0);
    assert_wrong(fixture, PM_IOMMU_AUDIT_SOLE_LOCKER, PM_ERROR_KERNEL, "EIO");
}

/* --- states that only internals can produce --- */

static void run_that_crosses_its_claims_border_is_found(void **state)
{
    static const uint64_t places[] = {BASE - 2 * BLOCK, BASE - BLOCK, END - BLOCK, END};
    IommuFixture *fixture = *state;
    PmLedger *ledger = fixture->claim->ledger;

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        uint64_t last = places[i] + 2 * BLOCK - 1;

        pm_ledger_set(ledger, places[i], last, PM_LEDGER_MAPPED, 0);
        assert_wrong(fixture, 0, PM_ERROR_AUDIT,
                     "cross the border of the claim of the test, 0x100000000-0x107ffffff");
        pm_ledger_set(ledger, places[i], last, PM_LEDGER_UNMAPPED, 0);
    }
    assert_right(fixture, 0);
}

static void sums_that_differ_are_found(void **state)
{
    IommuFixture *fixture = *state;

    assert_true(fixture_map(fixture, 0, 2, NULL));
    fixture->iommu->n_mappings++;
    assert_wrong(fixture, 0, PM_ERROR_AUDIT,
                 "the claims have 2 mappings of 0x400000 bytes in total, but the address space "
                 "counts 3 of 0x400000 bytes");
    fixture->iommu->n_mappings--;
    fixture->iommu->n_bytes -= 4096;
    assert_wrong(fixture, 0, PM_ERROR_AUDIT, "counts 2 of 0x3ff000 bytes");
    fixture->iommu->n_bytes += 4096;
    assert_right(fixture, 0);
}

static void audit_of_a_range_walks_its_runs_and_compares_all_sums(void **state)
{
    const PmIovaRange range = {BASE + BLOCK, BASE + 2 * BLOCK - 1};
    IommuFixture *fixture = *state;
    PmLedger *ledger = fixture->claim->ledger;

    assert_true(fixture_map(fixture, 0, 4, NULL));
    assert_true(pm_iommu_audit(fixture->iommu, &range, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
    fixture->iommu->n_mappings++;
    assert_false(pm_iommu_audit(fixture->iommu, &range, 0, NULL));
    fixture->iommu->n_mappings--;
    fixture->hooked.locked_by_others = 4096;
    assert_false(pm_iommu_audit(fixture->iommu, &range, PM_IOMMU_AUDIT_SOLE_LOCKER, NULL));
    fixture->hooked.locked_by_others = 0;
    /* Past the claim: only a walk of all runs gets there. */
    pm_ledger_set(ledger, END, END + BLOCK - 1, PM_LEDGER_MAPPED, 0);
    fixture->iommu->n_mappings++;
    fixture->iommu->n_bytes += BLOCK;
    assert_wrong(fixture, 0, PM_ERROR_AUDIT, "cross the border");
    pm_ledger_set(ledger, END, END + BLOCK - 1, PM_LEDGER_UNMAPPED, 0);
    fixture->iommu->n_mappings--;
    fixture->iommu->n_bytes -= BLOCK;
    assert_right(fixture, 0);
}

static void audit_of_a_range_finds_unknown_blocks_anywhere(void **state)
{
    const PmIovaRange range = {BASE, BASE + BLOCK - 1};
    IommuFixture *fixture = *state;
    g_autoptr(GError) error = NULL;

    assert_true(fixture_map(fixture, 0, 8, NULL));
    fixture->hooked.unmap_size_added = 4096;
    assert_false(fixture_unmap(fixture, 2, 1, NULL));
    fixture->hooked.unmap_size_added = 0;
    assert_false(pm_iommu_audit(fixture->iommu, &range, 0, &error));
    assert_error(&error, PM_ERROR_QUARANTINED, "I/O address 0x100400000 is in quarantine");
}

static void claims_that_overlap_are_found(void **state)
{
    IommuFixture *fixture = *state;
    g_autoptr(PmIommuClaim) next = fixture_claim(fixture, END, BLOCK, BLOCK, NULL);

    assert_non_null(next);
    fixture->claim->last++;
    assert_wrong(fixture, 0, PM_ERROR_AUDIT,
                 "I/O address 0x108000000 is claimed for both the test and the test");
    fixture->claim->last--;
    assert_right(fixture, 0);
}

#define AUDIT_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, iommu_fixture_setup, iommu_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUDIT_TEST(empty_address_space_passes_the_audit),
        AUDIT_TEST(audit_succeeds_after_normal_use),
        AUDIT_TEST(audit_succeeds_after_purged_failures),
        AUDIT_TEST(locked_memory_of_all_address_spaces_is_counted),
        cmocka_unit_test(memory_locked_before_is_no_audit_error),
        AUDIT_TEST(unknown_blocks_are_found_with_owner_and_reason),
        AUDIT_TEST(blocks_of_an_abandoned_claim_are_found),
        BACKEND_TYPE1_ONLY(AUDIT_TEST(mapping_of_others_is_found)),
        BACKEND_TYPE1_ONLY(AUDIT_TEST(mapping_removed_by_others_is_found)),
        AUDIT_TEST(memory_locked_by_others_is_found_by_a_sole_locker),
        BACKEND_IOMMUFD_ONLY(AUDIT_TEST(area_of_others_is_found_by_its_pinned_memory)),
        BACKEND_TYPE1_ONLY(AUDIT_TEST(kernel_that_does_not_report_dma_avail_is_an_error)),
        AUDIT_TEST(kernel_that_does_not_report_locked_memory_is_an_error),
        AUDIT_TEST(run_that_crosses_its_claims_border_is_found),
        AUDIT_TEST(sums_that_differ_are_found),
        AUDIT_TEST(audit_of_a_range_walks_its_runs_and_compares_all_sums),
        AUDIT_TEST(audit_of_a_range_finds_unknown_blocks_anywhere),
        AUDIT_TEST(claims_that_overlap_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
