/* SPDX-License-Identifier: MIT */
/* IOMMU_HWPT_ALLOC. */
#include "util/iommufd_util.h"

#define IOVA UINT64_C(0x40000000)

static int alloc(Kernel *kernel, struct iommu_hwpt_alloc call)
{
    call.size = sizeof(call);
    return iommufd_ioctl(kernel, IOMMU_HWPT_ALLOC, &call);
}

static struct iommu_hwpt_alloc good(const Kernel *kernel)
{
    return (struct iommu_hwpt_alloc){.dev_id = kernel->device_id, .pt_id = kernel->ioas};
}

static void an_hwpt_can_be_allocated_before_attach(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;
    uint32_t pt;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    pt = hwpt;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), 0);
    assert_int_equal(pt, hwpt);
}

static void each_allocation_returns_a_new_hwpt(void **state)
{
    Kernel *kernel = *state;
    uint32_t first;
    uint32_t second;

    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &first), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &second), 0);
    assert_true(first != second && first != kernel->hwpt && second != kernel->hwpt);
}

static void an_hwpt_pins_all_areas_even_after_detach(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    kernel->hwpt = hwpt;
    assert_int_equal(cdev_attach(kernel, kernel->device, &kernel->hwpt), 0);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
    assert_int_equal(iommufd_destroy(kernel, hwpt), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_true(iommufd_had(kernel, IOVA, 4 * PAGE));
}

static void two_hwpts_pin_once(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    assert_int_equal(iommufd_pinned(kernel), 4 * PAGE);
}

static void bad_memory_fails_with_efault_and_allocates_no_hwpt(void **state)
{
    Kernel *kernel = *state;
    uint32_t free_id;
    uint32_t hwpt;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_map(kernel, IOVA, NULL, PAGE), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), -EFAULT);
    assert_int_equal(iommufd_pinned(kernel), 0);
    free_id = iommufd_new_ioas(kernel);
    assert_int_equal(free_id, kernel->hwpt);
}

/* Its limits do not stay either: aperture and alignment. */
static void a_failed_allocation_leaves_the_ioas_unchanged(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_map(kernel, IOVA, NULL, PAGE), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), -EFAULT);
    assert_int_equal(iommufd_map(kernel, LAST_IOVA + 1, kernel->memory, 1), 0);
    assert_int_equal(iommufd_unmap_all(kernel), PAGE + 1);
}

static void areas_that_the_hardware_does_not_support_fail_with_eaddrinuse(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_map(kernel, LAST_IOVA + 1, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), -EADDRINUSE);
    assert_int_equal(iommufd_unmap_all(kernel), PAGE);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, PAGE + 1), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), -EADDRINUSE);
    assert_int_equal(iommufd_unmap_all(kernel), PAGE + 1);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
}

/* The MSI window belongs to the device, which is not attached. */
static void an_area_in_the_msi_window_is_allowed(void **state)
{
    Kernel *kernel = *state;
    uint32_t hwpt;
    uint32_t pt;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_map(kernel, WINDOW, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    pt = hwpt;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt), -EADDRINUSE);
}

static void reserved_fields_fail_with_eopnotsupp_before_any_other_check(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hwpt_alloc call = {.__reserved = 1, .data_len = 8};

    assert_int_equal(alloc(kernel, call), -EOPNOTSUPP);
}

static void data_without_type_or_type_without_data_fails_with_einval(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hwpt_alloc call = {.data_len = 8, .dev_id = NO_ID};

    assert_int_equal(alloc(kernel, call), -EINVAL);
    call = (struct iommu_hwpt_alloc){.data_type = 1, .dev_id = NO_ID};
    assert_int_equal(alloc(kernel, call), -EINVAL);
}

static void an_unknown_device_fails_with_enoent_and_an_unknown_parent_with_einval(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hwpt_alloc call = good(kernel);

    call.dev_id = NO_ID;
    call.pt_id = NO_ID;
    assert_int_equal(alloc(kernel, call), -ENOENT);
    call.dev_id = kernel->ioas;
    assert_int_equal(alloc(kernel, call), -ENOENT);
    call.dev_id = kernel->device_id;
    assert_int_equal(alloc(kernel, call), -EINVAL);
    call.pt_id = kernel->device_id;
    assert_int_equal(alloc(kernel, call), -EINVAL);
}

static void unsupported_features_fail_with_eopnotsupp(void **state)
{
    static const uint32_t flags[] = {IOMMU_HWPT_ALLOC_DIRTY_TRACKING, IOMMU_HWPT_ALLOC_NEST_PARENT,
                                     8, 1U << 31};
    Kernel *kernel = *state;
    struct iommu_hwpt_alloc call = good(kernel);

    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        call.flags = flags[i];
        assert_int_equal(alloc(kernel, call), -EOPNOTSUPP);
    }
}

static void the_parent_is_checked_before_the_flags(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hwpt_alloc call = good(kernel);

    call.flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    call.pt_id = NO_ID;
    assert_int_equal(alloc(kernel, call), -EINVAL);
}

static void read_only_struct_fails_with_efault_and_is_undone(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hwpt_alloc *call = (void *)kernel->memory;

    *call = good(kernel);
    call->size = sizeof(*call);
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_HWPT_ALLOC, call), -EFAULT);
    assert_int_equal(iommufd_new_ioas(kernel), kernel->hwpt + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ATTACHED(an_hwpt_can_be_allocated_before_attach),
        TEST_ATTACHED(each_allocation_returns_a_new_hwpt),
        TEST_ATTACHED(an_hwpt_pins_all_areas_even_after_detach),
        TEST_ATTACHED(two_hwpts_pin_once),
        TEST_ATTACHED(bad_memory_fails_with_efault_and_allocates_no_hwpt),
        TEST_ATTACHED(a_failed_allocation_leaves_the_ioas_unchanged),
        TEST_ATTACHED(areas_that_the_hardware_does_not_support_fail_with_eaddrinuse),
        TEST_ATTACHED(an_area_in_the_msi_window_is_allowed),
        TEST_ATTACHED(reserved_fields_fail_with_eopnotsupp_before_any_other_check),
        TEST_ATTACHED(data_without_type_or_type_without_data_fails_with_einval),
        TEST_ATTACHED(an_unknown_device_fails_with_enoent_and_an_unknown_parent_with_einval),
        TEST_ATTACHED(unsupported_features_fail_with_eopnotsupp),
        TEST_ATTACHED(the_parent_is_checked_before_the_flags),
        TEST_ATTACHED(read_only_struct_fails_with_efault_and_is_undone),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
