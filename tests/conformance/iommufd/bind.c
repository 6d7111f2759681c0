/* SPDX-License-Identifier: MIT */
/* A device's cdev before and after BIND, and how groups and cdevs exclude each other. */
#include "util/device_util.h"
#include "util/iommufd_util.h"

static int bind_struct(Kernel *kernel, int device, struct vfio_device_bind_iommufd bind)
{
    return kernel_ioctl(kernel, device, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

static struct vfio_device_bind_iommufd good(const Kernel *kernel)
{
    return (struct vfio_device_bind_iommufd){.argsz = sizeof(struct vfio_device_bind_iommufd),
                                             .iommufd = kernel->iommu};
}

static void bind_returns_a_device_id(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, cdev_open(kernel, DEVICE), kernel->iommu, &id), 0);
    assert_int_equal(id, 2);
}

static void before_bind_all_ioctls_fail_with_einval(void **state)
{
    static const unsigned long requests[] = {
        VFIO_DEVICE_GET_INFO,
        VFIO_DEVICE_GET_REGION_INFO,
        VFIO_DEVICE_GET_IRQ_INFO,
        VFIO_DEVICE_RESET,
        VFIO_DEVICE_ATTACH_IOMMUFD_PT,
        VFIO_DEVICE_DETACH_IOMMUFD_PT,
        12345,
    };
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);
    void *address;

    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
        assert_int_equal(kernel_ioctl(kernel, device, requests[i], NULL), -EINVAL);
    assert_int_equal(device_try_read(kernel, device, CONFIG, 4), -EINVAL);
    assert_int_equal(device_try_write(kernel, device, CONFIG, 4), -EINVAL);
    assert_int_equal(kernel_mmap(kernel, device, PAGE, BAR0, &address), -EINVAL);
}

static void after_bind_a_cdev_works_like_a_group_device(void **state)
{
    Kernel *kernel = *state;
    struct vfio_device_info info = {.argsz = sizeof(info)};

    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_GET_INFO, &info), 0);
    assert_int_equal(info.flags, VFIO_DEVICE_FLAGS_PCI);
    assert_int_equal(info.num_regions, 9);
    assert_int_equal(device_get(kernel, kernel->device, CONFIG, 4), 0x11e81234);
    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_RESET, NULL), -EINVAL);
    assert_int_equal(kernel_ioctl(kernel, kernel->device, 12345, NULL), -ENOTTY);
}

static void unreadable_struct_fails_with_efault(void **state)
{
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);

    assert_int_equal(kernel_ioctl(kernel, device, VFIO_DEVICE_BIND_IOMMUFD, NULL), -EFAULT);
}

static void argsz_has_a_minimum_and_no_maximum(void **state)
{
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);
    struct vfio_device_bind_iommufd bind = good(kernel);

    bind.argsz = sizeof(bind) - 1;
    assert_int_equal(bind_struct(kernel, device, bind), -EINVAL);
    bind.argsz = 1000;
    assert_int_equal(bind_struct(kernel, device, bind), 0);
}

static void flags_and_negative_descriptors_fail_with_einval(void **state)
{
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);
    struct vfio_device_bind_iommufd bind = good(kernel);

    bind.flags = 1;
    assert_int_equal(bind_struct(kernel, device, bind), -EINVAL);
    bind.flags = 0;
    bind.iommufd = -1;
    assert_int_equal(bind_struct(kernel, device, bind), -EINVAL);
}

static void a_closed_iommufd_fails_with_ebadf_and_another_file_with_ebadfd(void **state)
{
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, device, 999, &id), -EBADF);
    assert_int_equal(cdev_bind(kernel, device, kernel_open(kernel, CONTAINER), &id), -EBADFD);
    assert_int_equal(cdev_bind(kernel, device, kernel->iommu, &id), 0);
}

static void a_cdev_file_binds_once(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, kernel->device, kernel->iommu, &id), -EINVAL);
    assert_int_equal(cdev_bind(kernel, kernel->device, 999, &id), -EINVAL);
}

static void a_cdev_opens_twice_and_binds_once(void **state)
{
    Kernel *kernel = *state;
    int second = cdev_open(kernel, DEVICE);
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, second, kernel->iommu, &id), -EINVAL);
    assert_int_equal(cdev_bind(kernel, second, 999, &id), -EBADF);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(cdev_bind(kernel, second, kernel->iommu, &id), 0);
}

