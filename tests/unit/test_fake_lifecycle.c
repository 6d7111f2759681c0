/* SPDX-License-Identifier: MIT */
/* Containers, groups and device files on the fake kernel: who may do what when, and what goes with
 * whom. */
#include "fake_util.h"

static int set_container(Fake *fake, int group, int container)
{
    return fake_ioctl(fake, group, VFIO_GROUP_SET_CONTAINER, &container);
}

static int set_iommu(Fake *fake, unsigned long type)
{
    return fake_ioctl_number(fake, fake->container, VFIO_SET_IOMMU, type);
}

static uint32_t group_flags(Fake *fake, int group)
{
    struct vfio_group_status status = {.argsz = sizeof(status), .flags = 99};

    assert_int_equal(fake_ioctl(fake, group, VFIO_GROUP_GET_STATUS, &status), 0);
    return status.flags;
}

static void only_vfio_files_can_be_opened(void **state)
{
    g_autoptr(Fake) fake = fake_new(NULL);
    static const char *const missing[] = {"/dev/vfio",  "/dev/vfio/2",  "/dev/vfio/-1",
                                          "/dev/iommu", "/dev/vfio/1x", "/dev/vfio/",
                                          "/etc/passwd"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(missing); i++)
        assert_int_equal(fake_open(fake, missing[i]), -ENOENT);
}

static void descriptors_are_real_and_unique(void **state)
{
    g_autoptr(Fake) fake = fake_new(NULL);
    int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_not_equal(fake->container, fake->group);
    assert_int_not_equal(fcntl(fake->container, F_GETFD), -1);
    assert_true(other != fake->container && other != fake->group);
    assert_int_equal(fake_ioctl(fake, other, VFIO_GET_API_VERSION, NULL), -EBADF);
    assert_int_equal(fake_close(fake, other), -EBADF);
    close(other);
}

static void what_a_container_answers_before_and_after_the_iommu(void **state)
{
    static const struct {
        unsigned long extension;
        int before;
        int after;
    } table[] = {{0, 0, 0}, {1, 1, 1}, {2, 0, 0}, {3, 1, 1},  {4, 0, 0},  {5, 0, 0},   {6, 1, 1},
                 {7, 0, 0}, {8, 0, 0}, {9, 1, 1}, {10, 0, 1}, {11, 0, 0}, {1000, 0, 0}};
    g_autoptr(Fake) fake = fake_new(NULL);

    (void)state;
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_GET_API_VERSION, NULL), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_int_equal(
            fake_ioctl_number(fake, fake->container, VFIO_CHECK_EXTENSION, table[i].extension),
            table[i].before);
    assert_int_equal(set_iommu(fake, VFIO_TYPE1v2_IOMMU), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_int_equal(
            fake_ioctl_number(fake, fake->container, VFIO_CHECK_EXTENSION, table[i].extension),
            table[i].after);
}

static void set_iommu_refuses_each_wrong_type_in_its_way(void **state)
{
    static const struct {
        unsigned long type;
        int result;
    } table[] = {{0, -ENODEV}, {2, -ENODEV}, {4, -ENODEV}, {5, -ENODEV},  {6, -EINVAL},
                 {7, -ENODEV}, {8, -ENODEV}, {9, -EINVAL}, {10, -ENODEV}, {99, -ENODEV}};
    g_autoptr(Fake) fake = fake_new(NULL);
    int empty = fake_open(fake, "/dev/vfio/vfio");

    (void)state;
    assert_int_equal(fake_ioctl_number(fake, empty, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -EINVAL);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_int_equal(set_iommu(fake, table[i].type), table[i].result);
    assert_int_equal(set_iommu(fake, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(set_iommu(fake, VFIO_TYPE1v2_IOMMU), -EINVAL);
}

static void before_the_iommu_everything_else_is_einval_even_with_null(void **state)
{
    static const unsigned long requests[] = {VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA,
                                             VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_DIRTY_PAGES, 12345};
    g_autoptr(Fake) fake = fake_new(NULL);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
        assert_int_equal(fake_ioctl(fake, fake->container, requests[i], NULL), -EINVAL);
    assert_int_equal(set_iommu(fake, VFIO_TYPE1v2_IOMMU), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(fake_ioctl(fake, fake->container, requests[i], NULL), -EFAULT);
    assert_int_equal(fake_ioctl(fake, fake->container, 12345, NULL), -ENOTTY);
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_ENABLE, NULL), -ENOTTY);
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_DISABLE, NULL), -ENOTTY);
}

