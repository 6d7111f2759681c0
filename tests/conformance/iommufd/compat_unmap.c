/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_UNMAP_DMA on /dev/iommu: whole areas, or any part of them with type1 version 1. */
#include "util/iommufd_util.h"

#define A UINT64_C(0x10000)
#define B UINT64_C(0x20000)

static void map_two(Kernel *kernel)
{
    assert_int_equal(kernel_map(kernel, A, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, B, kernel->memory, 4 * PAGE), 0);
}

/* How much was still mapped. */
static uint64_t unmap_all(Kernel *kernel)
{
    uint64_t n_bytes;

    assert_int_equal(kernel_unmap_flags(kernel, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &n_bytes), 0);
    return n_bytes;
}

/* Version 1, without a device. */
static void set_version_1(Kernel *kernel)
{
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1_IOMMU), 0);
}

static void unmap_of_areas_and_holes_returns_their_sum(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A - PAGE, B - A + 8 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 8 * PAGE);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

static void a_cut_fails_with_enoent_after_removing_earlier_areas(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A, B - A + PAGE, &n_bytes), -ENOENT);
    assert_int_equal(n_bytes, 4 * PAGE);
    assert_int_equal(unmap_all(kernel), 4 * PAGE);
}

static void a_cut_at_the_start_fails_with_enoent_and_removes_nothing(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A + PAGE, B - A + 4 * PAGE, &n_bytes), -ENOENT);
    assert_int_equal(n_bytes, 0);
    assert_int_equal(unmap_all(kernel), 8 * PAGE);
}

static void unmap_of_nothing_succeeds_with_size_0(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(kernel_unmap(kernel, A, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
    assert_int_equal(kernel_unmap(kernel, A + 1, 100, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
}

static void size_0_fails_with_einval(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_unmap(kernel, A, 0, NULL), -EINVAL);
}

static void a_wrapping_range_fails_with_eoverflow_and_2_64_does_not_wrap(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A, -A + PAGE, NULL), -EOVERFLOW);
    assert_int_equal(kernel_unmap(kernel, A, -A, &n_bytes), 0);
    assert_int_equal(n_bytes, 8 * PAGE);
}

static void unmap_all_rejects_address_and_size(void **state)
{
    Kernel *kernel = *state;
    uint32_t all = VFIO_DMA_UNMAP_FLAG_ALL;

    map_two(kernel);
    assert_int_equal(kernel_unmap_flags(kernel, all, A, 0, NULL), -EINVAL);
    assert_int_equal(kernel_unmap_flags(kernel, all, 0, PAGE, NULL), -EINVAL);
    assert_int_equal(unmap_all(kernel), 8 * PAGE);
    assert_int_equal(unmap_all(kernel), 0);
}

static void other_flags_fail_with_einval(void **state)
{
    static const uint32_t flags[] = {VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
                                     VFIO_DMA_UNMAP_FLAG_VADDR, 8};
    Kernel *kernel = *state;

    map_two(kernel);
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
        assert_int_equal(kernel_unmap_flags(kernel, flags[i], A, 4 * PAGE, NULL), -EINVAL);
    assert_int_equal(unmap_all(kernel), 8 * PAGE);
}

static void argsz_has_a_minimum_and_no_maximum(void **state)
{
    Kernel *kernel = *state;
    struct vfio_iommu_type1_dma_unmap unmap = {.argsz = 23, .iova = A, .size = 4 * PAGE};

    map_two(kernel);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_UNMAP_DMA, &unmap),
                     -EINVAL);
    unmap.argsz = 1000;
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
}

static void read_only_struct_fails_with_efault_after_the_unmap(void **state)
{
    Kernel *kernel = *state;
    struct vfio_iommu_type1_dma_unmap *unmap = (void *)kernel->memory;

    *unmap = (struct vfio_iommu_type1_dma_unmap){.argsz = sizeof(*unmap), .iova = A, .size = PAGE};
    assert_int_equal(kernel_map(kernel, A, kernel->memory + PAGE, PAGE), 0);
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_UNMAP_DMA, unmap), -EFAULT);
    assert_int_equal(unmap_all(kernel), 0);
}

/* --- version 1 --- */

static void version_1_unmaps_exactly_the_range(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    set_version_1(kernel);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A + PAGE, 2 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 2 * PAGE);
    assert_int_equal(iommufd_pinned(kernel), 6 * PAGE);
    assert_int_equal(kernel_map(kernel, A, kernel->memory, PAGE), -EEXIST);
    assert_int_equal(kernel_map(kernel, A + 3 * PAGE, kernel->memory, PAGE), -EEXIST);
    assert_int_equal(kernel_map(kernel, A + PAGE, kernel->memory, 2 * PAGE), 0);
    assert_int_equal(unmap_all(kernel), 8 * PAGE);
}

