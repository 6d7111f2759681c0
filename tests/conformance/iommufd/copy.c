/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_COPY: a second IOVA for mapped pages, in the same IOAS or another one. */
#include "util/iommufd_util.h"

#define IOVA  UINT64_C(0x40000000)
#define THERE UINT64_C(0x50000000)

static int copy_struct(Kernel *kernel, struct iommu_ioas_copy *copy)
{
    copy->size = sizeof(*copy);
    return iommufd_ioctl(kernel, IOMMU_IOAS_COPY, copy);
}

/* A valid copy of two pages at IOVA, for tests to break. */
static struct iommu_ioas_copy good(const Kernel *kernel)
{
    return (struct iommu_ioas_copy){
        .flags = IOAS_FIXED,
        .dst_ioas_id = kernel->ioas,
        .src_ioas_id = kernel->ioas,
        .length = 2 * PAGE,
        .dst_iova = THERE,
        .src_iova = IOVA,
    };
}

static void map_two(Kernel *kernel)
{
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 2 * PAGE), 0);
}

static void a_copy_is_an_area_of_its_own(void **state)
{
    Kernel *kernel = *state;

    map_two(kernel);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, THERE, IOVA, 2 * PAGE), 0);
    assert_true(iommufd_had(kernel, IOVA, 2 * PAGE));
    assert_true(iommufd_had(kernel, THERE, 2 * PAGE));
}

static void copy_to_another_ioas(void **state)
{
    Kernel *kernel = *state;
    uint32_t other = iommufd_new_ioas(kernel);

    map_two(kernel);
    assert_int_equal(iommufd_copy(kernel, other, IOVA, IOVA, 2 * PAGE), 0);
    assert_int_equal(iommufd_unmap_all(kernel), 2 * PAGE);
    kernel->ioas = other;
    assert_true(iommufd_had(kernel, IOVA, 2 * PAGE));
}

static void part_of_an_area_can_be_copied(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 8 * PAGE), 0);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, THERE, IOVA + 3 * PAGE, 2 * PAGE), 0);
    assert_true(iommufd_had(kernel, THERE, 2 * PAGE));
}

/* One call copies each area as an area. */
static void several_areas_are_copied_as_several_areas(void **state)
{
    Kernel *kernel = *state;

    map_two(kernel);
    assert_int_equal(iommufd_map(kernel, IOVA + 2 * PAGE, kernel->memory, 2 * PAGE), 0);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, THERE, IOVA + PAGE, 2 * PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, THERE, PAGE, NULL), 0);
    assert_true(iommufd_had(kernel, THERE + PAGE, PAGE));
}

static void without_a_device_unaligned_ranges_can_be_copied(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 5), 0);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, 100, 2, 3), 0);
    assert_true(iommufd_had(kernel, 100, 3));
}

static void without_a_device_a_single_byte_can_be_copied(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 1), 0);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, 100, 1, 1), 0);
    assert_true(iommufd_had(kernel, 1, 1));
    assert_true(iommufd_had(kernel, 100, 1));
}

static void unknown_flags_fail_with_eopnotsupp_before_any_other_check(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = {.flags = 8, .length = UINT64_MAX};

    assert_int_equal(copy_struct(kernel, &copy), -EOPNOTSUPP);
}

static void u64_max_address_or_length_fails_with_eoverflow_before_the_flags(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = {.length = UINT64_MAX};

    assert_int_equal(copy_struct(kernel, &copy), -EOVERFLOW);
    copy = (struct iommu_ioas_copy){.dst_iova = UINT64_MAX};
    assert_int_equal(copy_struct(kernel, &copy), -EOVERFLOW);
    copy = (struct iommu_ioas_copy){.src_iova = UINT64_MAX};
    assert_int_equal(copy_struct(kernel, &copy), -EOVERFLOW);
}

