/* SPDX-License-Identifier: MIT */
/* Mapping files with the fake's iommufd, without a host address. */
#include <sys/mount.h>
#include <sys/stat.h>

#include "util/device_util.h"
#include "util/iommufd_util.h"

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

static PmFakeConfig file_config(void)
{
    PmFakeConfig config = iommufd_fake_config();

    config.ioas_map_file = true;
    return config;
}

static int new_memfd(uint64_t size)
{
    int fd = memfd_create("plugmap-test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static void map_file_is_absent_unless_configured(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    int fd = new_memfd(PAGE);

    (void)state;
    assert_int_equal(iommufd_map_file(kernel, 0, fd, 0, PAGE), -ENOTTY);
    close(fd);
}

static void map_file_needs_no_host_address(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    int fd = new_memfd(4 * PAGE);
    uint32_t word;

    (void)state;
    assert_int_equal(iommufd_map_file(kernel, 0, fd, 2 * PAGE, 2 * PAGE), 0);
    iommufd_assert_charged(kernel, 2 * PAGE, 2 * PAGE, 0);
    device_poke_word(kernel, PAGE + 4, 4711);
    assert_int_equal(pread(fd, &word, sizeof(word), 3 * PAGE + 4), sizeof(word));
    assert_int_equal(word, 4711);
    word = 1234;
    assert_int_equal(pwrite(fd, &word, sizeof(word), 2 * PAGE), sizeof(word));
    assert_int_equal(device_peek_word(kernel, 0), 1234);
    close(fd);
    assert_int_equal(device_peek_word(kernel, 0), 1234);
    assert_int_equal(iommufd_unmap(kernel, 0, 2 * PAGE, NULL), 0);
    iommufd_assert_charged(kernel, 0, 0, 0);
}

static void map_file_rejects_files_that_are_not_memory(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    assert_int_equal(iommufd_map_file(kernel, 0, null, 0, PAGE), -EINVAL);
    assert_int_equal(iommufd_map_file(kernel, 0, kernel->iommu, 0, PAGE), -EINVAL);
    assert_int_equal(iommufd_map_file(kernel, 0, -1, 0, PAGE), -EBADF);
    assert_int_equal(iommufd_map_file(kernel, 0, null, UINT64_MAX, PAGE), -EOVERFLOW);
    assert_int_equal(kernel_n_inspected(kernel), 0);
    close(null);
}

static void map_file_checks_arguments_in_order(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    struct iommu_ioas_map_file map = {
        .size = sizeof(map),
        .flags = 8,
        .ioas_id = 99,
        .fd = -1,
        .iova = UINT64_MAX,
    };

    (void)state;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map), -EOPNOTSUPP);
    map.flags = IOMMU_IOAS_MAP_FIXED_IOVA;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map), -EOVERFLOW);
    map.iova = 0;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map), -EINVAL);
    map.flags = IOAS_FIXED;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map), -ENOENT);
    map.ioas_id = kernel->ioas;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map), -EBADF);
    map.fd = new_memfd(PAGE);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map), -EINVAL);
    map.length = PAGE;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map), 0);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map), -EEXIST);
    close(map.fd);
}

static void a_sealed_file_can_be_read(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    int fd = memfd_create("plugmap-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const uint32_t word = 99;
    void *mapped;

    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
    assert_int_equal(pwrite(fd, &word, sizeof(word), 0), sizeof(word));
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    mapped = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        print_message("skipped: the host does not map sealed files; needs Linux 6.7\n");
        skip();
        return;
    }
    assert_int_equal(iommufd_map_file(kernel, 0, fd, 0, PAGE), 0);
    assert_int_equal(device_peek_word(kernel, 0), word);
    munmap(mapped, PAGE);
    close(fd);
}

static void attach_fails_if_the_file_is_too_short(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake(&config);
    uint32_t pt_id = kernel->ioas;
    int fd = new_memfd(2 * PAGE);

    (void)state;
    assert_int_equal(iommufd_map_file(kernel, 0, fd, PAGE, 2 * PAGE), 0);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), -EINVAL);
    assert_int_equal(ftruncate(fd, (off_t)(3 * PAGE)), 0);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
    close(fd);
}

static void map_file_fails_if_the_last_byte_is_past_the_end(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    int fd = new_memfd(2 * PAGE - 1);

    (void)state;
    assert_int_equal(iommufd_map_file(kernel, 0, fd, 0, 2 * PAGE), -EINVAL);
    assert_int_equal(ftruncate(fd, (off_t)(2 * PAGE)), 0);
    assert_int_equal(iommufd_map_file(kernel, 0, fd, 0, 2 * PAGE), 0);
    close(fd);
}

/* A file with one word in a new, otherwise unreferenced file system; -1 without the privileges
 * for that. */
