/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_UNMAP_DMA: every errno, type1v2's and type1's rules. */
#include "util/kernel_util.h"

/* Mappings at 0x10000 (4 pages), 0x14000 (4 pages) and, after a hole, 0x20000 (2 pages). */
static Kernel *with_three(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x14000, kernel->memory + 4 * PAGE, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x20000, kernel->memory + 8 * PAGE, 2 * PAGE), 0);
    return kernel;
}

static void assert_refused(Kernel *kernel, uint64_t iova, uint64_t size, int error_number)
{
    uint64_t n_bytes;

    assert_int_equal(kernel_unmap(kernel, iova, size, &n_bytes), -error_number);
    /* The struct is not written and nothing is unmapped. */
    assert_int_equal(n_bytes, size);
    assert_int_equal(kernel_n_mappings(kernel), 3);
    assert_int_equal(kernel_locked(kernel), 10 * PAGE);
}

static void assert_removes(Kernel *kernel, uint64_t iova, uint64_t size, uint64_t n_pages,
                           uint64_t n_left)
{
    uint64_t n_bytes;

    assert_int_equal(kernel_unmap(kernel, iova, size, &n_bytes), 0);
    assert_int_equal(n_bytes, n_pages * PAGE);
    assert_int_equal(kernel_n_mappings(kernel), n_left);
    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT - n_left);
}

static void unmap_returns_the_size(void **state)
{
    Kernel *kernel = with_three(state);

    assert_removes(kernel, 0x14000, 4 * PAGE, 4, 2);
    assert_int_equal(kernel_locked(kernel), 6 * PAGE);
    assert_int_equal(kernel_map(kernel, 0x14000, kernel->memory, 4 * PAGE), 0);
}

static void unmap_of_mappings_and_holes_returns_their_sum(void **state)
{
    Kernel *kernel = with_three(state);

    assert_removes(kernel, 0, 0x100000, 10, 0);
    assert_int_equal(kernel_locked(kernel), 0);
}

static void unmap_of_nothing_succeeds_with_size_0(void **state)
{
    Kernel *kernel = with_three(state);

    assert_removes(kernel, 0x18000, 0x8000, 0, 3);
}

static void a_cut_at_start_middle_or_end_fails_with_einval(void **state)
{
    Kernel *kernel = with_three(state);

    assert_refused(kernel, 0x10000, PAGE, EINVAL);
    assert_refused(kernel, 0x11000, PAGE, EINVAL);
    assert_refused(kernel, 0x13000, PAGE, EINVAL);
    assert_refused(kernel, 0x12000, 6 * PAGE, EINVAL);
    assert_refused(kernel, 0x10000, 6 * PAGE, EINVAL);
    assert_refused(kernel, 0xf000, 2 * PAGE, EINVAL);
}

static void invalid_sizes_and_addresses_fail_with_einval(void **state)
{
    Kernel *kernel = with_three(state);

    assert_refused(kernel, 0x10000, 0, EINVAL);
    assert_refused(kernel, 0x10000, 4 * PAGE + 1, EINVAL);
    assert_refused(kernel, 0x10001, 4 * PAGE, EINVAL);
    assert_refused(kernel, -(2 * PAGE), 3 * PAGE, EINVAL);
}

static void argsz_and_flags_are_checked(void **state)
{
    Kernel *kernel = with_three(state);
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof(unmap) - 1, .iova = 0x10000, .size = 4 * PAGE};

    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_UNMAP_DMA, &unmap),
                     -EINVAL);
    unmap.argsz = sizeof(unmap);
    unmap.flags = 8;
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_UNMAP_DMA, &unmap),
                     -EINVAL);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_UNMAP_DMA, NULL), -EFAULT);
    assert_int_equal(kernel_n_mappings(kernel), 3);
}

static void a_range_up_to_exactly_2_64_removes_nothing(void **state)
{
    Kernel *kernel = with_three(state);

    assert_removes(kernel, PAGE, -PAGE, 0, 3);
}

