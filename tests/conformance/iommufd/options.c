/* SPDX-License-Identifier: MIT */
/* IOMMU_OPTION: accounting mode and large pages. */
#include "util/iommufd_util.h"

static int set_mode(Kernel *kernel, uint64_t mode)
{
    return iommufd_option(kernel, IOMMU_OPTION_RLIMIT_MODE, IOMMU_OPTION_OP_SET, 0, &mode);
}

static uint64_t get_mode(Kernel *kernel)
{
    uint64_t mode = 77;

    assert_int_equal(
        iommufd_option(kernel, IOMMU_OPTION_RLIMIT_MODE, IOMMU_OPTION_OP_GET, 0, &mode), 0);
    return mode;
}

static int set_huge_pages(Kernel *kernel, uint64_t value)
{
    return iommufd_option(kernel, IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_SET, kernel->ioas,
                          &value);
}

static uint64_t get_huge_pages(Kernel *kernel)
{
    uint64_t value = 77;

    assert_int_equal(
        iommufd_option(kernel, IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_GET, kernel->ioas, &value),
        0);
    return value;
}

static void assert_option(Kernel *kernel, struct iommu_option option, int result)
{
    option.size = sizeof(option);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_OPTION, &option), result);
}

static void unknown_options_ops_and_reserved_fields_fail_with_eopnotsupp(void **state)
{
    Kernel *kernel = *state;
    uint32_t ioas = kernel->ioas;

    assert_option(kernel, (struct iommu_option){.option_id = 2, .op = 1}, -EOPNOTSUPP);
    assert_option(kernel, (struct iommu_option){.option_id = IOMMU_OPTION_RLIMIT_MODE, .op = 2},
                  -EOPNOTSUPP);
    assert_option(
        kernel,
        (struct iommu_option){.option_id = IOMMU_OPTION_HUGE_PAGES, .op = 2, .object_id = ioas},
        -EOPNOTSUPP);
    assert_option(kernel, (struct iommu_option){.op = IOMMU_OPTION_OP_GET, .__reserved = 1},
                  -EOPNOTSUPP);
}

static void memory_is_charged_to_the_user_by_default(void **state)
{
    assert_int_equal(get_mode(*state), 0);
}

static void the_accounting_mode_can_be_set_and_reset(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_mode(kernel, 1), 0);
    assert_int_equal(get_mode(kernel), 1);
    assert_int_equal(set_mode(kernel, 0), 0);
    assert_int_equal(get_mode(kernel), 0);
}

static void the_accounting_mode_is_0_or_1(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_mode(kernel, 2), -EINVAL);
    assert_int_equal(set_mode(kernel, UINT64_MAX), -EINVAL);
    assert_int_equal(get_mode(kernel), 0);
}

static void the_accounting_mode_takes_no_object_id(void **state)
{
    Kernel *kernel = *state;
    uint64_t mode = 1;

    assert_int_equal(
        iommufd_option(kernel, IOMMU_OPTION_RLIMIT_MODE, IOMMU_OPTION_OP_GET, kernel->ioas, &mode),
        -EOPNOTSUPP);
    assert_int_equal(
        iommufd_option(kernel, IOMMU_OPTION_RLIMIT_MODE, IOMMU_OPTION_OP_SET, kernel->ioas, &mode),
        -EOPNOTSUPP);
}

static void the_accounting_mode_is_fixed_while_there_is_an_object(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_mode(kernel, 1), -EBUSY);
    assert_int_equal(set_mode(kernel, 2), -EBUSY);
    assert_int_equal(get_mode(kernel), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    assert_int_equal(set_mode(kernel, 1), 0);
}

static void the_accounting_mode_is_per_file(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_mode(kernel, 1), 0);
    kernel->iommu = kernel_open(kernel, IOMMU);
    assert_int_equal(get_mode(kernel), 0);
}

static void the_accounting_mode_checks_cap_sys_resource_first(void **state)
{
    Kernel *kernel = *state;

    kernel_drop_cap_sys_resource(kernel);
    kernel->iommu = kernel_open(kernel, IOMMU);
    assert_int_equal(set_mode(kernel, 1), -EPERM);
    assert_int_equal(set_mode(kernel, 2), -EPERM);
    assert_int_equal(get_mode(kernel), 0);
    iommufd_new_ioas(kernel);
    assert_int_equal(set_mode(kernel, 1), -EPERM);
}

