/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_UNMAP: whole areas only, and what a failed unmap returns and removes. */
#include "util/iommufd_util.h"

#define A UINT64_C(0x10000)
#define B UINT64_C(0x20000)

/* Areas of four pages at A and B, and of one page right after B. */
static void map_three(Kernel *kernel)
{
    assert_int_equal(iommufd_map(kernel, A, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_map(kernel, B, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_map(kernel, B + 4 * PAGE, kernel->memory, PAGE), 0);
}

static void unmap_of_areas_and_holes_returns_their_sum(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_three(kernel);
    assert_int_equal(iommufd_pinned(kernel), 9 * PAGE);
    assert_int_equal(iommufd_unmap(kernel, A - PAGE, B - A + 5 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 8 * PAGE);
    assert_int_equal(iommufd_pinned(kernel), PAGE);
    assert_int_equal(iommufd_unmap_all(kernel), PAGE);
}

static void a_range_without_areas_fails_with_enoent_and_keeps_its_length(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_three(kernel);
    assert_int_equal(iommufd_unmap(kernel, A + 4 * PAGE, PAGE, &n_bytes), -ENOENT);
    assert_int_equal(n_bytes, PAGE);
    assert_int_equal(iommufd_unmap_all(kernel), 9 * PAGE);
}

static void unmap_of_everything_succeeds_without_areas(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(iommufd_unmap(kernel, 0, UINT64_MAX, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
}

static void unmap_of_everything_includes_the_last_address(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, -PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, 0, UINT64_MAX, &n_bytes), 0);
    assert_int_equal(n_bytes, 2 * PAGE);
}

static void a_cut_area_fails_with_enoent_and_stays(void **state)
{
    static const struct {
        uint64_t iova;
        uint64_t n_pages;
    } cuts[] = {{A, 3}, {A + PAGE, 3}, {A + PAGE, 2}, {A + PAGE, 8}, {A - PAGE, 3}};
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_three(kernel);
    for (size_t i = 0; i < G_N_ELEMENTS(cuts); i++) {
        uint64_t length = cuts[i].n_pages * PAGE;

        assert_int_equal(iommufd_unmap(kernel, cuts[i].iova, length, &n_bytes), -ENOENT);
        assert_int_equal(n_bytes, length);
    }
    assert_int_equal(iommufd_pinned(kernel), 9 * PAGE);
    assert_int_equal(iommufd_unmap_all(kernel), 9 * PAGE);
}

static void areas_before_the_cut_one_are_removed(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_three(kernel);
    assert_int_equal(iommufd_unmap(kernel, A, B - A + PAGE, &n_bytes), -ENOENT);
    assert_int_equal(n_bytes, B - A + PAGE);
    assert_int_equal(iommufd_pinned(kernel), 5 * PAGE);
    assert_int_equal(iommufd_unmap_all(kernel), 5 * PAGE);
}

static void areas_after_the_cut_one_stay(void **state)
{
    Kernel *kernel = *state;

    map_three(kernel);
    assert_int_equal(iommufd_unmap(kernel, A + PAGE, B - A + 5 * PAGE, NULL), -ENOENT);
    assert_int_equal(iommufd_unmap_all(kernel), 9 * PAGE);
}

static void unknown_id_fails_with_enoent_before_any_other_check(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = kernel->ioas;

    kernel->ioas = NO_ID;
    assert_int_equal(iommufd_unmap(kernel, UINT64_MAX, 0, NULL), -ENOENT);
    assert_int_equal(iommufd_unmap(kernel, 0, UINT64_MAX, NULL), -ENOENT);
    kernel->ioas = ioas;
}

static void u64_max_address_or_length_fails_with_eoverflow(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_unmap(kernel, UINT64_MAX, 1, NULL), -EOVERFLOW);
    assert_int_equal(iommufd_unmap(kernel, UINT64_MAX, 0, NULL), -EOVERFLOW);
    assert_int_equal(iommufd_unmap(kernel, 1, UINT64_MAX, NULL), -EOVERFLOW);
}

static void length_0_fails_with_einval(void **state)
{
    Kernel *kernel = *state;

    map_three(kernel);
    assert_int_equal(iommufd_unmap(kernel, A, 0, NULL), -EINVAL);
    assert_int_equal(iommufd_unmap(kernel, 0, 0, NULL), -EINVAL);
    assert_int_equal(iommufd_unmap_all(kernel), 9 * PAGE);
}

static void a_wrapping_range_fails_with_eoverflow_and_2_64_does_not_wrap(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(iommufd_map(kernel, A, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, A, UINT64_MAX - PAGE, NULL), -EOVERFLOW);
    assert_int_equal(iommufd_unmap(kernel, A, -A + 1, NULL), -EOVERFLOW);
    assert_int_equal(iommufd_unmap(kernel, A, -A, &n_bytes), 0);
    assert_int_equal(n_bytes, PAGE);
}

static void the_range_need_not_be_page_aligned(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_three(kernel);
    assert_int_equal(iommufd_unmap(kernel, A - 1, 4 * PAGE + 2, &n_bytes), 0);
    assert_int_equal(n_bytes, 4 * PAGE);
}

static void read_only_struct_fails_with_efault_after_the_unmap(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_unmap *unmap = (void *)kernel->memory;

    *unmap = (struct iommu_ioas_unmap){
        .size = sizeof(*unmap), .ioas_id = kernel->ioas, .iova = A, .length = PAGE};
    assert_int_equal(iommufd_map(kernel, A, kernel->memory + PAGE, PAGE), 0);
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_UNMAP, unmap), -EFAULT);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_unmap_all(kernel), 0);
}