static void a_group_is_opened_by_one_at_a_time(void **state)
{
    g_autoptr(Fake) fake = fake_new(NULL);

    (void)state;
    assert_int_equal(fake_open(fake, "/dev/vfio/1"), -EBUSY);
    assert_int_equal(fake_close(fake, fake->group), 0);
    assert_true(fake_open(fake, "/dev/vfio/1") >= 0);
}

static void a_group_without_a_vfio_device_is_enodev(void **state)
{
    g_autoptr(Fake) fake = fake_new(NULL);

    (void)state;
    assert_true(pm_fake_kernel_add_device(fake->kernel, 7, "0000:00:07.0", NULL, NULL));
    assert_true(pm_fake_kernel_add_device(fake->kernel, 8, "0000:00:08.0", "nvme", NULL));
    assert_int_equal(fake_open(fake, "/dev/vfio/7"), -ENODEV);
    assert_int_equal(fake_open(fake, "/dev/vfio/8"), -ENODEV);
}

static void the_status_tells_viability_and_container(void **state)
{
    g_autoptr(Fake) fake = fake_new(NULL);
    struct vfio_group_status status = {.argsz = sizeof(status) - 1};
    int group;

    (void)state;
    assert_int_equal(group_flags(fake, fake->group), 3);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0);
    assert_int_equal(group_flags(fake, fake->group), 1);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_GET_STATUS, &status), -EINVAL);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_GET_STATUS, NULL), -EFAULT);
    /* A sibling without a driver does no harm, one with a host driver does. */
    assert_true(pm_fake_kernel_add_device(fake->kernel, 7, "0000:00:07.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(fake->kernel, 7, "0000:00:07.1", NULL, NULL));
    group = fake_open(fake, "/dev/vfio/7");
    assert_int_equal(group_flags(fake, group), 1);
    assert_int_equal(fake_close(fake, group), 0);
    assert_true(pm_fake_kernel_add_device(fake->kernel, 7, "0000:00:07.2", "serial", NULL));
    group = fake_open(fake, "/dev/vfio/7");
    assert_int_equal(group_flags(fake, group), 0);
    assert_int_equal(set_container(fake, group, fake->container), -EPERM);
}

static void set_container_checks_its_descriptor(void **state)
{
    g_autoptr(Fake) fake = fake_new(NULL);
    int foreign = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_SET_CONTAINER, NULL), -EFAULT);
    assert_int_equal(set_container(fake, fake->group, -1), -EBADF);
    assert_int_equal(set_container(fake, fake->group, 1 << 20), -EBADF);
    assert_int_equal(set_container(fake, fake->group, fake->container), -EINVAL);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0);
    assert_int_equal(set_container(fake, fake->group, foreign), -EBADFD);
    assert_int_equal(set_container(fake, fake->group, fake->group), -EBADFD);
    assert_int_equal(set_container(fake, fake->group, fake->container), 0);
    close(foreign);
}

static void linux_6_1_calls_a_foreign_descriptor_einval(void **state)
{
    PmFakeConfig config;
    g_autoptr(Fake) fake = NULL;
    int foreign = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    pm_fake_config_init(&config);
    config.linux_version = PM_FAKE_LINUX_6_1;
    fake = fake_new(&config);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0);
    assert_int_equal(set_container(fake, fake->group, foreign), -EINVAL);
    close(foreign);
}

static void unset_container_wants_one_and_no_device_file(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    int device = fake_get_device(fake, DEVICE);

    (void)state;
    assert_true(device >= 0);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_UNSET_CONTAINER, NULL), -EBUSY);
    assert_int_equal(fake_close(fake, device), 0);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_UNSET_CONTAINER, NULL), -EINVAL);
    assert_int_equal(fake_ioctl(fake, fake->group, 12345, NULL), -ENOTTY);
}

static void the_last_group_out_takes_the_mappings_and_the_type_along(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 0);
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), -EINVAL);
    assert_int_equal(set_container(fake, fake->group, fake->container), 0);
    assert_int_equal(set_iommu(fake, VFIO_TYPE1_IOMMU), 0);
    assert_int_equal(fake_n_mappings(fake), 0);
}

static void device_names_are_exact(void **state)
{
    static const struct {
        const char *name;
        int result;
    } table[] = {{"", -ENODEV},
                 {"0000:00:04", -ENODEV},
                 {"0000:00:04.0x", -ENODEV},
                 {"0000:00:04.1", -ENODEV},
                 {"nonsense", -ENODEV},
                 {DEVICE " foo", -EINVAL},
                 {DEVICE " vf_token=12345678-1234-1234-1234-123456789abc", -EINVAL}};
    g_autoptr(Fake) fake = fake_new(NULL);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_int_equal(fake_get_device(fake, table[i].name), table[i].result);
    assert_int_equal(fake_get_device(fake, NULL), -EFAULT);
    /* Right, but there is no IOMMU yet; and then no container. */
    assert_int_equal(fake_get_device(fake, DEVICE), -EINVAL);
    assert_int_equal(set_iommu(fake, VFIO_TYPE1v2_IOMMU), 0);
    assert_true(fake_get_device(fake, DEVICE) >= 0);
}

