/* SPDX-License-Identifier: MIT */
/* Files and devices of the fake kernel only; tests/conformance tests what it shares with real
 * kernels. */

#include "util/kernel_util.h"

static void only_vfio_files_can_be_opened(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake(NULL);
    static const char *const missing[] = {"/dev/vfio",  "/dev/vfio/2",  "/dev/vfio/-1",
                                          "/dev/iommu", "/dev/vfio/1x", "/dev/vfio/",
                                          "/etc/passwd"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(missing); i++)
        assert_int_equal(kernel_open(fake, missing[i]), -ENOENT);
}

static void descriptors_are_real_and_unique(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake(NULL);
    int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_not_equal(fake->container, fake->group);
    assert_int_not_equal(fcntl(fake->container, F_GETFD), -1);
    assert_true(other != fake->container && other != fake->group);
    assert_int_equal(kernel_ioctl(fake, other, VFIO_GET_API_VERSION, NULL), -EBADF);
    assert_int_equal(kernel_close(fake, other), -EBADF);
    close(other);
}

static void open_of_a_group_without_a_vfio_device_fails_with_enodev(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake(NULL);

    (void)state;
    assert_true(pm_fake_kernel_add_device(fake->pm, 7, "0000:00:07.0", NULL, NULL));
    assert_true(pm_fake_kernel_add_device(fake->pm, 8, "0000:00:08.0", "nvme", NULL));
    assert_int_equal(kernel_open(fake, "/dev/vfio/7"), -ENODEV);
    assert_int_equal(kernel_open(fake, "/dev/vfio/8"), -ENODEV);
}

static void a_driverless_sibling_keeps_the_group_viable(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake(NULL);
    struct vfio_group_status status = {.argsz = sizeof(status)};
    int group;

    (void)state;
    assert_true(pm_fake_kernel_add_device(fake->pm, 7, "0000:00:07.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(fake->pm, 7, "0000:00:07.1", NULL, NULL));
    group = kernel_open(fake, "/dev/vfio/7");
    assert_int_equal(kernel_ioctl(fake, group, VFIO_GROUP_GET_STATUS, &status), 0);
    assert_int_equal(status.flags, VFIO_GROUP_FLAGS_VIABLE);
}

static void open_files_are_counted(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake_type1(NULL, VFIO_TYPE1v2_IOMMU);
    int device = kernel_get_device(fake, fake->group, DEVICE);

    (void)state;
    assert_int_equal(pm_fake_kernel_get_n_open(fake->pm), 3);
    assert_int_equal(kernel_close(fake, device), 0);
    assert_int_equal(pm_fake_kernel_get_n_open(fake->pm), 2);
}

static void any_group_of_the_container_lists_its_mappings(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake_type1(NULL, VFIO_TYPE1v2_IOMMU);
    int group;

    (void)state;
    assert_true(pm_fake_kernel_add_device(fake->pm, 2, "0000:00:05.0", "vfio-pci", NULL));
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fake->pm, 2), 0);
    group = kernel_open(fake, "/dev/vfio/2");
    assert_int_equal(kernel_ioctl(fake, group, VFIO_GROUP_SET_CONTAINER, &fake->container), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fake->pm, 2), 1);
}

static void add_device_rejects_duplicates_and_groups_in_use(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake(NULL);

    (void)state;
    assert_false(pm_fake_kernel_add_device(fake->pm, 9, DEVICE, "vfio-pci", NULL));
    assert_false(pm_fake_kernel_add_device(fake->pm, 1, "0000:00:09.0", "vfio-pci", NULL));
    assert_false(pm_fake_kernel_add_device(fake->pm, 9, "nine", "vfio-pci", NULL));
    assert_false(pm_fake_kernel_add_device(fake->pm, 9, "0000:00:09.0\n", "vfio-pci", NULL));
}

static void mmap_of_device_files_fails(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake_type1(NULL, VFIO_TYPE1v2_IOMMU);
    int device = kernel_get_device(fake, fake->group, DEVICE);
    void *address;

    (void)state;
    assert_int_equal(
        fake->pm->ops->mmap(fake->pm, device, PAGE, PROT_READ, MAP_SHARED, 0, &address), -EINVAL);
    assert_int_equal(fake->pm->ops->munmap(fake->pm, fake->memory, PAGE), -EINVAL);
    assert_int_equal(fake->pm->ops->pread(fake->pm, fake->group, &address, 4, 0), -EINVAL);
    assert_int_equal(fake->pm->ops->pread(fake->pm, 1 << 20, &address, 4, 0), -EBADF);
}

static void freeing_the_kernel_closes_open_files(void **state)
{
    Kernel *fake = kernel_new_fake_type1(NULL, VFIO_TYPE1v2_IOMMU);
    const int files[] = {fake->container, fake->group,
                         kernel_get_device(fake, fake->group, DEVICE)};

    (void)state;
    assert_int_equal(kernel_map(fake, 0, fake->memory, 4 * PAGE), 0);
    kernel_free(fake);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
        assert_int_equal(fcntl(files[i], F_GETFD), -1);
}

static void copies_of_a_descriptor_are_the_same_file(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake_type1(NULL, VFIO_TYPE1v2_IOMMU);
    int copy = fcntl(fake->container, F_DUPFD_CLOEXEC, 0);
    uint64_t n_open = pm_fake_kernel_get_n_open(fake->pm);

    (void)state;
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(kernel_ioctl(fake, copy, VFIO_GET_API_VERSION, NULL), VFIO_API_VERSION);
    assert_int_equal(kernel_close(fake, copy), 0);
    assert_int_equal(fcntl(copy, F_GETFD), -1);
    assert_int_equal(pm_fake_kernel_get_n_open(fake->pm), n_open);
    assert_int_equal(kernel_n_mappings(fake), 1);
}

static void file_stays_open_until_its_last_copy_is_closed(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake(NULL);
    uint64_t n_open = pm_fake_kernel_get_n_open(fake->pm);
    int original = kernel_open(fake, "/dev/vfio/vfio");
    int copy = fcntl(original, F_DUPFD_CLOEXEC, 0);

    (void)state;
    assert_int_equal(kernel_close(fake, original), 0);
    assert_int_equal(kernel_ioctl(fake, original, VFIO_GET_API_VERSION, NULL), -EBADF);
    assert_int_equal(kernel_ioctl(fake, copy, VFIO_GET_API_VERSION, NULL), VFIO_API_VERSION);
    assert_int_equal(pm_fake_kernel_get_n_open(fake->pm), n_open + 1);
    assert_int_equal(kernel_close(fake, copy), 0);
    assert_int_equal(kernel_close(fake, copy), -EBADF);
    assert_int_equal(pm_fake_kernel_get_n_open(fake->pm), n_open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_vfio_files_can_be_opened),
        cmocka_unit_test(descriptors_are_real_and_unique),
        cmocka_unit_test(open_of_a_group_without_a_vfio_device_fails_with_enodev),
        cmocka_unit_test(a_driverless_sibling_keeps_the_group_viable),
        cmocka_unit_test(open_files_are_counted),
        cmocka_unit_test(any_group_of_the_container_lists_its_mappings),
        cmocka_unit_test(add_device_rejects_duplicates_and_groups_in_use),
        cmocka_unit_test(mmap_of_device_files_fails),
        cmocka_unit_test(freeing_the_kernel_closes_open_files),
        cmocka_unit_test(copies_of_a_descriptor_are_the_same_file),
        cmocka_unit_test(file_stays_open_until_its_last_copy_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