static void unmapped_iovas_can_be_mapped_again(void **state)
{
    Kernel *kernel = *state;

    map_three(kernel);
    assert_int_equal(iommufd_unmap(kernel, A, 4 * PAGE, NULL), 0);
    assert_int_equal(iommufd_map(kernel, A + PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_unmap_all(kernel), 6 * PAGE);
}

static void memory_can_be_unmapped_after_munmap(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_three(kernel);
    assert_int_equal(munmap(kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, A, 4 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 4 * PAGE);
    assert_int_equal(iommufd_pinned(kernel), 5 * PAGE);
}

static void unmap_without_a_device_works_the_same(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    map_three(kernel);
    assert_int_equal(iommufd_unmap(kernel, A, PAGE, NULL), -ENOENT);
    assert_int_equal(iommufd_unmap(kernel, A, B - A + PAGE, NULL), -ENOENT);
    assert_int_equal(iommufd_unmap(kernel, 0, B + 16 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 5 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ATTACHED(unmap_of_areas_and_holes_returns_their_sum),
        TEST_ATTACHED(a_range_without_areas_fails_with_enoent_and_keeps_its_length),
        TEST_IOAS(unmap_of_everything_succeeds_without_areas),
        TEST_IOAS(unmap_of_everything_includes_the_last_address),
        TEST_ATTACHED(a_cut_area_fails_with_enoent_and_stays),
        TEST_ATTACHED(areas_before_the_cut_one_are_removed),
        TEST_ATTACHED(areas_after_the_cut_one_stay),
        TEST_IOAS(unknown_id_fails_with_enoent_before_any_other_check),
        TEST_IOAS(u64_max_address_or_length_fails_with_eoverflow),
        TEST_ATTACHED(length_0_fails_with_einval),
        TEST_IOAS(a_wrapping_range_fails_with_eoverflow_and_2_64_does_not_wrap),
        TEST_ATTACHED(the_range_need_not_be_page_aligned),
        TEST_ATTACHED(read_only_struct_fails_with_efault_after_the_unmap),
        TEST_ATTACHED(unmapped_iovas_can_be_mapped_again),
        TEST_ATTACHED(memory_can_be_unmapped_after_munmap),
        TEST_IOAS(unmap_without_a_device_works_the_same),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