static void each_device_descriptor_is_a_new_one(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    int first = fake_get_device(fake, DEVICE);
    int second = fake_get_device(fake, DEVICE);

    (void)state;
    assert_int_not_equal(first, second);
    assert_int_not_equal(fcntl(first, F_GETFD) & FD_CLOEXEC, 0);
    assert_int_equal(pm_fake_kernel_get_n_open(fake->kernel), 4);
}

static void a_group_keeps_its_container_when_that_is_closed(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
    assert_int_equal(fake_close(fake, fake->container), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 4 * PAGE);
    assert_true(fake_get_device(fake, DEVICE) >= 0);
    assert_int_equal(fake_n_mappings(fake), 1);
}

static void a_device_file_keeps_its_group_open(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    int device = fake_get_device(fake, DEVICE);
    int group;

    (void)state;
    assert_int_equal(fake_close(fake, fake->group), 0);
    assert_int_equal(fake_open(fake, "/dev/vfio/1"), -EBUSY);
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(fake_close(fake, device), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 0);
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), -EINVAL);
    group = fake_open(fake, "/dev/vfio/1");
    assert_true(group >= 0);
    assert_int_equal(set_container(fake, group, fake->container), 0);
    assert_int_equal(set_iommu(fake, VFIO_TYPE1v2_IOMMU), 0);
}

static void a_second_group_shares_the_mappings_and_is_charged_once(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    int group;

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
    assert_true(pm_fake_kernel_add_device(fake->kernel, 2, "0000:00:05.0", "vfio-pci", NULL));
    group = fake_open(fake, "/dev/vfio/2");
    assert_int_equal(set_container(fake, group, fake->container), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 4 * PAGE);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fake->kernel, 2), 1);
    assert_int_equal(fake_close(fake, fake->group), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fake->kernel, 2), 1);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 4 * PAGE);
    assert_int_equal(fake_close(fake, group), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 0);
}

static void no_group_may_join_while_an_address_is_invalid(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    int group;

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(fake_unmap_flags(fake, VFIO_DMA_UNMAP_FLAG_VADDR, 0, PAGE, NULL), 0);
    assert_true(pm_fake_kernel_add_device(fake->kernel, 2, "0000:00:05.0", "vfio-pci", NULL));
    group = fake_open(fake, "/dev/vfio/2");
    assert_int_equal(set_container(fake, group, fake->container), -EBUSY);
    assert_int_equal(fake_map_flags(fake, VFIO_DMA_MAP_FLAG_VADDR, 0, fake->memory, PAGE), 0);
    assert_int_equal(set_container(fake, group, fake->container), 0);
}

static void two_containers_are_apart_and_charged_apart(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    int first = fake->container;
    int group;

    (void)state;
    assert_true(pm_fake_kernel_add_device(fake->kernel, 2, "0000:00:05.0", "vfio-pci", NULL));
    group = fake_open(fake, "/dev/vfio/2");
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), 0);
    fake->container = fake_open(fake, "/dev/vfio/vfio");
    assert_int_equal(set_container(fake, group, fake->container), 0);
    assert_int_equal(set_iommu(fake, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 2 * PAGE);
    assert_int_equal(fake_close(fake, group), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), PAGE);
    fake->container = first;
    assert_int_equal(fake_n_mappings(fake), 1);
}

static void devices_can_be_added_only_once_and_not_to_a_group_in_use(void **state)
{
    g_autoptr(Fake) fake = fake_new(NULL);

    (void)state;
    assert_false(pm_fake_kernel_add_device(fake->kernel, 9, DEVICE, "vfio-pci", NULL));
    assert_false(pm_fake_kernel_add_device(fake->kernel, 1, "0000:00:09.0", "vfio-pci", NULL));
    assert_false(pm_fake_kernel_add_device(fake->kernel, 9, "nine", "vfio-pci", NULL));
    assert_false(pm_fake_kernel_add_device(fake->kernel, 9, "0000:00:09.0\n", "vfio-pci", NULL));
}

