/* SPDX-License-Identifier: MIT */
/* Pinned page accounting. Pinned pages always count in VmPin; whether they are charged, and to whom
 * (VmLck or the user), is decided when they are mapped. */
#include "util/iommufd_util.h"

#define IOVA  UINT64_C(0x40000000)
#define THERE UINT64_C(0x50000000)

static int map(Kernel *kernel, uint64_t n_pages)
{
    return iommufd_map(kernel, IOVA, kernel->memory, n_pages * PAGE);
}

static void assert_counts(Kernel *kernel, uint64_t pinned, uint64_t locked)
{
    assert_int_equal(iommufd_pinned(kernel), pinned * PAGE);
    assert_int_equal(kernel_locked(kernel), locked * PAGE);
}

static void cap_ipc_lock_pins_without_charging_the_user(void **state)
{
    Kernel *kernel = *state;

    kernel_set_memlock(kernel, 0, true);
    assert_int_equal(map(kernel, 4), 0);
    assert_counts(kernel, 4, 0);
}

static void cap_ipc_lock_pins_without_charging_the_process(void **state)
{
    Kernel *kernel = *state;

    iommufd_set_charge(kernel, CHARGE_PROCESS);
    iommufd_attach(kernel, DEVICE);
    kernel_set_memlock(kernel, 0, true);
    assert_int_equal(map(kernel, 4), 0);
    assert_counts(kernel, 4, 0);
}

static void pins_are_charged_to_the_user_by_default(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_USER, UINT64_MAX);
    assert_int_equal(map(kernel, 4), 0);
    assert_counts(kernel, 4, 0);
}

static void pins_are_charged_to_the_process_if_the_option_is_set(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, UINT64_MAX);
    assert_int_equal(map(kernel, 4), 0);
    assert_counts(kernel, 4, 4);
    assert_int_equal(iommufd_unmap(kernel, IOVA, 4 * PAGE, NULL), 0);
    assert_counts(kernel, 0, 0);
}

static void without_a_device_nothing_is_pinned_or_charged(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, 4 * PAGE);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(map(kernel, 8), 0);
    assert_counts(kernel, 0, 0);
}

static void detach_uncharges(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, UINT64_MAX);
    assert_int_equal(map(kernel, 4), 0);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_counts(kernel, 0, 0);
}

static void closing_everything_uncharges(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, UINT64_MAX);
    assert_int_equal(map(kernel, 4), 0);
    assert_int_equal(kernel_close(kernel, kernel->iommu), 0);
    assert_counts(kernel, 4, 4);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_counts(kernel, 0, 0);
}

static void every_mapping_of_a_page_is_charged(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, UINT64_MAX);
    assert_int_equal(map(kernel, 2), 0);
    assert_int_equal(iommufd_map(kernel, THERE, kernel->memory, 2 * PAGE), 0);
    assert_counts(kernel, 4, 4);
}

static void a_copy_shares_pins_and_charge(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, UINT64_MAX);
    assert_int_equal(map(kernel, 4), 0);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, THERE, IOVA, 4 * PAGE), 0);
    assert_counts(kernel, 4, 4);
    assert_int_equal(iommufd_unmap(kernel, IOVA, 4 * PAGE, NULL), 0);
    assert_counts(kernel, 4, 4);
    assert_int_equal(iommufd_unmap(kernel, THERE, 4 * PAGE, NULL), 0);
    assert_counts(kernel, 0, 0);
}

static void after_a_partial_copy_only_the_copied_part_stays_pinned(void **state)
{
    Kernel *kernel = *state;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, UINT64_MAX);
    assert_int_equal(map(kernel, 8), 0);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, THERE, IOVA + 2 * PAGE, 3 * PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, IOVA, 8 * PAGE, NULL), 0);
    assert_counts(kernel, 3, 3);
}

static void a_copy_to_an_ioas_without_a_device_pins_nothing(void **state)
{
    Kernel *kernel = *state;
    uint32_t other;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, UINT64_MAX);
    other = iommufd_new_ioas(kernel);
    assert_int_equal(map(kernel, 4), 0);
    assert_int_equal(iommufd_copy(kernel, other, IOVA, IOVA, 4 * PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, IOVA, 4 * PAGE, NULL), 0);
    assert_counts(kernel, 0, 0);
}

static void two_iommufds_pin_twice(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(map(kernel, 4), 0);
    kernel->iommu = kernel_open(kernel, IOMMU);
    iommufd_attach(kernel, OTHER_DEVICE);
    assert_int_equal(map(kernel, 4), 0);
    assert_counts(kernel, 8, 0);
}

static void read_only_mappings_are_charged_too(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova = IOVA;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, UINT64_MAX);
    assert_int_equal(iommufd_map_flags(kernel, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
                                       &iova, (uintptr_t)kernel->memory, 4 * PAGE),
                     0);
    assert_counts(kernel, 4, 4);
}

/* --- the mapping call decides who is charged --- */

static void memory_mapped_without_cap_ipc_lock_is_charged_at_attach(void **state)
{
    Kernel *kernel = *state;
    uint32_t pt;

    iommufd_attach_charged(kernel, CHARGE_PROCESS, 4 * PAGE);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(map(kernel, 5), 0);
    kernel_set_memlock(kernel, 4 * PAGE, true);
    pt = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), -ENOMEM);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &pt), -ENOMEM);
    assert_counts(kernel, 0, 0);
    kernel_set_memlock(kernel, 5 * PAGE, true);
    pt = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_counts(kernel, 5, 5);
}

static void memory_mapped_with_cap_ipc_lock_is_not_charged_at_attach(void **state)
{
    Kernel *kernel = *state;
    uint32_t pt = kernel->ioas;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(map(kernel, 4), 0);
    kernel_set_memlock(kernel, 0, false);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_counts(kernel, 4, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ATTACHED(cap_ipc_lock_pins_without_charging_the_user),
        TEST_IOMMU(cap_ipc_lock_pins_without_charging_the_process),
        TEST_IOMMU(pins_are_charged_to_the_user_by_default),
        TEST_IOMMU(pins_are_charged_to_the_process_if_the_option_is_set),
        TEST_IOMMU(without_a_device_nothing_is_pinned_or_charged),
        TEST_IOMMU(detach_uncharges),
        TEST_IOMMU(closing_everything_uncharges),
        TEST_IOMMU(every_mapping_of_a_page_is_charged),
        TEST_IOMMU(a_copy_shares_pins_and_charge),
        TEST_IOMMU(after_a_partial_copy_only_the_copied_part_stays_pinned),
        TEST_IOMMU(a_copy_to_an_ioas_without_a_device_pins_nothing),
        TEST_ATTACHED(two_iommufds_pin_twice),
        TEST_IOMMU(read_only_mappings_are_charged_too),
        TEST_IOMMU(memory_mapped_without_cap_ipc_lock_is_charged_at_attach),
        TEST_ATTACHED(memory_mapped_with_cap_ipc_lock_is_not_charged_at_attach),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
