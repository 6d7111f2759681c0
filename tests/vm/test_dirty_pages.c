/* SPDX-License-Identifier: MIT */
/* On a real kernel: dirty bits of mapped pages, and of no others, although type1 leaves bits of one
 * read for the next. Run in the VM by ctest vm/dirty_pages_are_right_by_*. */
#include "vm_stack.h"

#include <plugmap/iommu_claim.h>

#include "util/backend_util.h"

#define PAGE  UINT64_C(4096)
#define IOVA  UINT64_C(0x100000000)
#define PAGES 256

static PmIommuClaim *map(PmIommu *iommu, PmRam *ram, uint64_t first, uint64_t block_size,
                         uint64_t n_blocks)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = ram,
        .iova = IOVA + first * PAGE,
        .size = n_blocks * block_size,
        .block_size = block_size,
    };
    g_autoptr(GError) error = NULL;
    PmIommuClaim *claim = pm_iommu_claim_new(iommu, &config, &error);

    vm_check(claim != NULL, error);
    vm_check(pm_iommu_claim_map(claim, 0, config.size, first * PAGE, PM_IOMMU_READ_WRITE, &error),
             error);
    return claim;
}

/* Pages [@first, @end) that a claim has mapped. */
static void set(bool *pages, unsigned first, unsigned end)
{
    while (first < end)
        pages[first++] = true;
}

static void assert_dirty(PmIommu *iommu, const bool *right)
{
    uint64_t bitmap[PAGES / 64] = {0};
    g_autoptr(GError) error = NULL;

    vm_check(pm_iommu_read_dirty(iommu, IOVA, PAGES * PAGE, PAGE, bitmap, &error), error);
    for (unsigned i = 0; i < PAGES; i++)
        if ((bitmap[i / 64] >> i % 64 & 1) != right[i])
            fail_msg("page %u is %s", i, right[i] ? "clean" : "dirty");
}

static void holes_next_to_small_mappings_are_never_dirty(void **state)
{
    g_autoptr(PmIommu) iommu = vm_open_iommu();
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, PAGES * PAGE, 0, NULL);
    g_autoptr(PmIommuClaim) small = map(iommu, ram, 1, PAGE, 3);
    g_autoptr(PmIommuClaim) middle = map(iommu, ram, 9, 4 * PAGE, 2);
    g_autoptr(PmIommuClaim) large = map(iommu, ram, 70, 64 * PAGE, 2);
    g_autoptr(GError) error = NULL;
    bool right[PAGES] = {false};

    assert_non_null(middle);
    assert_non_null(large);
    (void)state;
    set(right, 1, 4);
    set(right, 9, 17);
    set(right, 70, 198);
    vm_check(pm_iommu_set_dirty_tracking(iommu, true, &error), error);
    for (unsigned i = 0; i < 4; i++)
        assert_dirty(iommu, right);
    vm_check(pm_iommu_claim_unmap(small, PAGE, PAGE, &error), error);
    right[2] = false;
    for (unsigned i = 0; i < 4; i++)
        assert_dirty(iommu, right);
    vm_check(pm_iommu_set_dirty_tracking(iommu, false, &error), error);
}

static void unmap_reports_what_it_unmaps(void **state)
{
    g_autoptr(PmIommu) iommu = vm_open_iommu();
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_MEMFD, PAGES * PAGE, 0, NULL);
    g_autoptr(PmIommuClaim) claim = map(iommu, ram, 0, 4 * PAGE, 8);
    g_autoptr(GError) error = NULL;
    uint64_t bitmap[2] = {0, 0x5a};

    (void)state;
    vm_check(pm_iommu_set_dirty_tracking(iommu, true, &error), error);
    vm_check(pm_iommu_claim_unmap_dirty(claim, 4 * PAGE, 12 * PAGE, PAGE, bitmap, &error), error);
    assert_int_equal(bitmap[0], 0xfff);
    assert_int_equal(bitmap[1], 0x5a);
    assert_int_equal(pm_iommu_get_n_mappings(iommu), 5);
}

static void iommu_without_dirty_tracking_says_so(void **state)
{
    g_autoptr(PmIommu) iommu = vm_open_iommu();
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_int_equal(pm_iommu_get_dirty_kind(iommu), PM_IOMMU_DIRTY_NONE);
    assert_false(pm_iommu_set_dirty_tracking(iommu, true, &error));
    assert_int_equal(error->code, PM_ERROR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKEND_TYPE1_ONLY(cmocka_unit_test(holes_next_to_small_mappings_are_never_dirty)),
        BACKEND_TYPE1_ONLY(cmocka_unit_test(unmap_reports_what_it_unmaps)),
        BACKEND_IOMMUFD_ONLY(cmocka_unit_test(iommu_without_dirty_tracking_says_so)),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