static void version_1_cuts_at_both_ends_of_a_range(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    set_version_1(kernel);
    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A + 3 * PAGE, B - A - 2 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 2 * PAGE);
    assert_int_equal(unmap_all(kernel), 6 * PAGE);
}

static void version_1_splits_an_area_in_two(void **state)
{
    Kernel *kernel = *state;

    set_version_1(kernel);
    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A + PAGE, PAGE, NULL), 0);
    kernel->ioas = 1;
    assert_true(iommufd_had(kernel, A, PAGE));
    assert_true(iommufd_had(kernel, A + 2 * PAGE, 2 * PAGE));
}

static void version_1_unmap_of_nothing_returns_0(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    set_version_1(kernel);
    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A + 4 * PAGE, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
}

static void version_1_cuts_only_at_page_boundaries(void **state)
{
    Kernel *kernel = *state;

    set_version_1(kernel);
    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A, PAGE - 1, NULL), -EINVAL);
    assert_int_equal(kernel_unmap(kernel, A + PAGE + 1, 3 * PAGE - 1, NULL), -EINVAL);
    assert_int_equal(unmap_all(kernel), 8 * PAGE);
}

/* It takes an area of which only the first byte is in the range for one that needs no cut. */
static void version_1_cuts_at_a_first_byte_fail_with_enoent(void **state)
{
    Kernel *kernel = *state;

    set_version_1(kernel);
    map_two(kernel);
    assert_int_equal(kernel_unmap(kernel, A - PAGE, PAGE + 1, NULL), -ENOENT);
    assert_int_equal(kernel_unmap(kernel, A + 1, 4 * PAGE - 1, NULL), -ENOENT);
    assert_int_equal(unmap_all(kernel), 8 * PAGE);
}

/* An area with an unaligned IOVA and aligned memory, or the other way round. */
static void version_1_cuts_only_where_the_memory_is_aligned_too(void **state)
{
    Kernel *kernel = *state;

    set_version_1(kernel);
    kernel->ioas = iommufd_new_ioas(kernel);
    assert_int_equal(iommufd_map(kernel, A, kernel->memory, 100), 0);
    assert_int_equal(iommufd_map(kernel, A + 100, kernel->memory, 4 * PAGE - 100), 0);
    assert_int_equal(iommufd_copy(kernel, 1, A, A, 4 * PAGE), 0);
    assert_int_equal(kernel_unmap(kernel, A + 2 * PAGE, 2 * PAGE, NULL), -EINVAL);
    assert_int_equal(kernel_unmap(kernel, A + 2 * PAGE + 100, 2 * PAGE - 100, NULL), -EINVAL);
    assert_int_equal(unmap_all(kernel), 4 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_COMPAT_DEVICE(unmap_of_areas_and_holes_returns_their_sum),
        TEST_COMPAT_DEVICE(a_cut_fails_with_enoent_after_removing_earlier_areas),
        TEST_COMPAT_DEVICE(a_cut_at_the_start_fails_with_enoent_and_removes_nothing),
        TEST_COMPAT_DEVICE(unmap_of_nothing_succeeds_with_size_0),
        TEST_COMPAT_DEVICE(size_0_fails_with_einval),
        TEST_COMPAT_DEVICE(a_wrapping_range_fails_with_eoverflow_and_2_64_does_not_wrap),
        TEST_COMPAT_DEVICE(unmap_all_rejects_address_and_size),
        TEST_COMPAT_DEVICE(other_flags_fail_with_einval),
        TEST_COMPAT_DEVICE(argsz_has_a_minimum_and_no_maximum),
        TEST_COMPAT_DEVICE(read_only_struct_fails_with_efault_after_the_unmap),
        TEST_COMPAT(version_1_unmaps_exactly_the_range),
        TEST_COMPAT(version_1_cuts_at_both_ends_of_a_range),
        TEST_COMPAT(version_1_splits_an_area_in_two),
        TEST_COMPAT(version_1_unmap_of_nothing_returns_0),
        TEST_COMPAT(version_1_cuts_only_at_page_boundaries),
        TEST_COMPAT(version_1_cuts_at_a_first_byte_fail_with_enoent),
        TEST_COMPAT(version_1_cuts_only_where_the_memory_is_aligned_too),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
