/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_MAP without a fixed IOVA. Without a device the kernel does not look at the memory, so
 * tests can use any address. */
#include "util/iommufd_util.h"

#define HUGE_PAGE UINT64_C(0x200000)

static int place(Kernel *kernel, uint64_t host, uint64_t length, uint64_t *iova)
{
    *iova = 0;
    return iommufd_map_flags(kernel, IOAS_READ_WRITE, iova, host, length);
}

static uint64_t placed(Kernel *kernel, uint64_t host, uint64_t length)
{
    uint64_t iova;

    assert_int_equal(place(kernel, host, length, &iova), 0);
    return iova;
}

static void the_kernel_places_at_the_second_page_then_in_the_next_gap(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(placed(kernel, 0x10000000, PAGE), 0x1000);
    assert_int_equal(placed(kernel, 0x10000000, PAGE), 0x2000);
    assert_int_equal(placed(kernel, 0x10000000, PAGE), 0x3000);
    assert_int_equal(iommufd_unmap(kernel, 0x2000, PAGE, NULL), 0);
    assert_int_equal(placed(kernel, 0x10000000, PAGE), 0x2000);
}

static void gaps_that_are_too_small_are_skipped(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 0x3000, kernel->memory, PAGE), 0);
    assert_int_equal(placed(kernel, 0x10000000, 4 * PAGE), 0x4000);
    assert_int_equal(placed(kernel, 0x10000000, 2 * PAGE), 0x8000);
    assert_int_equal(placed(kernel, 0x10000000, PAGE), 0x1000);
}

static void the_callers_iova_is_ignored_without_fixed_iova(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova = 0x40000000;

    assert_int_equal(iommufd_map_flags(kernel, IOAS_READ_WRITE, &iova, 0x10000000, PAGE), 0);
    assert_int_equal(iova, 0x1000);
}

static void placement_is_aligned_to_the_length_rounded_up(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(placed(kernel, 0x10000000, 3 * PAGE), 0x4000);
    assert_int_equal(placed(kernel, 0x10000000, 5 * PAGE), 0x8000);
    assert_int_equal(placed(kernel, 0x10000000, PAGE), 0x1000);
}

static void placement_is_aligned_no_more_than_the_memory(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(placed(kernel, 0x10001000, 8 * PAGE), 0x1000);
    assert_int_equal(placed(kernel, 0x10002000, 8 * PAGE), 0xa000);
}

static void placement_is_aligned_no_more_than_a_large_page(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(placed(kernel, 0x40000000, 4 * HUGE_PAGE), HUGE_PAGE);
    assert_int_equal(placed(kernel, 0x40000000, HUGE_PAGE), 5 * HUGE_PAGE);
}

static void memory_at_address_0_has_any_alignment(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(placed(kernel, 0x10000000, PAGE), 0x1000);
    assert_int_equal(placed(kernel, 0, 2 * PAGE), 0x2000);
    assert_int_equal(placed(kernel, 0, 2 * HUGE_PAGE), HUGE_PAGE);
}

static void placement_keeps_the_offset_in_the_page(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(placed(kernel, 0x10000000, PAGE), 0x1000);
    assert_int_equal(placed(kernel, 0x10000003, 5), 0x2003);
    assert_int_equal(placed(kernel, 0x10000800, 0x800), 0x2800);
    assert_int_equal(placed(kernel, 0x10000000, PAGE), 0x3000);
}

static void memory_less_aligned_than_the_ioas_fails_with_einval(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova;

    assert_int_equal(place(kernel, (uintptr_t)kernel->memory + 0x800, PAGE, &iova), -EINVAL);
    assert_int_equal(place(kernel, (uintptr_t)kernel->memory, PAGE, &iova), 0);
}

static void half_of_the_address_space_fails_with_eoverflow(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova;

    assert_int_equal(place(kernel, 0, UINT64_MAX / 2, &iova), -EOVERFLOW);
    assert_int_equal(place(kernel, 0, UINT64_C(1) << 62, &iova), 0);
    assert_int_equal(iova, HUGE_PAGE);
}

static void without_a_large_enough_gap_map_fails_with_enospc(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova;

    assert_int_equal(iommufd_map(kernel, UINT64_C(1) << 62, NULL, UINT64_C(1) << 63), 0);
    assert_int_equal(place(kernel, 0, UINT64_C(1) << 62, &iova), -ENOSPC);
}

static void allow(Kernel *kernel, const struct iommu_iova_range *ranges, uint32_t n_ranges)
{
    struct iommu_ioas_allow_iovas allow = {.size = sizeof(allow),
                                           .ioas_id = kernel->ioas,
                                           .num_iovas = n_ranges,
                                           .allowed_iovas = (uintptr_t)ranges};

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &allow), 0);
}

