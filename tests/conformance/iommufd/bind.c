/* SPDX-License-Identifier: MIT */
/* A device's own file: what it does before and after BIND, and groups and such files that exclude
 * each other. */
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

static void bind_gives_the_device_an_id(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, cdev_open(kernel, DEVICE), kernel->iommu, &id), 0);
    assert_int_equal(id, 2);
}

static void before_bind_everything_is_einval(void **state)
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

static void after_bind_it_is_a_device_like_one_of_a_group(void **state)
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

static void a_struct_that_cannot_be_read_is_efault(void **state)
{
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);

    assert_int_equal(kernel_ioctl(kernel, device, VFIO_DEVICE_BIND_IOMMUFD, NULL), -EFAULT);
}

static void argsz_has_a_least_and_no_most(void **state)
{
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);
    struct vfio_device_bind_iommufd bind = good(kernel);

    bind.argsz = sizeof(bind) - 1;
    assert_int_equal(bind_struct(kernel, device, bind), -EINVAL);
    bind.argsz = 1000;
    assert_int_equal(bind_struct(kernel, device, bind), 0);
}

static void flags_and_negative_files_are_einval(void **state)
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

static void a_closed_file_is_ebadf_and_another_one_ebadfd(void **state)
{
    Kernel *kernel = *state;
    int device = cdev_open(kernel, DEVICE);
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, device, 999, &id), -EBADF);
    assert_int_equal(cdev_bind(kernel, device, kernel_open(kernel, CONTAINER), &id), -EBADFD);
    assert_int_equal(cdev_bind(kernel, device, kernel->iommu, &id), 0);
}

static void a_file_can_be_bound_once(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, kernel->device, kernel->iommu, &id), -EINVAL);
    assert_int_equal(cdev_bind(kernel, kernel->device, 999, &id), -EINVAL);
}

static void a_device_can_be_opened_twice_and_bound_once(void **state)
{
    Kernel *kernel = *state;
    int second = cdev_open(kernel, DEVICE);
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, second, kernel->iommu, &id), -EINVAL);
    assert_int_equal(cdev_bind(kernel, second, 999, &id), -EBADF);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(cdev_bind(kernel, second, kernel->iommu, &id), 0);
}

static void a_device_beside_one_of_a_hosts_driver_is_eperm(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    assert_int_equal(cdev_bind(kernel, cdev_open(kernel, SHARED_DEVICE), kernel->iommu, &id),
                     -EPERM);
    assert_int_equal(iommufd_new_ioas(kernel), kernel->ioas + 1);
}

static void a_bind_that_cannot_answer_is_efault_and_undone(void **state)
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

static void two_devices_can_be_bound_to_one_iommufd(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    cdev_open_bound(kernel, OTHER_DEVICE, &id);
    assert_int_equal(id, kernel->hwpt + 1);
}

static void a_device_can_go_to_another_iommufd_when_it_is_closed(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;

    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    kernel->iommu = kernel_open(kernel, IOMMU);
    cdev_open_bound(kernel, DEVICE, &id);
    assert_int_equal(id, 1);
}

/* --- beside groups --- */

static void a_group_that_is_open_makes_bind_ebusy(void **state)
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

static void a_device_that_is_bound_makes_its_group_ebusy(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_open(kernel, GROUP), -EBUSY);
    assert_true(kernel_open(kernel, OTHER_GROUP) >= 0);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_true(kernel_open(kernel, GROUP) >= 0);
}

static void a_device_file_that_is_only_open_does_no_harm_to_the_group(void **state)
{
    Kernel *kernel = *state;

    cdev_open(kernel, DEVICE);
    assert_true(kernel_open(kernel, GROUP) >= 0);
}

static void a_device_of_a_group_cannot_be_bound(void **state)
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
        TEST_IOAS(bind_gives_the_device_an_id),
        TEST_IOMMU(before_bind_everything_is_einval),
        TEST_ATTACHED(after_bind_it_is_a_device_like_one_of_a_group),
        TEST_IOMMU(a_struct_that_cannot_be_read_is_efault),
        TEST_IOMMU(argsz_has_a_least_and_no_most),
        TEST_IOMMU(flags_and_negative_files_are_einval),
        TEST_IOMMU(a_closed_file_is_ebadf_and_another_one_ebadfd),
        TEST_ATTACHED(a_file_can_be_bound_once),
        TEST_ATTACHED(a_device_can_be_opened_twice_and_bound_once),
        TEST_IOAS(a_device_beside_one_of_a_hosts_driver_is_eperm),
        TEST_IOAS(a_bind_that_cannot_answer_is_efault_and_undone),
        TEST_ATTACHED(two_devices_can_be_bound_to_one_iommufd),
        TEST_ATTACHED(a_device_can_go_to_another_iommufd_when_it_is_closed),
        TEST_IOMMU(a_group_that_is_open_makes_bind_ebusy),
        TEST_ATTACHED(a_device_that_is_bound_makes_its_group_ebusy),
        TEST_IOMMU(a_device_file_that_is_only_open_does_no_harm_to_the_group),
        TEST(a_device_of_a_group_cannot_be_bound),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
