/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_UNMAP_DMA on the fake kernel: every errno, type1v2's and type1's rules. */
#include "fake_util.h"

/* Mappings at 0x10000 (4 pages), 0x14000 (4 pages) and, behind a hole, 0x20000 (2 pages). */
static Fake *with_three(unsigned long type)
{
    Fake *fake = fake_with_iommu(NULL, type);

    assert_int_equal(fake_map(fake, 0x10000, fake->memory, 4 * PAGE), 0);
    assert_int_equal(fake_map(fake, 0x14000, fake->memory + 4 * PAGE, 4 * PAGE), 0);
    assert_int_equal(fake_map(fake, 0x20000, fake->memory + 8 * PAGE, 2 * PAGE), 0);
    return fake;
}

static void assert_refused(Fake *fake, uint64_t iova, uint64_t size, int error_number)
{
    uint64_t n_bytes;

    assert_int_equal(fake_unmap(fake, iova, size, &n_bytes), -error_number);
    /* The struct is not written, and nothing is gone. */
    assert_int_equal(n_bytes, size);
    assert_int_equal(fake_n_mappings(fake), 3);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 10 * PAGE);
}

static void assert_removes(Fake *fake, uint64_t iova, uint64_t size, uint64_t n_pages,
                           uint64_t n_left)
{
    uint64_t n_bytes;

    assert_int_equal(fake_unmap(fake, iova, size, &n_bytes), 0);
    assert_int_equal(n_bytes, n_pages * PAGE);
    assert_int_equal(fake_n_mappings(fake), n_left);
    assert_int_equal(fake_available(fake), 65535 - n_left);
}

static void one_mapping_goes_with_its_size(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_removes(fake, 0x14000, 4 * PAGE, 4, 2);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 6 * PAGE);
    assert_int_equal(fake_map(fake, 0x14000, fake->memory, 4 * PAGE), 0);
}

static void a_range_over_mappings_and_holes_returns_their_sum(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_removes(fake, 0, 0x100000, 10, 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 0);
}

static void an_empty_range_is_success_with_nothing(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_removes(fake, 0x18000, 0x8000, 0, 3);
}

static void a_cut_at_start_middle_or_end_is_einval(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_refused(fake, 0x10000, PAGE, EINVAL);
    assert_refused(fake, 0x11000, PAGE, EINVAL);
    assert_refused(fake, 0x13000, PAGE, EINVAL);
    assert_refused(fake, 0x12000, 6 * PAGE, EINVAL);
    assert_refused(fake, 0x10000, 6 * PAGE, EINVAL);
    assert_refused(fake, 0xf000, 2 * PAGE, EINVAL);
}

static void bad_sizes_and_addresses_are_einval(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_refused(fake, 0x10000, 0, EINVAL);
    assert_refused(fake, 0x10000, 4 * PAGE + 1, EINVAL);
    assert_refused(fake, 0x10001, 4 * PAGE, EINVAL);
    assert_refused(fake, -(2 * PAGE), 3 * PAGE, EINVAL);
}

static void argsz_and_flags_are_checked(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof(unmap) - 1, .iova = 0x10000, .size = 4 * PAGE};

    (void)state;
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_UNMAP_DMA, &unmap), -EINVAL);
    unmap.argsz = sizeof(unmap);
    unmap.flags = 8;
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_UNMAP_DMA, &unmap), -EINVAL);
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_UNMAP_DMA, NULL), -EFAULT);
    assert_int_equal(fake_n_mappings(fake), 3);
}

static void a_range_up_to_exactly_2_64_removes_nothing(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_removes(fake, PAGE, -PAGE, 0, 3);
}

static void a_struct_that_cannot_be_written_is_efault_but_done(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);
    struct vfio_iommu_type1_dma_unmap *unmap =
        (struct vfio_iommu_type1_dma_unmap *)(void *)(fake->memory + 16 * PAGE);

    (void)state;
    *unmap = (struct vfio_iommu_type1_dma_unmap){
        .argsz = sizeof(*unmap), .iova = 0x10000, .size = 4 * PAGE};
    mprotect(unmap, PAGE, PROT_READ);
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_UNMAP_DMA, unmap), -EFAULT);
    assert_int_equal(fake_n_mappings(fake), 2);
}

