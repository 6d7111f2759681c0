/* SPDX-License-Identifier: MIT */
/* What iommufd pins, and whom it charges for it; files among it. */
#include "fake_iommufd_util.h"

#include <sys/mount.h>
#include <sys/stat.h>

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

/* --- whom it is charged to --- */

static PmFakeConfig limited_config(uint64_t limit)
{
    PmFakeConfig config = iommufd_config();

    config.memlock_limit = limit;
    return config;
}

static void set_rlimit_mode(Iommufd *iommufd, uint64_t mode)
{
    struct iommu_option option = {
        .size = sizeof(option),
        .option_id = IOMMU_OPTION_RLIMIT_MODE,
        .op = IOMMU_OPTION_OP_SET,
        .val64 = mode,
    };

    assert_int_equal(iommufd_call(iommufd, IOMMU_OPTION, &option), 0);
}

/* A fresh iommufd that charges the process; its device is attached. */
static Iommufd *charging_the_process(const PmFakeConfig *config)
{
    Iommufd *iommufd = iommufd_new(config);
    uint32_t pt_id;

    assert_int_equal(iommufd_close(iommufd, iommufd->device), 0);
    assert_int_equal(iommufd_close(iommufd, iommufd->iommufd), 0);
    iommufd->iommufd = iommufd_open(iommufd, "/dev/iommu");
    set_rlimit_mode(iommufd, 1);
    iommufd->device = iommufd_open(iommufd, "/dev/vfio/devices/vfio0");
    assert_int_equal(iommufd_bind(iommufd, iommufd->device, &iommufd->device_id), 0);
    iommufd->ioas = iommufd_new_ioas(iommufd);
    pt_id = iommufd->ioas;
    assert_int_equal(iommufd_attach(iommufd, iommufd->device, &pt_id), 0);
    return iommufd;
}

static void assert_charged(Iommufd *iommufd, uint64_t pinned, uint64_t user, uint64_t process)
{
    PmLockedMemory locked;

    assert_int_equal(pm_fake_kernel_get_pinned(iommufd->kernel), pinned);
    assert_int_equal(pm_fake_kernel_get_user_locked(iommufd->kernel), user);
    assert_int_equal(pm_fake_kernel_get_locked(iommufd->kernel), process);
    assert_int_equal(iommufd->kernel->ops->locked_memory(iommufd->kernel, &locked), 0);
    assert_int_equal(locked.used, process);
    assert_int_equal(locked.pinned, pinned);
}

static void the_user_is_charged(void **state)
{
    PmFakeConfig config = limited_config(2 * PAGE);
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 2 * PAGE), 0);
    assert_charged(iommufd, 2 * PAGE, 2 * PAGE, 0);
    assert_int_equal(iommufd_map(iommufd, 2 * PAGE, iommufd->memory, PAGE), -ENOMEM);
    assert_charged(iommufd, 2 * PAGE, 2 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, 2 * PAGE, NULL), 0);
    assert_charged(iommufd, 0, 0, 0);
}

static void the_process_is_charged_if_asked(void **state)
{
    PmFakeConfig config = limited_config(2 * PAGE);
    g_autoptr(Iommufd) iommufd = charging_the_process(&config);

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 2 * PAGE), 0);
    assert_charged(iommufd, 2 * PAGE, 0, 2 * PAGE);
    assert_int_equal(iommufd_map(iommufd, 2 * PAGE, iommufd->memory, PAGE), -ENOMEM);
    assert_int_equal(iommufd_close(iommufd, iommufd->device), 0);
    assert_charged(iommufd, 0, 0, 0);
}

static void nobody_is_charged_with_the_capability(void **state)
{
    PmFakeConfig config = limited_config(0);
    g_autoptr(Iommufd) iommufd = NULL;

    (void)state;
    config.cap_ipc_lock = true;
    iommufd = iommufd_attached(&config);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, PAGE), 0);
    assert_charged(iommufd, PAGE, 0, 0);
    pm_fake_kernel_set_memlock(iommufd->kernel, 0, false);
    assert_int_equal(iommufd_map(iommufd, PAGE, iommufd->memory, PAGE), -ENOMEM);
    assert_int_equal(iommufd_unmap(iommufd, 0, PAGE, NULL), 0);
    assert_charged(iommufd, 0, 0, 0);
}

