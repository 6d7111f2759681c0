/* SPDX-License-Identifier: MIT */
/* RLIMIT_MEMLOCK on iommufd, per user and per process, and the missing limit on mappings. */
#include "util/iommufd_util.h"

#define IOVA  UINT64_C(0x40000000)
#define THERE UINT64_C(0x50000000)

static int map(Kernel *kernel, uint64_t iova, uint64_t n_pages)
{
    return iommufd_map(kernel, iova, kernel->memory, n_pages * PAGE);
}

static void check_limit_of_four_pages(Kernel *kernel)
{
    assert_int_equal(map(kernel, IOVA, 5), -ENOMEM);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(map(kernel, IOVA, 4), 0);
    assert_int_equal(map(kernel, THERE, 1), -ENOMEM);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(iommufd_unmap(kernel, IOVA, 4 * PAGE, NULL), 0);
    assert_int_equal(map(kernel, THERE, 1), 0);
    assert_int_equal(iommufd_unmap_all(kernel), PAGE);
}

/* The limit counts whole pages. */
static void a_user_can_pin_up_to_the_limit(void **state)
{
    iommufd_attach_charged(*state, CHARGE_USER, 4 * PAGE + 4095);
    check_limit_of_four_pages(*state);
}

static void a_process_can_pin_up_to_the_limit(void **state)
{
    iommufd_attach_charged(*state, CHARGE_PROCESS, 4 * PAGE + 4095);
    check_limit_of_four_pages(*state);
}

/* Everything is pinned first and charged at the end, so bad memory is found first. */
static void check_hole(Kernel *kernel, uint64_t hole)
{
    munmap(kernel->memory + hole * PAGE, PAGE);
    assert_int_equal(map(kernel, IOVA, 8), -EFAULT);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_unmap_all(kernel), 0);
}

static void a_hole_past_the_user_limit_fails_with_efault(void **state)
{
    iommufd_attach_charged(*state, CHARGE_USER, 4 * PAGE);
    check_hole(*state, 7);
}

static void a_hole_past_the_process_limit_fails_with_efault(void **state)
{
    iommufd_attach_charged(*state, CHARGE_PROCESS, 4 * PAGE);
    check_hole(*state, 7);
}

static void a_hole_fails_with_efault_even_with_a_limit_of_0(void **state)
{
    iommufd_attach_charged(*state, CHARGE_PROCESS, 0);
    check_hole(*state, 0);
}

static void all_iommufds_share_the_user_limit(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_USER, 4 * PAGE);
    assert_int_equal(map(kernel, IOVA, 3), 0);
    kernel->iommu = kernel_open(kernel, IOMMU);
    iommufd_attach(kernel, OTHER_DEVICE);
    assert_int_equal(map(kernel, IOVA, 2), -ENOMEM);
    assert_int_equal(map(kernel, IOVA, 1), 0);
}

static void user_and_process_charges_are_separate(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_USER, 4 * PAGE);
    assert_int_equal(map(kernel, IOVA, 4), 0);
    kernel->iommu = kernel_open(kernel, IOMMU);
    iommufd_set_charge(kernel, CHARGE_PROCESS);
    iommufd_attach(kernel, OTHER_DEVICE);
    assert_int_equal(map(kernel, IOVA, 4), 0);
}

static void type1_and_iommufd_process_accounting_share_one_budget(void **state)
{
    Kernel *kernel = *state;
    int group;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, 4 * PAGE);
    assert_int_equal(map(kernel, IOVA, 3), 0);
    kernel->container = kernel_second_container(kernel, &group);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 2 * PAGE), -ENOMEM);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
}

static void a_copy_is_not_charged(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_USER, 4 * PAGE);
    assert_int_equal(map(kernel, IOVA, 4), 0);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, THERE, IOVA, 4 * PAGE), 0);
}

static void attach_beyond_the_limit_fails_with_enomem_and_changes_nothing(void **state)
{
    Kernel *kernel = *state;
    uint32_t pt = 0;

    iommufd_attach_charged(kernel, CHARGE_USER, 4 * PAGE);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(map(kernel, IOVA, 3), 0);
    assert_int_equal(map(kernel, THERE, 2), 0);
    pt = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), -ENOMEM);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_unmap(kernel, THERE, 2 * PAGE, NULL), 0);
    pt = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_int_equal(iommufd_pinned(kernel), 3 * PAGE);
}

static void mappings_are_unlimited(void **state)
{
    Kernel *kernel = *state;
    const uint64_t n_mappings = ENTRY_LIMIT + 10;

    for (uint64_t i = 0; i < n_mappings; i++)
        assert_int_equal(iommufd_map(kernel, IOVA + i * PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_pinned(kernel), n_mappings * PAGE);
    assert_int_equal(iommufd_unmap_all(kernel), n_mappings * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOMMU(a_user_can_pin_up_to_the_limit),
        TEST_IOMMU(a_process_can_pin_up_to_the_limit),
        TEST_IOMMU(a_hole_past_the_user_limit_fails_with_efault),
        TEST_IOMMU(a_hole_past_the_process_limit_fails_with_efault),
        TEST_IOMMU(a_hole_fails_with_efault_even_with_a_limit_of_0),
        TEST_IOMMU(all_iommufds_share_the_user_limit),
        TEST_IOMMU(user_and_process_charges_are_separate),
        TEST_IOMMU(type1_and_iommufd_process_accounting_share_one_budget),
        TEST_IOMMU(a_copy_is_not_charged),
        TEST_IOMMU(attach_beyond_the_limit_fails_with_enomem_and_changes_nothing),
        TEST_ATTACHED(mappings_are_unlimited),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