static void no_permission_fails_with_einval_before_the_source(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = good(kernel);

    copy.flags = IOMMU_IOAS_MAP_FIXED_IOVA;
    copy.src_ioas_id = NO_ID;
    assert_int_equal(copy_struct(kernel, &copy), -EINVAL);
}

static void unknown_source_fails_with_enoent_before_the_length(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = good(kernel);

    copy.src_ioas_id = NO_ID;
    copy.length = 0;
    assert_int_equal(copy_struct(kernel, &copy), -ENOENT);
}

static void length_0_fails_with_einval(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = good(kernel);

    map_two(kernel);
    copy.length = 0;
    copy.dst_ioas_id = NO_ID;
    assert_int_equal(copy_struct(kernel, &copy), -EINVAL);
}

static void wrapping_source_fails_with_eoverflow(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = good(kernel);

    map_two(kernel);
    copy.length = -IOVA + 1;
    copy.dst_ioas_id = NO_ID;
    assert_int_equal(copy_struct(kernel, &copy), -EOVERFLOW);
}

static void a_source_with_holes_fails_with_enoent(void **state)
{
    static const struct {
        uint64_t iova;
        uint64_t n_pages;
    } missing[] = {{IOVA - PAGE, 2}, {IOVA + PAGE, 2}, {IOVA, 4}, {THERE, 1}};
    Kernel *kernel = *state;

    map_two(kernel);
    assert_int_equal(iommufd_map(kernel, IOVA + 3 * PAGE, kernel->memory, PAGE), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(missing); i++)
        assert_int_equal(
            iommufd_copy(kernel, kernel->ioas, THERE, missing[i].iova, missing[i].n_pages * PAGE),
            -ENOENT);
    assert_int_equal(iommufd_unmap_all(kernel), 3 * PAGE);
}

static void unknown_destination_fails_with_enoent(void **state)
{
    Kernel *kernel = *state;

    map_two(kernel);
    assert_int_equal(iommufd_copy(kernel, NO_ID, THERE, IOVA, 2 * PAGE), -ENOENT);
}

static void the_destination_is_checked_as_in_map(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = kernel->ioas;

    map_two(kernel);
    assert_int_equal(iommufd_copy(kernel, ioas, IOVA + PAGE, IOVA, 2 * PAGE), -EEXIST);
    assert_int_equal(iommufd_copy(kernel, ioas, IOVA, IOVA, 2 * PAGE), -EEXIST);
    assert_int_equal(iommufd_copy(kernel, ioas, WINDOW, IOVA, PAGE), -EINVAL);
    assert_int_equal(iommufd_copy(kernel, ioas, THERE + 1, IOVA, PAGE), -EINVAL);
    assert_int_equal(iommufd_copy(kernel, ioas, THERE, IOVA, PAGE + 1), -EINVAL);
    assert_int_equal(iommufd_copy(kernel, ioas, THERE, IOVA + 1, PAGE), -EINVAL);
    assert_int_equal(iommufd_copy(kernel, ioas, -PAGE, IOVA, 2 * PAGE), -EOVERFLOW);
    assert_int_equal(iommufd_unmap_all(kernel), 2 * PAGE);
}

/* Copies two adjacent areas, which add up to whole pages, from an IOAS without a device. */
static int copy_two(Kernel *kernel, uint64_t first_length, const void *second,
                    uint64_t second_length)
{
    uint32_t attached = kernel->ioas;
    int result;

    kernel->ioas = iommufd_new_ioas(kernel);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, first_length), 0);
    assert_int_equal(iommufd_map(kernel, IOVA + first_length, second, second_length), 0);
    result = iommufd_copy(kernel, attached, THERE, IOVA, first_length + second_length);
    kernel->ioas = attached;
    return result;
}