static void who_is_charged_was_decided_by_the_mapping(void **state)
{
    PmFakeConfig config = limited_config(0);
    g_autoptr(Iommufd) iommufd = iommufd_new(&config);
    uint32_t pt_id = iommufd->ioas;

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, PAGE), 0);
    pm_fake_kernel_set_memlock(iommufd->kernel, 0, true);
    assert_int_equal(iommufd_attach(iommufd, iommufd->device, &pt_id), -ENOMEM);
    pm_fake_kernel_set_memlock(iommufd->kernel, PAGE, false);
    assert_int_equal(iommufd_attach(iommufd, iommufd->device, &pt_id), 0);
    assert_charged(iommufd, PAGE, PAGE, 0);
}

static void the_mode_needs_the_capability(void **state)
{
    PmFakeConfig config = iommufd_config();
    g_autoptr(Iommufd) iommufd = NULL;
    struct iommu_option option = {
        .size = sizeof(option),
        .option_id = IOMMU_OPTION_RLIMIT_MODE,
        .op = IOMMU_OPTION_OP_SET,
        .val64 = 1,
    };

    (void)state;
    config.cap_sys_resource = false;
    iommufd = iommufd_new(&config);
    assert_int_equal(iommufd_call(iommufd, IOMMU_OPTION, &option), -EPERM);
}

/* Unlike type1, which finds what comes first. */
static void bad_memory_is_found_before_the_limit(void **state)
{
    PmFakeConfig config = limited_config(PAGE);
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);

    (void)state;
    assert_int_equal(munmap(iommufd->memory + 4 * PAGE, PAGE), 0);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 5 * PAGE), -EFAULT);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 4 * PAGE), -ENOMEM);
    assert_charged(iommufd, 0, 0, 0);
}

/* --- sharing --- */

static int copy(Iommufd *iommufd, uint64_t source, uint64_t destination, uint64_t length)
{
    struct iommu_ioas_copy request = {
        .size = sizeof(request),
        .flags = FIXED,
        .dst_ioas_id = iommufd->ioas,
        .src_ioas_id = iommufd->ioas,
        .length = length,
        .dst_iova = destination,
        .src_iova = source,
    };

    return iommufd_call(iommufd, IOMMU_IOAS_COPY, &request);
}

static void a_copy_shares_pins(void **state)
{
    g_autoptr(Iommufd) iommufd = iommufd_attached(NULL);

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 4 * PAGE), 0);
    assert_int_equal(copy(iommufd, PAGE, 16 * PAGE, 2 * PAGE), 0);
    assert_charged(iommufd, 4 * PAGE, 4 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, 4 * PAGE, NULL), 0);
    assert_charged(iommufd, 2 * PAGE, 2 * PAGE, 0);
    iommufd_dma_write(iommufd, 17 * PAGE, 77);
    assert_int_equal(*(uint32_t *)(iommufd->memory + 2 * PAGE), 77);
    assert_int_equal(iommufd_unmap(iommufd, 16 * PAGE, 2 * PAGE, NULL), 0);
    assert_charged(iommufd, 0, 0, 0);
}

static void copies_of_copies_share_pins(void **state)
{
    g_autoptr(Iommufd) iommufd = iommufd_attached(NULL);

    (void)state;
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 8 * PAGE), 0);
    assert_int_equal(copy(iommufd, 0, 16 * PAGE, 4 * PAGE), 0);
    assert_int_equal(copy(iommufd, 2 * PAGE, 32 * PAGE, 4 * PAGE), 0);
    assert_int_equal(copy(iommufd, 17 * PAGE, 48 * PAGE, 3 * PAGE), 0);
    assert_charged(iommufd, 8 * PAGE, 8 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, 8 * PAGE, NULL), 0);
    assert_charged(iommufd, 6 * PAGE, 6 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 16 * PAGE, 4 * PAGE, NULL), 0);
    assert_charged(iommufd, 5 * PAGE, 5 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 32 * PAGE, 4 * PAGE, NULL), 0);
    assert_charged(iommufd, 3 * PAGE, 3 * PAGE, 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, UINT64_MAX, NULL), 0);
    assert_charged(iommufd, 0, 0, 0);
}