static void read_only_struct_fails_with_efault_after_the_unmap(void **state)
{
    Kernel *kernel = with_three(state);
    struct vfio_iommu_type1_dma_unmap *unmap =
        (struct vfio_iommu_type1_dma_unmap *)(void *)(kernel->memory + 16 * PAGE);

    *unmap = (struct vfio_iommu_type1_dma_unmap){
        .argsz = sizeof(*unmap), .iova = 0x10000, .size = 4 * PAGE};
    mprotect(unmap, PAGE, PROT_READ);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_UNMAP_DMA, unmap), -EFAULT);
    assert_int_equal(kernel_n_mappings(kernel), 2);
}

static void unmap_all_takes_no_range_and_removes_everything(void **state)
{
    const uint32_t all = VFIO_DMA_UNMAP_FLAG_ALL;
    Kernel *kernel = with_three(state);
    uint64_t n_bytes;

    assert_int_equal(kernel_unmap_flags(kernel, all, PAGE, 0, NULL), -EINVAL);
    assert_int_equal(kernel_unmap_flags(kernel, all, 0, PAGE, NULL), -EINVAL);
    assert_int_equal(kernel_unmap_flags(kernel, all, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, 10 * PAGE);
    assert_int_equal(kernel_n_mappings(kernel), 0);
    assert_int_equal(kernel_unmap_flags(kernel, all, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
}

static void v1_unmap_from_inside_a_mapping_does_nothing(void **state)
{
    Kernel *kernel = with_three(state);

    assert_removes(kernel, 0x11000, PAGE, 0, 3);
    /* Not even if later mappings are wholly inside the range. */
    assert_removes(kernel, 0x12000, 0x100000, 0, 3);
}

static void v1_unmaps_whole_mappings_that_start_in_the_range(void **state)
{
    Kernel *kernel = with_three(state);

    assert_removes(kernel, 0x10000, PAGE, 4, 2);
    assert_removes(kernel, 0x13000, 2 * PAGE, 4, 1);
}

static void v1_unmaps_both_if_the_second_starts_in_the_range(void **state)
{
    Kernel *kernel = with_three(state);

    assert_removes(kernel, 0x10000, 5 * PAGE, 8, 1);
}

static void v1_supports_unmap_all(void **state)
{
    Kernel *kernel = with_three(state);
    uint64_t n_bytes;

    assert_int_equal(kernel_unmap_flags(kernel, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, 10 * PAGE);
}

static void v1_supports_unmap_vaddr(void **state)
{
    Kernel *kernel = with_three(state);
    uint64_t n_bytes;

    assert_int_equal(
        kernel_unmap_flags(kernel, VFIO_DMA_UNMAP_FLAG_VADDR, 0x10000, 8 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 8 * PAGE);
    assert_int_equal(kernel_n_mappings(kernel), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unmap_returns_the_size),
        TEST(unmap_of_mappings_and_holes_returns_their_sum),
        TEST(unmap_of_nothing_succeeds_with_size_0),
        TEST(a_cut_at_start_middle_or_end_fails_with_einval),
        TEST(invalid_sizes_and_addresses_fail_with_einval),
        TEST(argsz_and_flags_are_checked),
        TEST(a_range_up_to_exactly_2_64_removes_nothing),
        TEST(read_only_struct_fails_with_efault_after_the_unmap),
        TEST(unmap_all_takes_no_range_and_removes_everything),
        TEST_V1(v1_unmap_from_inside_a_mapping_does_nothing),
        TEST_V1(v1_unmaps_whole_mappings_that_start_in_the_range),
        TEST_V1(v1_unmaps_both_if_the_second_starts_in_the_range),
        TEST_V1(v1_supports_unmap_all),
        TEST_V1(v1_supports_unmap_vaddr),
    };

    return RUN_TESTS(tests);
}