static int new_file_system(uint32_t word)
{
    int system = fsopen("tmpfs", FSOPEN_CLOEXEC);
    int directory = -1;
    int fd = -1;

    if (system >= 0 && fsconfig(system, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        directory = fsmount(system, FSMOUNT_CLOEXEC, 0);
    if (directory >= 0)
        fd = openat(directory, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
        assert_int_equal(pwrite(fd, &word, sizeof(word), 0), sizeof(word));
    }
    close(system);
    close(directory);
    return fd;
}

static void equal_inodes_on_two_file_systems_are_two_files(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = NULL;
    int files[] = {new_file_system(1111), new_file_system(2222)};
    struct stat status[2];

    (void)state;
    if (files[0] < 0 || files[1] < 0) {
        print_message("skipped: mounting tmpfs needs root, and fails under valgrind\n");
        skip();
        return;
    }
    kernel = iommufd_new_fake_attached(&config);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        assert_int_equal(fstat(files[i], &status[i]), 0);
        assert_int_equal(iommufd_map_file(kernel, i * PAGE, files[i], 0, PAGE), 0);
        close(files[i]);
    }
    assert_int_equal(status[0].st_ino, status[1].st_ino);
    assert_int_equal(device_peek_word(kernel, 0), 1111);
    assert_int_equal(device_peek_word(kernel, PAGE), 2222);
}

static unsigned count_files(void)
{
    g_autoptr(GDir) files = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n_files = 0;

    while (g_dir_read_name(files) != NULL)
        n_files++;
    return n_files;
}

static unsigned count_mappings(void)
{
    g_autofree char *text = NULL;
    unsigned n_mappings = 0;

    assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    for (const char *line = strstr(text, "memfd:"); line != NULL; line = strstr(line + 1, "memfd:"))
        n_mappings++;
    return n_mappings;
}

static void areas_of_a_file_share_one_process_mapping(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    int fd = new_memfd(512 * PAGE);
    unsigned n_files;

    (void)state;
    assert_int_equal(iommufd_map_file(kernel, 0, fd, 0, PAGE), 0);
    n_files = count_files();
    for (uint64_t i = 1; i < 512; i++)
        assert_int_equal(iommufd_map_file(kernel, i * PAGE, fd, i * PAGE, PAGE), 0);
    assert_int_equal(count_files(), n_files);
    assert_int_equal(count_mappings(), 1);
    close(fd);
}

static void a_file_of_huge_pages_is_mapped_in_part(void **state)
{
    const uint64_t huge = UINT64_C(2) << 20;
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    int fd = memfd_create("plugmap-test", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);

    (void)state;
    if (fd < 0) {
        print_message("skipped: the host has no free 2 MiB huge pages\n");
        skip();
        return;
    }
    assert_int_equal(ftruncate(fd, (off_t)(3 * huge)), 0);
    assert_int_equal(iommufd_map_file(kernel, 0, fd, huge + PAGE, PAGE), 0);
    iommufd_assert_charged(kernel, PAGE, PAGE, 0);
    assert_int_equal(count_mappings(), 1);
    assert_int_equal(iommufd_unmap(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(count_mappings(), 0);
    close(fd);
}

static void placement_aligns_files_by_their_offset(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    int fd = new_memfd(16 * PAGE);
    struct iommu_ioas_map_file map = {
        .size = sizeof(map),
        .flags = IOAS_READ_WRITE,
        .ioas_id = kernel->ioas,
        .fd = fd,
        .start = 4 * PAGE,
        .length = 8 * PAGE,
    };

    (void)state;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, &map), 0);
    assert_int_equal(map.iova, 4 * PAGE);
    close(fd);
}

static int change_process(Kernel *kernel, uint32_t size, uint32_t reserved)
{
    struct iommu_ioas_change_process change = {.size = size, .__reserved = reserved};

    return iommufd_ioctl(kernel, IOMMU_IOAS_CHANGE_PROCESS, &change);
}

static void change_process_is_absent_unless_configured(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);

    (void)state;
    assert_int_equal(change_process(kernel, 8, 0), -ENOTTY);
}

static void change_process_checks_its_struct(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);

    (void)state;
    assert_int_equal(change_process(kernel, 7, 0), -EINVAL);
    assert_int_equal(change_process(kernel, 8, 1), -EOPNOTSUPP);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_CHANGE_PROCESS, NULL), -EFAULT);
    assert_int_equal(change_process(kernel, 8, 0), 0);
}

static void change_process_keeps_the_charge_of_the_same_process(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    int fd = new_memfd(2 * PAGE);

    (void)state;
    assert_int_equal(iommufd_map_file(kernel, 0, fd, 0, 2 * PAGE), 0);
    assert_int_equal(change_process(kernel, 8, 0), 0);
    iommufd_assert_charged(kernel, 2 * PAGE, 2 * PAGE, 0);
    close(fd);
}

/* Of any IOAS of the file. */
static void change_process_fails_with_mappings_of_addresses(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(&config);
    uint32_t attached = kernel->ioas;
    int fd = new_memfd(PAGE);

    (void)state;
    assert_int_equal(iommufd_map_file(kernel, 0, fd, 0, PAGE), 0);
    kernel->ioas = iommufd_new_ioas(kernel);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(change_process(kernel, 8, 0), -EINVAL);
    assert_int_equal(iommufd_unmap(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(change_process(kernel, 8, 0), 0);
    kernel->ioas = attached;
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_file_is_absent_unless_configured),
        cmocka_unit_test(map_file_needs_no_host_address),
        cmocka_unit_test(map_file_rejects_files_that_are_not_memory),
        cmocka_unit_test(map_file_checks_arguments_in_order),
        cmocka_unit_test(a_sealed_file_can_be_read),
        cmocka_unit_test(attach_fails_if_the_file_is_too_short),
        cmocka_unit_test(map_file_fails_if_the_last_byte_is_past_the_end),
        cmocka_unit_test(equal_inodes_on_two_file_systems_are_two_files),
        cmocka_unit_test(areas_of_a_file_share_one_process_mapping),
        cmocka_unit_test(a_file_of_huge_pages_is_mapped_in_part),
        cmocka_unit_test(placement_aligns_files_by_their_offset),
        cmocka_unit_test(change_process_is_absent_unless_configured),
        cmocka_unit_test(change_process_checks_its_struct),
        cmocka_unit_test(change_process_keeps_the_charge_of_the_same_process),
        cmocka_unit_test(change_process_fails_with_mappings_of_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
