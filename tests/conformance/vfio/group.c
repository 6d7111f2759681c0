/* SPDX-License-Identifier: MIT */
/* The group's ioctls: status, container, device files. */
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

static void an_unknown_group_fails_with_enoent(void **state)
{
    static const char *const missing[] = {"/dev/vfio/99", "/dev/vfio/-1", "/dev/vfio/1x"};

    for (size_t i = 0; i < G_N_ELEMENTS(missing); i++)
        assert_int_equal(kernel_open(*state, missing[i]), -ENOENT);
}

static void a_group_opens_once_at_a_time(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_open(kernel, GROUP), -EBUSY);
    assert_int_equal(kernel_close(kernel, kernel->group), 0);
    assert_true(kernel_open(kernel, GROUP) >= 0);
}

static void the_status_reports_the_container(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(flags_of(kernel, kernel->group),
                     VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(flags_of(kernel, kernel->group), VFIO_GROUP_FLAGS_VIABLE);
}

static void short_status_fails_with_einval(void **state)
{
    Kernel *kernel = *state;
    struct vfio_group_status status = {.argsz = sizeof(status) - 1, .flags = 99};

    assert_int_equal(get_status(kernel, kernel->group, &status), -EINVAL);
    assert_int_equal(status.flags, 99);
    assert_int_equal(get_status(kernel, kernel->group, NULL), -EFAULT);
}

static void a_longer_status_is_written_up_to_the_known_size(void **state)
{
    Kernel *kernel = *state;
    struct {
        struct vfio_group_status status;
        uint64_t past_end;
    } longer = {.status.argsz = sizeof(longer), .past_end = 99};

    assert_int_equal(get_status(kernel, kernel->group, &longer.status), 0);
    assert_int_equal(longer.status.argsz, sizeof(longer));
    assert_int_equal(longer.past_end, 99);
}

static void a_group_with_a_host_driver_is_not_viable(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, SHARED_GROUP);

    assert_true(group >= 0);
    assert_int_equal(flags_of(kernel, group), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), -EPERM);
}

static void set_container_needs_a_readable_open_descriptor(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);

    assert_int_equal(kernel_ioctl(kernel, group, VFIO_GROUP_SET_CONTAINER, NULL), -EFAULT);
    assert_int_equal(kernel_join(kernel, group, -1), -EBADF);
    assert_int_equal(kernel_join(kernel, group, 1 << 20), -EBADF);
}

static void set_container_rejects_other_files(void **state)
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

static void unset_container_without_a_container_fails(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), -EINVAL);
}

static void unset_container_with_an_open_device_fails(void **state)
{
    Kernel *kernel = *state;
    int device = kernel_get_device(kernel, kernel->group, DEVICE);

    assert_int_equal(kernel_leave(kernel, kernel->group), -EBUSY);
    assert_int_equal(kernel_close(kernel, device), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
}

static void unknown_ioctls_fail_with_enotty(void **state)
{
    static const unsigned long unknown[] = {12345, VFIO_GET_API_VERSION, VFIO_IOMMU_MAP_DMA};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
        assert_int_equal(kernel_ioctl(kernel, kernel->group, unknown[i], NULL), -ENOTTY);
}

static void read_write_and_mmap_of_a_group_fail(void **state)
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

static void device_names_must_match_exactly(void **state)
{
    static const char *const unknown[] = {
        "", "0000:00:04", DEVICE_AND_X, "0000:00:04.1", OTHER_DEVICE, "nonsense", SPACE_AND_DEVICE};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
        assert_int_equal(kernel_get_device(kernel, kernel->group, unknown[i]), -ENODEV);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE) >= 0);
}

static void unsupported_device_options_fail_with_einval(void **state)
{
    static const char *const names[] = {DEVICE " foo", DEVICE "   x",
                                        DEVICE " vf_token=12345678-1234-1234-1234-123456789abc"};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        assert_int_equal(kernel_get_device(kernel, kernel->group, names[i]), -EINVAL);
}

static void trailing_blanks_of_a_device_name_are_ignored(void **state)
{
    Kernel *kernel = *state;

    assert_true(kernel_get_device(kernel, kernel->group, DEVICE " ") >= 0);
    assert_true(kernel_get_device(kernel, kernel->group, DEVICE "   ") >= 0);
}

static void an_unterminated_device_name_fails(void **state)
{
    Kernel *kernel = *state;

    memset(kernel->memory, 'x', MEMORY_SIZE);
    assert_int_equal(kernel_get_device(kernel, kernel->group, kernel->memory), -EINVAL);
    assert_int_equal(mprotect(kernel->memory + PAGE, PAGE, PROT_NONE), 0);
    assert_int_equal(kernel_get_device(kernel, kernel->group, kernel->memory + PAGE - 8), -EFAULT);
    assert_int_equal(kernel_get_device(kernel, kernel->group, NULL), -EFAULT);
}

static void get_device_fd_needs_an_iommu(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_get_device(kernel, kernel->group, DEVICE), -EINVAL);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_get_device(kernel, kernel->group, DEVICE), -EINVAL);
}

static void each_get_device_fd_returns_a_new_descriptor(void **state)
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
        TEST_WITHOUT_IOMMU(an_unknown_group_fails_with_enoent),
        TEST_WITHOUT_IOMMU(a_group_opens_once_at_a_time),
        TEST_WITHOUT_IOMMU(the_status_reports_the_container),
        TEST_WITHOUT_IOMMU(short_status_fails_with_einval),
        TEST_WITHOUT_IOMMU(a_longer_status_is_written_up_to_the_known_size),
        TEST_WITHOUT_IOMMU(a_group_with_a_host_driver_is_not_viable),
        TEST_WITHOUT_IOMMU(set_container_needs_a_readable_open_descriptor),
        TEST_WITHOUT_IOMMU(set_container_rejects_other_files),
        TEST_WITHOUT_IOMMU(a_group_joins_one_container),
        TEST_WITHOUT_IOMMU(unset_container_without_a_container_fails),
        TEST(unset_container_with_an_open_device_fails),
        TEST_WITHOUT_IOMMU(unknown_ioctls_fail_with_enotty),
        TEST_WITHOUT_IOMMU(read_write_and_mmap_of_a_group_fail),
        TEST(device_names_must_match_exactly),
        TEST(unsupported_device_options_fail_with_einval),
        TEST(trailing_blanks_of_a_device_name_are_ignored),
        TEST(an_unterminated_device_name_fails),
        TEST_WITHOUT_IOMMU(get_device_fd_needs_an_iommu),
        TEST(each_get_device_fd_returns_a_new_descriptor),
    };

    return RUN_TESTS(tests);
}