static void placement_avoids_the_msi_window(void **state)
{
    const struct iommu_iova_range ranges[] = {{WINDOW - 2 * PAGE, WINDOW - 1},
                                              {WINDOW_LAST + 1, WINDOW_LAST + 0x100000}};
    Kernel *kernel = *state;

    allow(kernel, ranges, 2);
    assert_int_equal(placed(kernel, (uintptr_t)kernel->memory, PAGE), WINDOW - 2 * PAGE);
    assert_int_equal(placed(kernel, (uintptr_t)kernel->memory, 2 * PAGE), WINDOW_LAST + 1);
    assert_int_equal(placed(kernel, (uintptr_t)kernel->memory, PAGE), WINDOW - PAGE);
}

static void allowed_ranges_that_touch_are_merged(void **state)
{
    const struct iommu_iova_range ranges[] = {
        {0x1000, 0x2fff}, {0x3000, 0x3fff}, {0x4000, 0x5fff}, {0x7000, 0xafff}};
    Kernel *kernel = *state;
    uint64_t iova;

    allow(kernel, ranges, 4);
    assert_int_equal(placed(kernel, 0x10001000, 5 * PAGE), 0x1000);
    assert_int_equal(placed(kernel, 0x10001000, 4 * PAGE), 0x7000);
    assert_int_equal(place(kernel, 0x10001000, 2 * PAGE, &iova), -ENOSPC);
}

static void a_gap_of_one_byte_is_never_used(void **state)
{
    const struct iommu_iova_range range = {0x1000, 0x1002};
    Kernel *kernel = *state;
    uint64_t iova;

    allow(kernel, &range, 1);
    assert_int_equal(iommufd_map(kernel, 0x1001, (void *)(uintptr_t)0x10000001, 1), 0);
    assert_int_equal(place(kernel, 0x10000000, 1, &iova), -ENOSPC);
    assert_int_equal(iommufd_unmap(kernel, 0x1001, 1, NULL), 0);
    assert_int_equal(placed(kernel, 0x10000000, 1), 0x1000);
}

/* Neither the first page nor the last one. */
static void the_ends_of_the_address_space_are_never_used(void **state)
{
    const struct iommu_iova_range ranges[] = {{0, 0x1fff}, {UINT64_MAX - 4 * PAGE + 1, UINT64_MAX}};
    Kernel *kernel = *state;
    uint64_t iova;

    allow(kernel, ranges, 2);
    assert_int_equal(placed(kernel, 0x10001000, PAGE), PAGE);
    assert_int_equal(place(kernel, 0x10001000, 4 * PAGE, &iova), -ENOSPC);
    assert_int_equal(placed(kernel, 0x10001000, 2 * PAGE), UINT64_MAX - 4 * PAGE + 1);
    assert_int_equal(place(kernel, 0x10001000, 2 * PAGE, &iova), -ENOSPC);
}

static void bad_memory_fails_with_efault_and_frees_the_iova(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova;

    assert_int_equal(place(kernel, 0, PAGE, &iova), -EFAULT);
    assert_int_equal(placed(kernel, (uintptr_t)kernel->memory, PAGE), 0x1000);
}

static void the_kernel_places_copies_too(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = {.size = sizeof(copy),
                                   .flags = IOAS_READ_WRITE,
                                   .dst_ioas_id = kernel->ioas,
                                   .src_ioas_id = kernel->ioas,
                                   .length = PAGE,
                                   .src_iova = 0x1000};

    assert_int_equal(iommufd_map(kernel, 0x1000, (void *)(uintptr_t)0x10000000, PAGE), 0);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_COPY, &copy), 0);
    assert_int_equal(copy.dst_iova, 0x2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOAS(the_kernel_places_at_the_second_page_then_in_the_next_gap),
        TEST_IOAS(gaps_that_are_too_small_are_skipped),
        TEST_IOAS(the_callers_iova_is_ignored_without_fixed_iova),
        TEST_IOAS(placement_is_aligned_to_the_length_rounded_up),
        TEST_IOAS(placement_is_aligned_no_more_than_the_memory),
        TEST_IOAS(placement_is_aligned_no_more_than_a_large_page),
        TEST_IOAS(memory_at_address_0_has_any_alignment),
        TEST_IOAS(placement_keeps_the_offset_in_the_page),
        TEST_ATTACHED(memory_less_aligned_than_the_ioas_fails_with_einval),
        TEST_IOAS(half_of_the_address_space_fails_with_eoverflow),
        TEST_IOAS(without_a_large_enough_gap_map_fails_with_enospc),
        TEST_ATTACHED(placement_avoids_the_msi_window),
        TEST_IOAS(allowed_ranges_that_touch_are_merged),
        TEST_IOAS(a_gap_of_one_byte_is_never_used),
        TEST_IOAS(the_ends_of_the_address_space_are_never_used),
        TEST_ATTACHED(bad_memory_fails_with_efault_and_frees_the_iova),
        TEST_IOAS(the_kernel_places_copies_too),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