static void every_area_must_start_page_aligned_in_memory(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(copy_two(kernel, PAGE, kernel->memory + PAGE + 1, PAGE), -EINVAL);
    assert_int_equal(iommufd_unmap_all(kernel), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

static void every_area_must_be_a_multiple_of_the_page_size(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(copy_two(kernel, 100, kernel->memory + PAGE, PAGE - 100), -EINVAL);
    assert_int_equal(copy_two(kernel, PAGE + 100, kernel->memory, PAGE - 100), -EINVAL);
    assert_int_equal(iommufd_unmap_all(kernel), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
}

/* Within an area, the memory is checked first. */
static void the_first_invalid_area_decides_the_error(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(copy_two(kernel, 100, NULL, PAGE - 100), -EINVAL);
    munmap(kernel->memory, PAGE);
    assert_int_equal(copy_two(kernel, 100, kernel->memory + PAGE, PAGE - 100), -EFAULT);
    assert_int_equal(iommufd_unmap_all(kernel), 0);
}

static void copying_a_read_only_area_as_writable_fails(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = good(kernel);
    uint64_t iova = IOVA;

    assert_int_equal(iommufd_map_flags(kernel, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
                                       &iova, (uintptr_t)kernel->memory, 2 * PAGE),
                     0);
    assert_int_equal(copy_struct(kernel, &copy), -EPERM);
    copy.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
    assert_int_equal(copy_struct(kernel, &copy), 0);
}

static void overlap_is_checked_before_permissions(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = good(kernel);
    uint64_t iova = IOVA;

    assert_int_equal(iommufd_map_flags(kernel, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
                                       &iova, (uintptr_t)kernel->memory, 2 * PAGE),
                     0);
    copy.dst_iova = IOVA;
    assert_int_equal(copy_struct(kernel, &copy), -EEXIST);
}

static void a_writable_area_can_be_copied_as_read_only(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy copy = good(kernel);

    map_two(kernel);
    copy.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
    assert_int_equal(copy_struct(kernel, &copy), 0);
}

static void read_only_struct_fails_with_efault_after_the_copy(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_copy *copy = (void *)(kernel->memory + 8 * PAGE);

    map_two(kernel);
    *copy = good(kernel);
    copy->size = sizeof(*copy);
    mprotect(copy, PAGE, PROT_READ);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_COPY, copy), -EFAULT);
    assert_true(iommufd_had(kernel, THERE, 2 * PAGE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ATTACHED(a_copy_is_an_area_of_its_own),
        TEST_ATTACHED(copy_to_another_ioas),
        TEST_ATTACHED(part_of_an_area_can_be_copied),
        TEST_ATTACHED(several_areas_are_copied_as_several_areas),
        TEST_IOAS(without_a_device_unaligned_ranges_can_be_copied),
        TEST_IOAS(without_a_device_a_single_byte_can_be_copied),
        TEST_IOAS(unknown_flags_fail_with_eopnotsupp_before_any_other_check),
        TEST_IOAS(u64_max_address_or_length_fails_with_eoverflow_before_the_flags),
        TEST_IOAS(no_permission_fails_with_einval_before_the_source),
        TEST_IOAS(unknown_source_fails_with_enoent_before_the_length),
        TEST_IOAS(length_0_fails_with_einval),
        TEST_IOAS(wrapping_source_fails_with_eoverflow),
        TEST_IOAS(a_source_with_holes_fails_with_enoent),
        TEST_IOAS(unknown_destination_fails_with_enoent),
        TEST_ATTACHED(the_destination_is_checked_as_in_map),
        TEST_ATTACHED(every_area_must_start_page_aligned_in_memory),
        TEST_ATTACHED(every_area_must_be_a_multiple_of_the_page_size),
        TEST_ATTACHED(the_first_invalid_area_decides_the_error),
        TEST_IOAS(copying_a_read_only_area_as_writable_fails),
        TEST_IOAS(overlap_is_checked_before_permissions),
        TEST_IOAS(a_writable_area_can_be_copied_as_read_only),
        TEST_ATTACHED(read_only_struct_fails_with_efault_after_the_copy),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
