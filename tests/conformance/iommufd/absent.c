/* SPDX-License-Identifier: MIT */
/* A kernel built without iommufd, like Debian's: no /dev/iommu, no cdevs, no ioctls. */
#include "util/device_util.h"

static void there_is_no_dev_iommu(void **state)
{
    assert_int_equal(kernel_open(*state, "/dev/iommu"), -ENOENT);
}

static void devices_have_no_cdev(void **state)
{
    assert_int_equal(kernel_open(*state, "/dev/vfio/devices/vfio0"), -ENOENT);
}

static void devices_support_neither_bind_nor_attach_nor_detach(void **state)
{
    static const unsigned long unknown[] = {VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
                                            VFIO_DEVICE_DETACH_IOMMUFD_PT};
    Kernel *kernel = *state;
    int device = device_open(kernel);
    uint32_t argument[4] = {sizeof(argument)};

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        assert_int_equal(kernel_ioctl(kernel, device, unknown[i], NULL), -ENOTTY);
        assert_int_equal(kernel_ioctl(kernel, device, unknown[i], argument), -ENOTTY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_CLOSED(there_is_no_dev_iommu),
        TEST_CLOSED(devices_have_no_cdev),
        TEST(devices_support_neither_bind_nor_attach_nor_detach),
    };

    return cmocka_run_group_tests(tests, kernel_check_no_iommufd, NULL);
}
