/* SPDX-License-Identifier: MIT */
/* The group's ioctls: its status, its container, its devices' files. */
#include "util/kernel_util.h"

static int get_status(Kernel *kernel, int group, struct vfio_group_status *status)
{
    return kernel_ioctl(kernel, group, VFIO_GROUP_GET_STATUS, status);
}

static uint32_t flags_of(Kernel *kernel, int group)
{
    struct vfio_group_status status = {.argsz = sizeof(status), .flags = 99};

    assert_int_equal(get_status(kernel, group, &status), 0);
    return status.flags;
}

static void a_group_that_is_not_there_is_enoent(void **state)
{
    static const char *const missing[] = {"/dev/vfio/99", "/dev/vfio/-1", "/dev/vfio/1x"};

    for (size_t i = 0; i < G_N_ELEMENTS(missing); i++)
        assert_int_equal(kernel_open(*state, missing[i]), -ENOENT);
}

static void a_group_is_opened_by_one_at_a_time(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_open(kernel, GROUP), -EBUSY);
    assert_int_equal(kernel_close(kernel, kernel->group), 0);
    assert_true(kernel_open(kernel, GROUP) >= 0);
}

static void the_status_tells_of_the_container(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(flags_of(kernel, kernel->group),
                     VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(flags_of(kernel, kernel->group), VFIO_GROUP_FLAGS_VIABLE);
}

static void too_short_a_status_is_einval(void **state)
{
    Kernel *kernel = *state;
    struct vfio_group_status status = {.argsz = sizeof(status) - 1, .flags = 99};

    assert_int_equal(get_status(kernel, kernel->group, &status), -EINVAL);
    assert_int_equal(status.flags, 99);
    assert_int_equal(get_status(kernel, kernel->group, NULL), -EFAULT);
}

static void a_longer_status_is_written_as_far_as_it_is_known(void **state)
{
    Kernel *kernel = *state;
    struct {
        struct vfio_group_status status;
        uint64_t behind;
    } longer = {.status.argsz = sizeof(longer), .behind = 99};

    assert_int_equal(get_status(kernel, kernel->group, &longer.status), 0);
    assert_int_equal(longer.status.argsz, sizeof(longer));
    assert_int_equal(longer.behind, 99);
}

static void a_group_with_a_host_driver_in_it_is_not_viable(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, SHARED_GROUP);

    assert_true(group >= 0);
    assert_int_equal(flags_of(kernel, group), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), -EPERM);
}

static void the_containers_descriptor_has_to_be_readable_and_open(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);

    assert_int_equal(kernel_ioctl(kernel, group, VFIO_GROUP_SET_CONTAINER, NULL), -EFAULT);
    assert_int_equal(kernel_join(kernel, group, -1), -EBADF);
    assert_int_equal(kernel_join(kernel, group, 1 << 20), -EBADF);
}

static void a_foreign_descriptor_is_no_container(void **state)
{
    Kernel *kernel = *state;
    int expected = kernel->is_linux_6_1 ? -EINVAL : -EBADFD;
    int group = kernel_open(kernel, OTHER_GROUP);
    int foreign = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_int_equal(kernel_join(kernel, group, foreign), expected);
    assert_int_equal(kernel_join(kernel, group, group), expected);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
    close(foreign);
}

static void a_group_joins_one_container(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_join(kernel, kernel->group, kernel->container), -EINVAL);
    assert_int_equal(kernel_join(kernel, kernel->group, -1), -EBADF);
}

static void a_group_without_container_cannot_leave(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), -EINVAL);
}