static void nothing_of_a_device_file_can_be_mapped(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    int device = fake_get_device(fake, DEVICE);
    void *address;

    (void)state;
    assert_int_equal(
        fake->kernel->ops->mmap(fake->kernel, device, PAGE, PROT_READ, MAP_SHARED, 0, &address),
        -EINVAL);
    assert_int_equal(fake->kernel->ops->munmap(fake->kernel, fake->memory, PAGE), -EINVAL);
    assert_int_equal(fake->kernel->ops->pread(fake->kernel, fake->group, &address, 4, 0), -EINVAL);
    assert_int_equal(fake->kernel->ops->pread(fake->kernel, 1 << 20, &address, 4, 0), -EBADF);
}

static void blanks_behind_a_device_name_are_no_option(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);

    (void)state;
    assert_true(fake_get_device(fake, DEVICE " ") >= 0);
    assert_true(fake_get_device(fake, DEVICE "   ") >= 0);
    assert_int_equal(fake_get_device(fake, DEVICE "   x"), -EINVAL);
}

static void a_device_name_without_an_end_is_refused(void **state)
{
    g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);

    (void)state;
    memset(fake->memory, 'x', MEMORY_SIZE);
    assert_int_equal(fake_get_device(fake, fake->memory), -EINVAL);
    assert_int_equal(mprotect(fake->memory + PAGE, PAGE, PROT_NONE), 0);
    assert_int_equal(fake_get_device(fake, fake->memory + PAGE - 8), -EFAULT);
}

static void whoever_is_closed_last_frees_the_mappings(void **state)
{
    enum {
        CONTAINER,
        FILE_OF_GROUP,
        DEVICE_FILE,
        N_FILES
    };
    static const int orders[][N_FILES] = {{CONTAINER, FILE_OF_GROUP, DEVICE_FILE},
                                          {CONTAINER, DEVICE_FILE, FILE_OF_GROUP},
                                          {FILE_OF_GROUP, CONTAINER, DEVICE_FILE},
                                          {DEVICE_FILE, CONTAINER, FILE_OF_GROUP}};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autoptr(Fake) fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
        const int files[N_FILES] = {fake->container, fake->group, fake_get_device(fake, DEVICE)};

        assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
        for (size_t j = 0; j < N_FILES; j++) {
            assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 4 * PAGE);
            assert_int_equal(fake_close(fake, files[orders[i][j]]), 0);
        }
        assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 0);
        assert_int_equal(pm_fake_kernel_get_n_open(fake->kernel), 0);
    }
}

static void a_freed_kernel_closes_what_is_open(void **state)
{
    Fake *fake = fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
    const int files[] = {fake->container, fake->group, fake_get_device(fake, DEVICE)};

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
    fake_free(fake);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
        assert_int_equal(fcntl(files[i], F_GETFD), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_vfio_files_can_be_opened),
        cmocka_unit_test(descriptors_are_real_and_unique),
        cmocka_unit_test(what_a_container_answers_before_and_after_the_iommu),
        cmocka_unit_test(set_iommu_refuses_each_wrong_type_in_its_way),
        cmocka_unit_test(before_the_iommu_everything_else_is_einval_even_with_null),
        cmocka_unit_test(a_group_is_opened_by_one_at_a_time),
        cmocka_unit_test(a_group_without_a_vfio_device_is_enodev),
        cmocka_unit_test(the_status_tells_viability_and_container),
        cmocka_unit_test(set_container_checks_its_descriptor),
        cmocka_unit_test(linux_6_1_calls_a_foreign_descriptor_einval),
        cmocka_unit_test(unset_container_wants_one_and_no_device_file),
        cmocka_unit_test(the_last_group_out_takes_the_mappings_and_the_type_along),
        cmocka_unit_test(device_names_are_exact),
        cmocka_unit_test(each_device_descriptor_is_a_new_one),
        cmocka_unit_test(a_group_keeps_its_container_when_that_is_closed),
        cmocka_unit_test(a_device_file_keeps_its_group_open),
        cmocka_unit_test(a_second_group_shares_the_mappings_and_is_charged_once),
        cmocka_unit_test(no_group_may_join_while_an_address_is_invalid),
        cmocka_unit_test(two_containers_are_apart_and_charged_apart),
        cmocka_unit_test(devices_can_be_added_only_once_and_not_to_a_group_in_use),
        cmocka_unit_test(nothing_of_a_device_file_can_be_mapped),
        cmocka_unit_test(blanks_behind_a_device_name_are_no_option),
        cmocka_unit_test(a_device_name_without_an_end_is_refused),
        cmocka_unit_test(whoever_is_closed_last_frees_the_mappings),
        cmocka_unit_test(a_freed_kernel_closes_what_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