static void unmap_all_wants_no_range_and_removes_everything(void **state)
{
    const uint32_t all = VFIO_DMA_UNMAP_FLAG_ALL;
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(fake_unmap_flags(fake, all, PAGE, 0, NULL), -EINVAL);
    assert_int_equal(fake_unmap_flags(fake, all, 0, PAGE, NULL), -EINVAL);
    assert_int_equal(fake_unmap_flags(fake, all, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, 10 * PAGE);
    assert_int_equal(fake_n_mappings(fake), 0);
    assert_int_equal(fake_unmap_flags(fake, all, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
}

static void mappings_without_address_are_unmapped_like_others(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(
        fake_unmap_flags(fake, VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &n_bytes),
        0);
    assert_int_equal(n_bytes, 10 * PAGE);
    assert_int_equal(fake_n_mappings(fake), 3);
    assert_removes(fake, 0, 0x100000, 10, 0);
}

static void v1_does_nothing_if_the_range_begins_inside_a_mapping(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1_IOMMU);

    (void)state;
    assert_removes(fake, 0x11000, PAGE, 0, 3);
    /* Not even with mappings behind it that are wholly inside. */
    assert_removes(fake, 0x12000, 0x100000, 0, 3);
}

static void v1_takes_a_mapping_whole_whose_head_is_in_the_range(void **state)
{
    (void)state;
    {
        g_autoptr(Fake) fake = with_three(VFIO_TYPE1_IOMMU);

        assert_removes(fake, 0x10000, PAGE, 4, 2);
    }
    {
        g_autoptr(Fake) fake = with_three(VFIO_TYPE1_IOMMU);

        assert_removes(fake, 0xf000, 2 * PAGE, 4, 2);
    }
    {
        g_autoptr(Fake) fake = with_three(VFIO_TYPE1_IOMMU);

        assert_removes(fake, 0x10000, 5 * PAGE, 8, 1);
    }
}

static void what_v1_takes_whole_is_no_longer_translated(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1_IOMMU);
    uint64_t run_iova;
    uint64_t run_size;

    (void)state;
    assert_removes(fake, 0x10000, PAGE, 4, 2);
    assert_true(pm_fake_kernel_next_translated(fake->kernel, 1, 0, &run_iova, &run_size));
    assert_int_equal(run_iova, 0x14000);
    assert_int_equal(run_size, 4 * PAGE);
}

static void the_page_table_follows_every_unmap(void **state)
{
    g_autoptr(Fake) fake = with_three(VFIO_TYPE1v2_IOMMU);
    uint64_t run_iova;
    uint64_t run_size;

    (void)state;
    assert_true(pm_fake_kernel_next_translated(fake->kernel, 1, 0, &run_iova, &run_size));
    assert_int_equal(run_iova, 0x10000);
    assert_int_equal(run_size, 8 * PAGE);
    assert_removes(fake, 0x10000, 8 * PAGE, 8, 1);
    assert_true(pm_fake_kernel_next_translated(fake->kernel, 1, 0, &run_iova, &run_size));
    assert_int_equal(run_iova, 0x20000);
    assert_removes(fake, 0x20000, 2 * PAGE, 2, 0);
    assert_false(pm_fake_kernel_next_translated(fake->kernel, 1, 0, &run_iova, &run_size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_mapping_goes_with_its_size),
        cmocka_unit_test(a_range_over_mappings_and_holes_returns_their_sum),
        cmocka_unit_test(an_empty_range_is_success_with_nothing),
        cmocka_unit_test(a_cut_at_start_middle_or_end_is_einval),
        cmocka_unit_test(bad_sizes_and_addresses_are_einval),
        cmocka_unit_test(argsz_and_flags_are_checked),
        cmocka_unit_test(a_range_up_to_exactly_2_64_removes_nothing),
        cmocka_unit_test(a_struct_that_cannot_be_written_is_efault_but_done),
        cmocka_unit_test(unmap_all_wants_no_range_and_removes_everything),
        cmocka_unit_test(mappings_without_address_are_unmapped_like_others),
        cmocka_unit_test(v1_does_nothing_if_the_range_begins_inside_a_mapping),
        cmocka_unit_test(v1_takes_a_mapping_whole_whose_head_is_in_the_range),
        cmocka_unit_test(what_v1_takes_whole_is_no_longer_translated),
        cmocka_unit_test(the_page_table_follows_every_unmap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
