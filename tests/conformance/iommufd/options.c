/* SPDX-License-Identifier: MIT */
/* IOMMU_OPTION: whom pinned memory is charged to, and large pages. */
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

static void unknown_options_and_deeds_and_reserved_fields_are_eopnotsupp(void **state)
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

static void memory_is_charged_to_the_user_at_first(void **state)
{
    assert_int_equal(get_mode(*state), 0);
}

static void the_mode_can_be_set_and_set_back(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_mode(kernel, 1), 0);
    assert_int_equal(get_mode(kernel), 1);
    assert_int_equal(set_mode(kernel, 0), 0);
    assert_int_equal(get_mode(kernel), 0);
}

static void the_mode_is_one_of_two(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_mode(kernel, 2), -EINVAL);
    assert_int_equal(set_mode(kernel, UINT64_MAX), -EINVAL);
    assert_int_equal(get_mode(kernel), 0);
}

static void the_mode_is_of_no_object(void **state)
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

static void the_mode_is_fixed_while_there_is_an_object(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_mode(kernel, 1), -EBUSY);
    assert_int_equal(set_mode(kernel, 2), -EBUSY);
    assert_int_equal(get_mode(kernel), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    assert_int_equal(set_mode(kernel, 1), 0);
}

static void the_mode_is_of_one_file(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_mode(kernel, 1), 0);
    kernel->iommu = kernel_open(kernel, IOMMU);
    assert_int_equal(get_mode(kernel), 0);
}

static void the_mode_takes_cap_sys_resource_before_all(void **state)
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

static void large_pages_are_used_at_first(void **state)
{
    assert_int_equal(get_huge_pages(*state), 1);
}

static void large_pages_can_be_switched_off_and_on(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_huge_pages(kernel, 0), 0);
    assert_int_equal(get_huge_pages(kernel), 0);
    assert_int_equal(set_huge_pages(kernel, 0), 0);
    assert_int_equal(set_huge_pages(kernel, 1), 0);
    assert_int_equal(get_huge_pages(kernel), 1);
}

static void large_pages_are_off_or_on(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_huge_pages(kernel, 2), -EINVAL);
    assert_int_equal(get_huge_pages(kernel), 1);
}

static void large_pages_are_of_an_address_space(void **state)
{
    Kernel *kernel = *state;

    kernel->ioas = NO_ID;
    assert_int_equal(set_huge_pages(kernel, 2), -ENOENT);
    assert_int_equal(set_huge_pages(kernel, 0), -ENOENT);
}

static void without_large_pages_everything_is_of_whole_pages(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_huge_pages(kernel, 0), 0);
    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 5), -EINVAL);
    assert_int_equal(set_huge_pages(kernel, 1), 0);
    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 5), 0);
}

static void areas_off_the_page_keep_large_pages_on(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 5), 0);
    assert_int_equal(set_huge_pages(kernel, 0), -EADDRINUSE);
    assert_int_equal(get_huge_pages(kernel), 1);
    assert_int_equal(iommufd_unmap_all(kernel), 5);
    assert_int_equal(set_huge_pages(kernel, 0), 0);
}

static void a_device_and_an_area_keep_large_pages_on(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(set_huge_pages(kernel, 0), -EINVAL);
    assert_int_equal(get_huge_pages(kernel), 1);
    assert_int_equal(set_huge_pages(kernel, 1), 0);
}

static void a_device_alone_does_not(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(set_huge_pages(kernel, 0), 0);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(set_huge_pages(kernel, 0), 0);
}

static void options_that_cannot_answer_are_efault(void **state)
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
        TEST_IOAS(unknown_options_and_deeds_and_reserved_fields_are_eopnotsupp),
        TEST_IOMMU(memory_is_charged_to_the_user_at_first),
        TEST_IOMMU(the_mode_can_be_set_and_set_back),
        TEST_IOMMU(the_mode_is_one_of_two),
        TEST_IOAS(the_mode_is_of_no_object),
        TEST_IOAS(the_mode_is_fixed_while_there_is_an_object),
        TEST_IOMMU(the_mode_is_of_one_file),
        TEST_CLOSED(the_mode_takes_cap_sys_resource_before_all),
        TEST_IOAS(large_pages_are_used_at_first),
        TEST_IOAS(large_pages_can_be_switched_off_and_on),
        TEST_IOAS(large_pages_are_off_or_on),
        TEST_IOAS(large_pages_are_of_an_address_space),
        TEST_IOAS(without_large_pages_everything_is_of_whole_pages),
        TEST_IOAS(areas_off_the_page_keep_large_pages_on),
        TEST_ATTACHED(a_device_and_an_area_keep_large_pages_on),
        TEST_ATTACHED(a_device_alone_does_not),
        TEST_IOAS(options_that_cannot_answer_are_efault),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