static void a_copy_of_what_cannot_be_pinned_leaves_nothing(void **state)
{
    g_autoptr(Iommufd) iommufd = iommufd_attached(NULL);
    struct iommu_ioas_copy request = {
        .size = sizeof(request),
        .flags = FIXED,
        .dst_ioas_id = iommufd->ioas,
        .length = 2 * PAGE,
    };

    (void)state;
    iommufd->ioas = iommufd_new_ioas(iommufd);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, PAGE), 0);
    assert_int_equal(iommufd_map(iommufd, PAGE, (char *)PAGE, PAGE), 0);
    request.src_ioas_id = iommufd->ioas;
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_COPY, &request), -EFAULT);
    assert_int_equal(iommufd_n_areas(iommufd), 0);
    assert_charged(iommufd, 0, 0, 0);
}

/* --- held pages --- */

static Iommufd *holding(void)
{
    PmFakeConfig config = iommufd_config();
    g_autoptr(PmKernel) kernel = NULL;

    config.pin = PM_FAKE_PIN_HOLD;
    kernel = pm_fake_kernel_new(&config, NULL);
    return kernel != NULL ? iommufd_attached(&config) : NULL;
}

static void a_part_of_held_pages_stays_held(void **state)
{
    g_autoptr(Iommufd) iommufd = holding();

    (void)state;
    if (iommufd == NULL) {
        print_message("skipped, because there is no io_uring: sysctl kernel.io_uring_disabled=0\n");
        skip();
        return;
    }
    memset(iommufd->memory, 0x5a, 4 * PAGE);
    assert_int_equal(iommufd_map(iommufd, 0, iommufd->memory, 4 * PAGE), 0);
    assert_int_equal(copy(iommufd, 2 * PAGE, 16 * PAGE, PAGE), 0);
    assert_int_equal(iommufd_unmap(iommufd, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(madvise(iommufd->memory, 4 * PAGE, MADV_DONTNEED), 0);
    assert_int_equal(iommufd_dma_read(iommufd, 16 * PAGE), 0x5a5a5a5a);
}

/* --- files --- */

static PmFakeConfig file_config(void)
{
    PmFakeConfig config = iommufd_config();

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

static void files_are_mapped_only_if_asked_for(void **state)
{
    g_autoptr(Iommufd) iommufd = iommufd_attached(NULL);
    int fd = new_memfd(PAGE);

    (void)state;
    assert_int_equal(iommufd_map_file(iommufd, 0, fd, 0, PAGE), -ENOTTY);
    close(fd);
}

static void a_file_is_mapped_without_an_address(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);
    int fd = new_memfd(4 * PAGE);
    uint32_t word;

    (void)state;
    assert_int_equal(iommufd_map_file(iommufd, 0, fd, 2 * PAGE, 2 * PAGE), 0);
    assert_charged(iommufd, 2 * PAGE, 2 * PAGE, 0);
    iommufd_dma_write(iommufd, PAGE + 4, 4711);
    assert_int_equal(pread(fd, &word, sizeof(word), 3 * PAGE + 4), sizeof(word));
    assert_int_equal(word, 4711);
    word = 1234;
    assert_int_equal(pwrite(fd, &word, sizeof(word), 2 * PAGE), sizeof(word));
    assert_int_equal(iommufd_dma_read(iommufd, 0), 1234);
    close(fd);
    assert_int_equal(iommufd_dma_read(iommufd, 0), 1234);
    assert_int_equal(iommufd_unmap(iommufd, 0, 2 * PAGE, NULL), 0);
    assert_charged(iommufd, 0, 0, 0);
}

static void what_is_no_memory_cannot_be_pinned(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    assert_int_equal(iommufd_map_file(iommufd, 0, null, 0, PAGE), -EINVAL);
    assert_int_equal(iommufd_map_file(iommufd, 0, iommufd->iommufd, 0, PAGE), -EINVAL);
    assert_int_equal(iommufd_map_file(iommufd, 0, -1, 0, PAGE), -EBADF);
    assert_int_equal(iommufd_map_file(iommufd, 0, null, UINT64_MAX, PAGE), -EOVERFLOW);
    assert_int_equal(iommufd_n_areas(iommufd), 0);
    close(null);
}

static void mistakes_of_map_file_are_found_in_order(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);
    struct iommu_ioas_map_file map = {
        .size = sizeof(map),
        .flags = 8,
        .ioas_id = 99,
        .fd = -1,
        .iova = UINT64_MAX,
    };

    (void)state;
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map), -EOPNOTSUPP);
    map.flags = IOMMU_IOAS_MAP_FIXED_IOVA;
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map), -EOVERFLOW);
    map.iova = 0;
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map), -EINVAL);
    map.flags = FIXED;
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map), -ENOENT);
    map.ioas_id = iommufd->ioas;
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map), -EBADF);
    map.fd = new_memfd(PAGE);
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map), -EINVAL);
    map.length = PAGE;
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map), 0);
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map), -EEXIST);
    close(map.fd);
}

