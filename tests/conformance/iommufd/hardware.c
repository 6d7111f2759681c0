/* SPDX-License-Identifier: MIT */
/* Hardware information, and dirty tracking, which this hardware does not support. */
#include "util/iommufd_util.h"

#define IOVA UINT64_C(0x40000000)

static struct iommu_hw_info info_call(const Kernel *kernel, void *data, uint32_t length)
{
    return (struct iommu_hw_info){.size = sizeof(struct iommu_hw_info),
                                  .dev_id = kernel->device_id,
                                  .data_len = length,
                                  .data_uptr = (uintptr_t)data};
}

static void the_hardware_is_an_intel_iommu_without_dirty_tracking(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hw_info_vtd vtd = {0};
    struct iommu_hw_info call = info_call(kernel, &vtd, sizeof(vtd));

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_GET_HW_INFO, &call), 0);
    assert_int_equal(call.out_data_type, IOMMU_HW_INFO_TYPE_INTEL_VTD);
    assert_int_equal(call.data_len, sizeof(vtd));
    assert_int_equal(call.out_capabilities, 0);
    /* The fake deliberately reports no registers. */
    assert_int_equal(vtd.cap_reg != 0, !kernel->is_fake);
}

static void a_short_buffer_gets_what_fits_and_a_long_one_zeros(void **state)
{
    Kernel *kernel = *state;
    uint8_t data[40];
    struct iommu_hw_info call = info_call(kernel, data, 4);

    memset(data, 0x77, sizeof(data));
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_GET_HW_INFO, &call), 0);
    assert_int_equal(call.data_len, sizeof(struct iommu_hw_info_vtd));
    assert_int_equal(data[4], 0x77);
    call.data_len = sizeof(data);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_GET_HW_INFO, &call), 0);
    assert_int_equal(call.data_len, sizeof(struct iommu_hw_info_vtd));
    assert_int_equal(data[sizeof(struct iommu_hw_info_vtd)], 0);
    assert_int_equal(data[sizeof(data) - 1], 0);
}

static void info_checks_flags_then_the_id_then_the_buffer(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hw_info call = info_call(kernel, NULL, 8);

    call.dev_id = NO_ID;
    call.flags = 1;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_GET_HW_INFO, &call), -EOPNOTSUPP);
    call.flags = 0;
    call.__reserved[1] = 1;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_GET_HW_INFO, &call), -EOPNOTSUPP);
    call.__reserved[1] = 0;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_GET_HW_INFO, &call), -ENOENT);
    call.dev_id = kernel->ioas;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_GET_HW_INFO, &call), -ENOENT);
    call.dev_id = kernel->device_id;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_GET_HW_INFO, &call), -EFAULT);
}

/* --- dirty tracking --- */

static int set_dirty(Kernel *kernel, struct iommu_hwpt_set_dirty_tracking call)
{
    call.size = sizeof(call);
    return iommufd_ioctl(kernel, IOMMU_HWPT_SET_DIRTY_TRACKING, &call);
}

static int get_dirty(Kernel *kernel, struct iommu_hwpt_get_dirty_bitmap call)
{
    call.size = sizeof(call);
    return iommufd_ioctl(kernel, IOMMU_HWPT_GET_DIRTY_BITMAP, &call);
}

static void dirty_tracking_checks_flags_then_the_id_then_the_hardware(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hwpt_set_dirty_tracking call = {.flags = 2, .hwpt_id = NO_ID};

    assert_int_equal(set_dirty(kernel, call), -EOPNOTSUPP);
    call.flags = 0;
    assert_int_equal(set_dirty(kernel, call), -ENOENT);
    call.hwpt_id = kernel->device_id;
    assert_int_equal(set_dirty(kernel, call), -ENOENT);
    call.hwpt_id = kernel->hwpt;
    assert_int_equal(set_dirty(kernel, call), -EOPNOTSUPP);
    call.flags = IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
    assert_int_equal(set_dirty(kernel, call), -EOPNOTSUPP);
}

static struct iommu_hwpt_get_dirty_bitmap get_call(const Kernel *kernel)
{
    return (struct iommu_hwpt_get_dirty_bitmap){.hwpt_id = kernel->hwpt,
                                                .iova = IOVA,
                                                .length = 2 * PAGE,
                                                .page_size = PAGE,
                                                .data = (uintptr_t)kernel->memory};
}

static void a_dirty_bitmap_checks_flags_then_the_id(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hwpt_get_dirty_bitmap call = {.flags = 2, .hwpt_id = NO_ID};

    assert_int_equal(get_dirty(kernel, call), -EOPNOTSUPP);
    call.flags = 0;
    call.__reserved = 1;
    assert_int_equal(get_dirty(kernel, call), -EOPNOTSUPP);
    call.__reserved = 0;
    assert_int_equal(get_dirty(kernel, call), -ENOENT);
}

static void a_dirty_bitmap_checks_the_range_before_the_hardware(void **state)
{
    static const struct {
        uint64_t iova, length, page_size;
        int error_number;
    } bad[] = {
        {IOVA, 0, PAGE, EINVAL},
        {-PAGE, 2 * PAGE, PAGE, EOVERFLOW},
        {IOVA + 1, 2 * PAGE, PAGE, EINVAL},
        {IOVA, 2 * PAGE + 1, PAGE, EINVAL},
        {IOVA, 2 * PAGE, 0, EINVAL},
        {IOVA, PAGE, 2 * PAGE, EINVAL},
        {IOVA, 2 * PAGE, PAGE, EOPNOTSUPP},
    };
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct iommu_hwpt_get_dirty_bitmap call = get_call(kernel);

        call.iova = bad[i].iova;
        call.length = bad[i].length;
        call.page_size = bad[i].page_size;
        assert_int_equal(get_dirty(kernel, call), -bad[i].error_number);
    }
}

static void invalidate_is_not_supported(void **state)
{
    Kernel *kernel = *state;
    struct iommu_hwpt_invalidate call = {.size = sizeof(call), .hwpt_id = NO_ID};

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_HWPT_INVALIDATE, &call), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ATTACHED(the_hardware_is_an_intel_iommu_without_dirty_tracking),
        TEST_ATTACHED(a_short_buffer_gets_what_fits_and_a_long_one_zeros),
        TEST_ATTACHED(info_checks_flags_then_the_id_then_the_buffer),
        TEST_ATTACHED(dirty_tracking_checks_flags_then_the_id_then_the_hardware),
        TEST_ATTACHED(a_dirty_bitmap_checks_flags_then_the_id),
        TEST_ATTACHED(a_dirty_bitmap_checks_the_range_before_the_hardware),
        TEST_ATTACHED(invalidate_is_not_supported),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
