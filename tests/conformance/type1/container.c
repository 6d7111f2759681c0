/* SPDX-License-Identifier: MIT */
/* The container's own ioctls: version, extensions, SET_IOMMU. */
#include "util/kernel_util.h"

static const struct {
    unsigned long extension;
    int before;
    int after;
} extensions[] = {{0, 0, 0}, {1, 1, 1}, {2, 0, 0}, {3, 1, 1},  {4, 0, 0},  {5, 0, 0},   {6, 1, 1},
                  {7, 0, 0}, {8, 0, 0}, {9, 1, 1}, {10, 0, 1}, {11, 0, 0}, {1000, 0, 0}};

static int check_extension(Kernel *kernel, unsigned long extension)
{
    return kernel_ioctl_number(kernel, kernel->container, VFIO_CHECK_EXTENSION, extension);
}

static void the_api_version_is_0(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_GET_API_VERSION, NULL), 0);
}

static void extensions_before_set_iommu_are_those_of_the_drivers(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(extensions); i++)
        assert_int_equal(check_extension(*state, extensions[i].extension), extensions[i].before);
}

static void extensions_after_set_iommu_are_those_of_the_iommu(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(extensions); i++)
        assert_int_equal(check_extension(*state, extensions[i].extension), extensions[i].after);
}

static void set_iommu_needs_a_group(void **state)
{
    Kernel *kernel = *state;
    int empty = kernel_open(kernel, CONTAINER);

    assert_int_equal(kernel_set_iommu(kernel, empty, VFIO_TYPE1v2_IOMMU), -EINVAL);
    assert_int_equal(kernel_set_iommu(kernel, empty, 99), -EINVAL);
}

static void set_iommu_with_a_wrong_type_fails_and_sets_none(void **state)
{
    static const struct {
        unsigned long type;
        int result;
    } table[] = {{0, -ENODEV}, {2, -ENODEV}, {4, -ENODEV}, {5, -ENODEV},  {6, -EINVAL},
                 {7, -ENODEV}, {8, -ENODEV}, {9, -EINVAL}, {10, -ENODEV}, {99, -ENODEV}};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_int_equal(kernel_set_iommu(kernel, kernel->container, table[i].type),
                         table[i].result);
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1v2_IOMMU), 0);
}

static void set_iommu_works_once(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1v2_IOMMU), -EINVAL);
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1_IOMMU), -EINVAL);
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, 99), -EINVAL);
}

static const unsigned long requests[] = {VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA,
                                         VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_DIRTY_PAGES};

static void before_set_iommu_other_ioctls_fail_with_einval_even_with_null(void **state)
{
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
        assert_int_equal(kernel_ioctl(kernel, kernel->container, requests[i], NULL), -EINVAL);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, 12345, NULL), -EINVAL);
}

static void null_struct_fails_with_efault(void **state)
{
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
        assert_int_equal(kernel_ioctl(kernel, kernel->container, requests[i], NULL), -EFAULT);
}

static void unknown_ioctls_fail_with_enotty(void **state)
{
    static const unsigned long unknown[] = {12345, VFIO_IOMMU_ENABLE, VFIO_IOMMU_DISABLE,
                                            VFIO_GROUP_GET_STATUS, VFIO_DEVICE_GET_INFO};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
        assert_int_equal(kernel_ioctl(kernel, kernel->container, unknown[i], NULL), -ENOTTY);
}

static void read_write_and_mmap_of_a_container_fail(void **state)
{
    Kernel *kernel = *state;
    char byte = 0;
    void *address;

    assert_int_equal(kernel->pm->ops->pread(kernel->pm, kernel->container, &byte, 1, 0), -EINVAL);
    assert_int_equal(kernel->pm->ops->pwrite(kernel->pm, kernel->container, &byte, 1, 0), -EINVAL);
    assert_int_equal(kernel_mmap(kernel, kernel->container, PAGE, 0, &address), -ENODEV);
}

static void closed_files_fail_with_ebadf(void **state)
{
    Kernel *kernel = *state;
    char byte = 0;
    void *address;

    assert_int_equal(kernel_ioctl(kernel, 1 << 20, VFIO_GET_API_VERSION, NULL), -EBADF);
    assert_int_equal(kernel_close(kernel, 1 << 20), -EBADF);
    assert_int_equal(kernel->pm->ops->pread(kernel->pm, 1 << 20, &byte, 1, 0), -EBADF);
    assert_int_equal(kernel->pm->ops->pwrite(kernel->pm, 1 << 20, &byte, 1, 0), -EBADF);
    assert_int_equal(kernel_mmap(kernel, 1 << 20, PAGE, 0, &address), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITHOUT_IOMMU(the_api_version_is_0),
        TEST_WITHOUT_IOMMU(extensions_before_set_iommu_are_those_of_the_drivers),
        TEST(extensions_after_set_iommu_are_those_of_the_iommu),
        TEST_WITHOUT_IOMMU(set_iommu_needs_a_group),
        TEST_WITHOUT_IOMMU(set_iommu_with_a_wrong_type_fails_and_sets_none),
        TEST(set_iommu_works_once),
        TEST_WITHOUT_IOMMU(before_set_iommu_other_ioctls_fail_with_einval_even_with_null),
        TEST(null_struct_fails_with_efault),
        TEST(unknown_ioctls_fail_with_enotty),
        TEST(read_write_and_mmap_of_a_container_fail),
        TEST(closed_files_fail_with_ebadf),
    };

    return RUN_TESTS(tests);
}