static void a_sealed_file_can_be_read(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);
    int fd = memfd_create("plugmap-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const uint32_t word = 99;
    void *mapped;

    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
    assert_int_equal(pwrite(fd, &word, sizeof(word), 0), sizeof(word));
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    mapped = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        print_message("skipped, because the host cannot map a sealed file: take Linux 6.7\n");
        skip();
        return;
    }
    assert_int_equal(iommufd_map_file(iommufd, 0, fd, 0, PAGE), 0);
    assert_int_equal(iommufd_dma_read(iommufd, 0), word);
    munmap(mapped, PAGE);
    close(fd);
}

static void a_file_has_to_reach_to_the_end_when_it_is_pinned(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_new(&config);
    uint32_t pt_id = iommufd->ioas;
    int fd = new_memfd(2 * PAGE);

    (void)state;
    assert_int_equal(iommufd_map_file(iommufd, 0, fd, PAGE, 2 * PAGE), 0);
    assert_int_equal(iommufd_attach(iommufd, iommufd->device, &pt_id), -EINVAL);
    assert_int_equal(ftruncate(fd, (off_t)(3 * PAGE)), 0);
    assert_int_equal(iommufd_attach(iommufd, iommufd->device, &pt_id), 0);
    close(fd);
}

static void a_file_has_to_hold_the_last_byte(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);
    int fd = new_memfd(2 * PAGE - 1);

    (void)state;
    assert_int_equal(iommufd_map_file(iommufd, 0, fd, 0, 2 * PAGE), -EINVAL);
    assert_int_equal(ftruncate(fd, (off_t)(2 * PAGE)), 0);
    assert_int_equal(iommufd_map_file(iommufd, 0, fd, 0, 2 * PAGE), 0);
    close(fd);
}