static void a_device_grouped_with_a_host_driver_fails_with_eperm(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, cdev_open(kernel, SHARED_DEVICE), kernel->iommu, &id),
                     -EPERM);
    assert_int_equal(iommufd_new_ioas(kernel), kernel->ioas + 1);
}

static void bind_into_a_read_only_struct_fails_with_efault_and_is_undone(void **state)
{
    Kernel *kernel = *state;
    struct vfio_device_bind_iommufd *bind = (void *)kernel->memory;
    int device = cdev_open(kernel, DEVICE);
    uint32_t id;

    *bind = good(kernel);
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(kernel_ioctl(kernel, device, VFIO_DEVICE_BIND_IOMMUFD, bind), -EFAULT);
    assert_int_equal(cdev_bind(kernel, device, kernel->iommu, &id), 0);
    assert_int_equal(id, kernel->ioas + 1);
}

static void two_devices_bind_to_one_iommufd(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    cdev_open_bound(kernel, OTHER_DEVICE, &id);
    assert_int_equal(id, kernel->hwpt + 1);
}

static void a_closed_device_binds_to_another_iommufd(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    kernel->iommu = kernel_open(kernel, IOMMU);
    cdev_open_bound(kernel, DEVICE, &id);
    assert_int_equal(id, 1);
}

/* --- cdevs and groups --- */

static void bind_fails_with_ebusy_while_the_group_is_open(void **state)
{
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);
    int group = kernel_open(kernel, GROUP);
    uint32_t id;

    assert_true(group >= 0);
    assert_int_equal(cdev_bind(kernel, device, kernel->iommu, &id), -EBUSY);
    assert_int_equal(cdev_bind(kernel, device, 999, &id), -EBUSY);
    assert_int_equal(kernel_close(kernel, group), 0);
    assert_int_equal(cdev_bind(kernel, device, kernel->iommu, &id), 0);
}

static void opening_the_group_of_a_bound_device_fails_with_ebusy(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_open(kernel, GROUP), -EBUSY);
    assert_true(kernel_open(kernel, OTHER_GROUP) >= 0);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_true(kernel_open(kernel, GROUP) >= 0);
}

static void an_unbound_cdev_does_not_block_its_group(void **state)
{
    Kernel *kernel = *state;

    cdev_open(kernel, DEVICE);
    assert_true(kernel_open(kernel, GROUP) >= 0);
}

static void a_group_device_file_does_not_support_bind(void **state)
{
    Kernel *kernel = *state;
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof(bind)};
    int device = device_open(kernel);

    assert_int_equal(kernel_ioctl(kernel, device, VFIO_DEVICE_BIND_IOMMUFD, NULL), -EFAULT);
    bind.iommufd = kernel_open(kernel, IOMMU);
    assert_int_equal(bind_struct(kernel, device, bind), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOAS(bind_returns_a_device_id),
        TEST_IOMMU(before_bind_all_ioctls_fail_with_einval),
        TEST_ATTACHED(after_bind_a_cdev_works_like_a_group_device),
        TEST_IOMMU(unreadable_struct_fails_with_efault),
        TEST_IOMMU(argsz_has_a_minimum_and_no_maximum),
        TEST_IOMMU(flags_and_negative_descriptors_fail_with_einval),
        TEST_IOMMU(a_closed_iommufd_fails_with_ebadf_and_another_file_with_ebadfd),
        TEST_ATTACHED(a_cdev_file_binds_once),
        TEST_ATTACHED(a_cdev_opens_twice_and_binds_once),
        TEST_IOAS(a_device_grouped_with_a_host_driver_fails_with_eperm),
        TEST_IOAS(bind_into_a_read_only_struct_fails_with_efault_and_is_undone),
        TEST_ATTACHED(two_devices_bind_to_one_iommufd),
        TEST_ATTACHED(a_closed_device_binds_to_another_iommufd),
        TEST_IOMMU(bind_fails_with_ebusy_while_the_group_is_open),
        TEST_ATTACHED(opening_the_group_of_a_bound_device_fails_with_ebusy),
        TEST_IOMMU(an_unbound_cdev_does_not_block_its_group),
        TEST(a_group_device_file_does_not_support_bind),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