static void a_group_cannot_leave_while_a_device_is_open(void **state)
{
    Kernel *kernel = *state;
    int device = kernel_get_device(kernel, kernel->group, DEVICE);

    assert_int_equal(kernel_leave(kernel, kernel->group), -EBUSY);
    assert_int_equal(kernel_close(kernel, device), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
}

static void other_requests_are_enotty(void **state)
{
    static const unsigned long unknown[] = {12345, VFIO_GET_API_VERSION, VFIO_IOMMU_MAP_DMA};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
        assert_int_equal(kernel_ioctl(kernel, kernel->group, unknown[i], NULL), -ENOTTY);
}

static void a_group_can_be_neither_read_nor_written_nor_mapped(void **state)
{
    Kernel *kernel = *state;
    char byte = 0;
    void *address;

    assert_int_equal(kernel->pm->ops->pread(kernel->pm, kernel->group, &byte, 1, 0), -EINVAL);
    assert_int_equal(kernel->pm->ops->pwrite(kernel->pm, kernel->group, &byte, 1, 0), -EINVAL);
    assert_int_equal(kernel_mmap(kernel, kernel->group, PAGE, 0, &address), -ENODEV);
}

#define DEVICE_AND_X     DEVICE "x"
#define SPACE_AND_DEVICE " " DEVICE

static void device_names_are_exact(void **state)
{
    static const char *const unknown[] = {
        "", "0000:00:04", DEVICE_AND_X, "0000:00:04.1", OTHER_DEVICE, "nonsense", SPACE_AND_DEVICE};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
        assert_int_equal(kernel_get_device(kernel, kernel->group, unknown[i]), -ENODEV);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
}

static void options_that_a_device_does_not_take_are_einval(void **state)
{
    static const char *const names[] = {DEVICE " foo", DEVICE "   x",
                                        DEVICE " vf_token=12345678-1234-1234-1234-123456789abc"};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        assert_int_equal(kernel_get_device(kernel, kernel->group, names[i]), -EINVAL);
}

static void blanks_behind_a_device_name_are_no_option(void **state)
{
    Kernel *kernel = *state;

    assert_true(kernel_get_device(kernel, kernel->group, DEVICE " ") >= 0);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE "   ") >= 0);
}

static void a_device_name_without_an_end_is_refused(void **state)
{
    Kernel *kernel = *state;

    memset(kernel->memory, 'x', MEMORY_SIZE);
    assert_int_equal(kernel_get_device(kernel, kernel->group, kernel->memory), -EINVAL);
    assert_int_equal(mprotect(kernel->memory + PAGE, PAGE, PROT_NONE), 0);
    assert_int_equal(kernel_get_device(kernel, kernel->group, kernel->memory + PAGE - 8), -EFAULT);
    assert_int_equal(kernel_get_device(kernel, kernel->group, NULL), -EFAULT);
}

static void a_device_needs_an_iommu(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_get_device(kernel, kernel->group, DEVICE), -EINVAL);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_get_device(kernel, kernel->group, DEVICE), -EINVAL);
}

static void each_device_descriptor_is_a_new_one(void **state)
{
    Kernel *kernel = *state;
    int first = kernel_get_device(kernel, kernel->group, DEVICE);
    int second = kernel_get_device(kernel, kernel->group, DEVICE);

    assert_true(first >= 0 && second >= 0);
    assert_int_not_equal(first, second);
    assert_int_not_equal(fcntl(first, F_GETFD) & FD_CLOEXEC, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITHOUT_IOMMU(a_group_that_is_not_there_is_enoent),
        TEST_WITHOUT_IOMMU(a_group_is_opened_by_one_at_a_time),
        TEST_WITHOUT_IOMMU(the_status_tells_of_the_container),
        TEST_WITHOUT_IOMMU(too_short_a_status_is_einval),
        TEST_WITHOUT_IOMMU(a_longer_status_is_written_as_far_as_it_is_known),
        TEST_WITHOUT_IOMMU(a_group_with_a_host_driver_in_it_is_not_viable),
        TEST_WITHOUT_IOMMU(the_containers_descriptor_has_to_be_readable_and_open),
        TEST_WITHOUT_IOMMU(a_foreign_descriptor_is_no_container),
        TEST_WITHOUT_IOMMU(a_group_joins_one_container),
        TEST_WITHOUT_IOMMU(a_group_without_container_cannot_leave),
        TEST(a_group_cannot_leave_while_a_device_is_open),
        TEST_WITHOUT_IOMMU(other_requests_are_enotty),
        TEST_WITHOUT_IOMMU(a_group_can_be_neither_read_nor_written_nor_mapped),
        TEST(device_names_are_exact),
        TEST(options_that_a_device_does_not_take_are_einval),
        TEST(blanks_behind_a_device_name_are_no_option),
        TEST(a_device_name_without_an_end_is_refused),
        TEST_WITHOUT_IOMMU(a_device_needs_an_iommu),
        TEST(each_device_descriptor_is_a_new_one),
    };

    return RUN_TESTS(tests);
}