/* A word, alone in a new file system, that goes with it; -1 if this process may make none. */
static int new_file_system(uint32_t word)
{
    int system = fsopen("tmpfs", FSOPEN_CLOEXEC);
    int folder = -1;
    int fd = -1;

    if (system >= 0 && fsconfig(system, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        folder = fsmount(system, FSMOUNT_CLOEXEC, 0);
    if (folder >= 0)
        fd = openat(folder, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
        assert_int_equal(pwrite(fd, &word, sizeof(word), 0), sizeof(word));
    }
    close(system);
    close(folder);
    return fd;
}

static void files_of_two_file_systems_are_two(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);
    int files[] = {new_file_system(1111), new_file_system(2222)};
    struct stat status[2];

    (void)state;
    if (files[0] < 0 || files[1] < 0) {
        print_message("skipped, because only root can make file systems: run it as root\n");
        skip();
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        assert_int_equal(fstat(files[i], &status[i]), 0);
        assert_int_equal(iommufd_map_file(iommufd, i * PAGE, files[i], 0, PAGE), 0);
        close(files[i]);
    }
    assert_int_equal(status[0].st_ino, status[1].st_ino);
    assert_int_equal(iommufd_dma_read(iommufd, 0), 1111);
    assert_int_equal(iommufd_dma_read(iommufd, PAGE), 2222);
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

static void many_mappings_of_a_file_are_one_for_the_process(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);
    int fd = new_memfd(512 * PAGE);
    unsigned n_files;

    (void)state;
    assert_int_equal(iommufd_map_file(iommufd, 0, fd, 0, PAGE), 0);
    n_files = count_files();
    for (uint64_t i = 1; i < 512; i++)
        assert_int_equal(iommufd_map_file(iommufd, i * PAGE, fd, i * PAGE, PAGE), 0);
    assert_int_equal(count_files(), n_files);
    assert_int_equal(count_mappings(), 1);
    close(fd);
}

static void a_file_of_huge_pages_is_mapped_in_part(void **state)
{
    const uint64_t huge = UINT64_C(2) << 20;
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);
    int fd = memfd_create("plugmap-test", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);

    (void)state;
    if (fd < 0) {
        print_message("skipped, because the host has no huge pages of 2 MiB\n");
        skip();
        return;
    }
    assert_int_equal(ftruncate(fd, (off_t)(3 * huge)), 0);
    assert_int_equal(iommufd_map_file(iommufd, 0, fd, huge + PAGE, PAGE), 0);
    assert_charged(iommufd, PAGE, PAGE, 0);
    assert_int_equal(count_mappings(), 1);
    assert_int_equal(iommufd_unmap(iommufd, 0, PAGE, NULL), 0);
    assert_int_equal(count_mappings(), 0);
    close(fd);
}

static void placing_a_file_goes_by_the_place_in_it(void **state)
{
    PmFakeConfig config = file_config();
    g_autoptr(Iommufd) iommufd = iommufd_attached(&config);
    int fd = new_memfd(16 * PAGE);
    struct iommu_ioas_map_file map = {
        .size = sizeof(map),
        .flags = READ_WRITE,
        .ioas_id = iommufd->ioas,
        .fd = fd,
        .start = 4 * PAGE,
        .length = 8 * PAGE,
    };

    (void)state;
    assert_int_equal(iommufd_call(iommufd, IOMMU_IOAS_MAP_FILE, &map), 0);
    assert_int_equal(map.iova, 4 * PAGE);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_user_is_charged),
        cmocka_unit_test(the_process_is_charged_if_asked),
        cmocka_unit_test(nobody_is_charged_with_the_capability),
        cmocka_unit_test(who_is_charged_was_decided_by_the_mapping),
        cmocka_unit_test(the_mode_needs_the_capability),
        cmocka_unit_test(bad_memory_is_found_before_the_limit),
        cmocka_unit_test(a_copy_shares_pins),
        cmocka_unit_test(copies_of_copies_share_pins),
        cmocka_unit_test(a_copy_of_what_cannot_be_pinned_leaves_nothing),
        cmocka_unit_test(a_part_of_held_pages_stays_held),
        cmocka_unit_test(files_are_mapped_only_if_asked_for),
        cmocka_unit_test(a_file_is_mapped_without_an_address),
        cmocka_unit_test(what_is_no_memory_cannot_be_pinned),
        cmocka_unit_test(mistakes_of_map_file_are_found_in_order),
        cmocka_unit_test(a_sealed_file_can_be_read),
        cmocka_unit_test(a_file_has_to_reach_to_the_end_when_it_is_pinned),
        cmocka_unit_test(a_file_has_to_hold_the_last_byte),
        cmocka_unit_test(files_of_two_file_systems_are_two),
        cmocka_unit_test(many_mappings_of_a_file_are_one_for_the_process),
        cmocka_unit_test(a_file_of_huge_pages_is_mapped_in_part),
        cmocka_unit_test(placing_a_file_goes_by_the_place_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