static void large_pages_are_enabled_by_default(void **state)
{
    assert_int_equal(get_huge_pages(*state), 1);
}

static void large_pages_can_be_disabled_and_enabled(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_huge_pages(kernel, 0), 0);
    assert_int_equal(get_huge_pages(kernel), 0);
    assert_int_equal(set_huge_pages(kernel, 0), 0);
    assert_int_equal(set_huge_pages(kernel, 1), 0);
    assert_int_equal(get_huge_pages(kernel), 1);
}

static void large_pages_is_0_or_1(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_huge_pages(kernel, 2), -EINVAL);
    assert_int_equal(get_huge_pages(kernel), 1);
}

static void large_pages_is_per_ioas(void **state)
{
    Kernel *kernel = *state;

    kernel->ioas = NO_ID;
    assert_int_equal(set_huge_pages(kernel, 2), -ENOENT);
    assert_int_equal(set_huge_pages(kernel, 0), -ENOENT);
}

static void without_large_pages_everything_must_be_page_aligned(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_huge_pages(kernel, 0), 0);
    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 5), -EINVAL);
    assert_int_equal(set_huge_pages(kernel, 1), 0);
    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 5), 0);
}

static void unaligned_areas_keep_large_pages_enabled(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 5), 0);
    assert_int_equal(set_huge_pages(kernel, 0), -EADDRINUSE);
    assert_int_equal(get_huge_pages(kernel), 1);
    assert_int_equal(iommufd_unmap_all(kernel), 5);
    assert_int_equal(set_huge_pages(kernel, 0), 0);
}

static void an_attached_device_and_an_area_keep_large_pages_enabled(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(set_huge_pages(kernel, 0), -EINVAL);
    assert_int_equal(get_huge_pages(kernel), 1);
    assert_int_equal(set_huge_pages(kernel, 1), 0);
}

static void an_attached_device_alone_does_not_keep_large_pages_enabled(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_huge_pages(kernel, 0), 0);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(set_huge_pages(kernel, 0), 0);
}

static void options_in_unwritable_structs_fail_with_efault(void **state)
{
    Kernel *kernel = *state;
    struct iommu_option *option = (void *)kernel->memory;

    *option = (struct iommu_option){.size = sizeof(*option),
                                    .option_id = IOMMU_OPTION_HUGE_PAGES,
                                    .op = IOMMU_OPTION_OP_SET,
                                    .object_id = kernel->ioas,
                                    .val64 = 0};
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_OPTION, option), -EFAULT);
    assert_int_equal(get_huge_pages(kernel), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOAS(unknown_options_ops_and_reserved_fields_fail_with_eopnotsupp),
        TEST_IOMMU(memory_is_charged_to_the_user_by_default),
        TEST_IOMMU(the_accounting_mode_can_be_set_and_reset),
        TEST_IOMMU(the_accounting_mode_is_0_or_1),
        TEST_IOAS(the_accounting_mode_takes_no_object_id),
        TEST_IOAS(the_accounting_mode_is_fixed_while_there_is_an_object),
        TEST_IOMMU(the_accounting_mode_is_per_file),
        TEST_CLOSED(the_accounting_mode_checks_cap_sys_resource_first),
        TEST_IOAS(large_pages_are_enabled_by_default),
        TEST_IOAS(large_pages_can_be_disabled_and_enabled),
        TEST_IOAS(large_pages_is_0_or_1),
        TEST_IOAS(large_pages_is_per_ioas),
        TEST_IOAS(without_large_pages_everything_must_be_page_aligned),
        TEST_IOAS(unaligned_areas_keep_large_pages_enabled),
        TEST_ATTACHED(an_attached_device_and_an_area_keep_large_pages_enabled),
        TEST_ATTACHED(an_attached_device_alone_does_not_keep_large_pages_enabled),
        TEST_IOAS(options_in_unwritable_structs_fail_with_efault),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
