/* SPDX-License-Identifier: MIT */
/* iommufd in the fake kernel only: configuration, fault plan, inspector, lifetimes.
 * tests/conformance tests what it shares with real kernels. */

#include "util/device_util.h"
#include "util/iommufd_util.h"

/* --- configuration --- */

static void iommufd_is_absent_unless_configured(void **state)
{
    g_autoptr(PmKernel) kernel = pm_fake_kernel_new(NULL, NULL);

    (void)state;
    assert_int_equal(kernel->ops->open(kernel, "/dev/iommu", O_RDWR), -ENOENT);
    assert_int_equal(kernel->ops->open(kernel, "/dev/vfio/devices/vfio0", O_RDWR), -ENOENT);
}

static void linux_6_1_with_iommufd_is_rejected(void **state)
{
    PmFakeConfig config = iommufd_fake_config();
    g_autoptr(GError) error = NULL;

    (void)state;
    config.linux_version = PM_FAKE_LINUX_6_1;
    assert_null(pm_fake_kernel_new(&config, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
}

static void cdevs_are_numbered_in_order_of_adding(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);

    (void)state;
    assert_true(pm_fake_kernel_add_device(kernel->pm, 9, "0000:00:09.0", "nvme", NULL));
    assert_true(pm_fake_kernel_add_device(kernel->pm, 2, "0000:00:05.0", "vfio-pci", NULL));
    assert_true(kernel_open(kernel, "/dev/vfio/devices/vfio1") >= 0);
    assert_int_equal(kernel_open(kernel, "/dev/vfio/devices/vfio2"), -ENOENT);
    assert_int_equal(kernel_open(kernel, "/dev/vfio/devices/vfio"), -ENOENT);
    assert_int_equal(kernel_open(kernel, "/dev/vfio/devices/vfio1x"), -ENOENT);
    assert_int_equal(pm_fake_kernel_get_n_mappings(kernel->pm, 2), 0);
}

static void group_with_a_bound_device_is_in_use(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);

    (void)state;
    assert_false(pm_fake_kernel_add_device(kernel->pm, 1, "0000:00:04.1", "vfio-pci", NULL));
    assert_int_equal(kernel_open(kernel, "/dev/vfio/1"), -EBUSY);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_true(pm_fake_kernel_add_device(kernel->pm, 1, "0000:00:04.1", "vfio-pci", NULL));
    assert_true(kernel_open(kernel, "/dev/vfio/1") >= 0);
}

static void bind_fails_while_the_group_is_open(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    int group;

    (void)state;
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    group = kernel_open(kernel, "/dev/vfio/1");
    kernel->device = kernel_open(kernel, "/dev/vfio/devices/vfio0");
    assert_int_equal(cdev_bind(kernel, kernel->device, kernel->iommu, NULL), -EBUSY);
    assert_int_equal(kernel_close(kernel, group), 0);
    assert_int_equal(cdev_bind(kernel, kernel->device, kernel->iommu, NULL), 0);
}

/* --- fault plan --- */

static void a_planned_fault_fails_map(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);

    (void)state;
    pm_fake_kernel_fail(kernel->pm, PM_FAKE_CALL_MAP, 2, EINTR);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, PAGE, kernel->memory, PAGE), -EINTR);
    assert_int_equal(kernel_n_inspected(kernel), 1);
    assert_int_equal(iommufd_map(kernel, PAGE, kernel->memory, PAGE), 0);
}

static void a_planned_fault_fails_unmap(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    pm_fake_kernel_fail(kernel->pm, PM_FAKE_CALL_UNMAP, 1, EIO);
    assert_int_equal(iommufd_unmap(kernel, 0, PAGE, NULL), -EIO);
    assert_int_equal(kernel_n_inspected(kernel), 1);
}

static void a_shortened_unmap_removes_the_first_half(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    uint64_t n_bytes;

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(iommufd_map(kernel, i * PAGE, kernel->memory, PAGE), 0);
    pm_fake_kernel_shorten_unmap(kernel->pm, 1);
    assert_int_equal(iommufd_unmap(kernel, 0, 3 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, PAGE);
    assert_int_equal(kernel_n_inspected(kernel), 2);
    pm_fake_kernel_shorten_unmap(kernel->pm, 1);
    assert_int_equal(iommufd_unmap(kernel, 2 * PAGE, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
}

static void all_map_and_unmap_requests_are_counted(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);

    (void)state;
    (void)iommufd_ioctl(kernel, IOMMU_IOAS_MAP, NULL);
    (void)iommufd_ioctl(kernel, IOMMU_IOAS_MAP_FILE, NULL);
    (void)iommufd_ioctl(kernel, VFIO_IOMMU_MAP_DMA, NULL);
    assert_int_equal(pm_fake_kernel_get_n_calls(kernel->pm, PM_FAKE_CALL_MAP), 3);
    (void)iommufd_ioctl(kernel, IOMMU_IOAS_UNMAP, NULL);
    (void)iommufd_ioctl(kernel, VFIO_IOMMU_UNMAP_DMA, NULL);
    assert_int_equal(pm_fake_kernel_get_n_calls(kernel->pm, PM_FAKE_CALL_UNMAP), 2);
}

static void calls_are_counted(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    uint64_t n_ioctls = pm_fake_kernel_get_n_calls(kernel->pm, PM_FAKE_CALL_IOCTL);

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(iommufd_unmap(kernel, 0, PAGE, NULL), -ENOENT);
    assert_int_equal(pm_fake_kernel_get_n_calls(kernel->pm, PM_FAKE_CALL_MAP), 1);
    assert_int_equal(pm_fake_kernel_get_n_calls(kernel->pm, PM_FAKE_CALL_UNMAP), 2);
    assert_int_equal(pm_fake_kernel_get_n_calls(kernel->pm, PM_FAKE_CALL_IOCTL), n_ioctls + 3);
}

/* --- inspector --- */

static bool check_area(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                       void *user_data)
{
    const char *memory = user_data;

    assert_ptr_equal(host, memory + iova);
    assert_int_equal(size, PAGE);
    assert_int_equal(access, PM_IOMMU_READ_WRITE);
    return iova == 0;
}

static void foreach_mapping_lists_areas_of_an_attached_device(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    uint32_t pt_id = kernel->ioas;

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_n_inspected(kernel), 0);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
    assert_int_equal(kernel_n_inspected(kernel), 1);
    assert_true(pm_fake_kernel_foreach_mapping(kernel->pm, 1, check_area, kernel->memory));
    assert_int_equal(iommufd_map(kernel, PAGE, kernel->memory + PAGE, PAGE), 0);
    assert_false(pm_fake_kernel_foreach_mapping(kernel->pm, 1, check_area, kernel->memory));
}

static bool unmap_area(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                       void *user_data)
{
    (void)host;
    (void)access;
    return iommufd_unmap(user_data, iova, size, NULL) == 0;
}

static void areas_may_change_during_foreach(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(iommufd_map(kernel, i * PAGE, kernel->memory, PAGE), 0);
    assert_true(pm_fake_kernel_foreach_mapping(kernel->pm, 1, unmap_area, kernel));
    assert_int_equal(kernel_n_inspected(kernel), 0);
}

static void next_translated_reports_the_page_table(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    uint64_t iova;
    uint64_t size;

    (void)state;
    assert_false(pm_fake_kernel_next_translated(kernel->pm, 1, 0, UINT64_MAX, &iova, &size));
    assert_int_equal(iommufd_map(kernel, 4 * PAGE, kernel->memory, 3 * PAGE), 0);
    assert_true(pm_fake_kernel_next_translated(kernel->pm, 1, 0, UINT64_MAX, &iova, &size));
    assert_int_equal(iova, 4 * PAGE);
    assert_int_equal(size, 3 * PAGE);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_false(pm_fake_kernel_next_translated(kernel->pm, 1, 0, UINT64_MAX, &iova, &size));
}

static void dma_uses_the_page_table(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);

    (void)state;
    assert_int_equal(iommufd_map(kernel, PAGE, kernel->memory, PAGE), 0);
    device_poke_word(kernel, PAGE + 8, 0x12345678);
    assert_int_equal(*(uint32_t *)(kernel->memory + 8), 0x12345678);
    assert_int_equal(device_peek_word(kernel, PAGE + 8), 0x12345678);
    assert_int_equal(pm_fake_kernel_get_n_dma_faults(kernel->pm), 0);
    assert_int_equal(iommufd_unmap(kernel, PAGE, PAGE, NULL), 0);
    assert_int_equal(device_peek_word(kernel, PAGE + 8), 0);
    assert_int_equal(pm_fake_kernel_get_n_dma_faults(kernel->pm), 1);
}

/* --- lifetimes --- */

static void a_bound_device_keeps_the_iommufd_alive(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_close(kernel, kernel->iommu), 0);
    assert_int_equal(kernel_n_inspected(kernel), 1);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), PAGE);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), 0);
    assert_int_equal(pm_fake_kernel_get_n_open(kernel->pm), 0);
}

static void freeing_the_kernel_closes_open_files(void **state)
{
    Kernel *kernel = iommufd_new_fake_attached(NULL);
    const int files[] = {kernel->iommu, kernel->device};

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    kernel_free(kernel);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
        assert_int_equal(fcntl(files[i], F_GETFD), -1);
}

static void objects_get_the_lowest_free_id(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);

    (void)state;
    assert_int_equal(kernel->device_id, 1);
    assert_int_equal(kernel->ioas, 2);
    assert_int_equal(iommufd_new_ioas(kernel), 3);
    assert_int_equal(iommufd_new_ioas(kernel), 4);
    assert_int_equal(iommufd_destroy(kernel, 3), 0);
    assert_int_equal(iommufd_destroy(kernel, 3), -ENOENT);
    assert_int_equal(iommufd_new_ioas(kernel), 3);
}

static void destroy_of_objects_in_use_fails(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    uint32_t pt_id = kernel->ioas;

    (void)state;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), -EBUSY);
    assert_int_equal(iommufd_destroy(kernel, pt_id), -EBUSY);
    assert_int_equal(iommufd_destroy(kernel, kernel->device_id), -EBUSY);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(iommufd_destroy(kernel, pt_id), -ENOENT);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
}

static void devices_of_a_group_share_a_page_table(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    uint32_t pt_id = kernel->ioas;
    uint32_t other_pt_id = kernel->ioas;
    uint32_t elsewhere = iommufd_new_ioas(kernel);
    int first;
    int second;

    (void)state;
    assert_true(pm_fake_kernel_add_device(kernel->pm, 2, "0000:00:05.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(kernel->pm, 2, "0000:00:05.1", "vfio-pci", NULL));
    first = kernel_open(kernel, "/dev/vfio/devices/vfio1");
    second = kernel_open(kernel, "/dev/vfio/devices/vfio2");
    assert_int_equal(cdev_bind(kernel, first, kernel->iommu, NULL), 0);
    assert_int_equal(cdev_bind(kernel, second, kernel->iommu, NULL), 0);
    assert_int_equal(cdev_attach(kernel, first, &pt_id), 0);
    assert_int_equal(cdev_attach(kernel, second, &elsewhere), -EINVAL);
    assert_int_equal(cdev_attach(kernel, second, &other_pt_id), 0);
    assert_int_equal(pt_id, other_pt_id);
    /* Replacing moves both devices. */
    assert_int_equal(cdev_attach(kernel, second, &elsewhere), 0);
    assert_int_equal(iommufd_destroy(kernel, pt_id), -ENOENT);
    assert_int_equal(cdev_detach(kernel, first), 0);
    assert_int_equal(iommufd_destroy(kernel, elsewhere), -EBUSY);
    assert_int_equal(cdev_detach(kernel, second), 0);
    assert_int_equal(iommufd_destroy(kernel, elsewhere), -ENOENT);
}

static void bind_to_a_second_iommufd_of_the_group_fails(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    int first;
    int second;

    (void)state;
    assert_true(pm_fake_kernel_add_device(kernel->pm, 2, "0000:00:05.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(kernel->pm, 2, "0000:00:05.1", "vfio-pci", NULL));
    first = kernel_open(kernel, "/dev/vfio/devices/vfio1");
    second = kernel_open(kernel, "/dev/vfio/devices/vfio2");
    assert_int_equal(cdev_bind(kernel, first, kernel->iommu, NULL), 0);
    kernel->iommu = kernel_open(kernel, "/dev/iommu");
    assert_int_equal(cdev_bind(kernel, second, kernel->iommu, NULL), -EPERM);
    assert_int_equal(kernel_close(kernel, first), 0);
    assert_int_equal(cdev_bind(kernel, second, kernel->iommu, NULL), 0);
}

static void failed_replace_keeps_the_group_attached(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    uint32_t pt_id = kernel->ioas;
    uint32_t old = iommufd_new_ioas(kernel);
    uint32_t elsewhere = kernel->ioas;
    int first;
    int second;

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0xfee00000, kernel->memory, PAGE), 0);
    assert_true(pm_fake_kernel_add_device(kernel->pm, 2, "0000:00:05.0", "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(kernel->pm, 2, "0000:00:05.1", "vfio-pci", NULL));
    first = kernel_open(kernel, "/dev/vfio/devices/vfio1");
    second = kernel_open(kernel, "/dev/vfio/devices/vfio2");
    assert_int_equal(cdev_bind(kernel, first, kernel->iommu, NULL), 0);
    assert_int_equal(cdev_bind(kernel, second, kernel->iommu, NULL), 0);
    pt_id = old;
    assert_int_equal(cdev_attach(kernel, first, &pt_id), 0);
    assert_int_equal(cdev_attach(kernel, second, &old), 0);
    assert_int_equal(cdev_attach(kernel, first, &elsewhere), -EADDRINUSE);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), 0);
    assert_int_equal(cdev_attach(kernel, first, &pt_id), 0);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
}

static void moving_a_group_reserves_nothing_for_unattached_devices(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    uint32_t pt_id = kernel->ioas;
    int first;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *address = g_strdup_printf("0000:00:05.%u", i);

        assert_true(pm_fake_kernel_add_device(kernel->pm, 2, address, "vfio-pci", NULL));
    }
    first = kernel_open(kernel, "/dev/vfio/devices/vfio1");
    assert_int_equal(cdev_bind(kernel, first, kernel->iommu, NULL), 0);
    assert_int_equal(
        cdev_bind(kernel, kernel_open(kernel, "/dev/vfio/devices/vfio2"), kernel->iommu, NULL), 0);
    assert_int_equal(cdev_attach(kernel, first, &pt_id), 0);
    kernel->ioas = iommufd_new_ioas(kernel);
    pt_id = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, first, &pt_id), 0);
    assert_int_equal(cdev_detach(kernel, first), 0);
    assert_int_equal(iommufd_map(kernel, 0xfee00000, kernel->memory, PAGE), 0);
}

static void attach_failing_in_the_second_gap_unreserves_the_first(void **state)
{
    static const PmIovaRange configured[] = {
        {0, 0x1ffff}, {0x30000, 0x3ffff}, {0x50000, UINT64_MAX}};
    PmFakeConfig config = iommufd_fake_config();
    g_autoptr(Kernel) kernel = NULL;
    uint32_t pt_id;

    (void)state;
    config.iova_ranges = configured;
    config.n_iova_ranges = G_N_ELEMENTS(configured);
    kernel = iommufd_new_fake(&config);
    pt_id = kernel->ioas;
    assert_int_equal(iommufd_map(kernel, 0x40000, kernel->memory, PAGE), 0);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), -EADDRINUSE);
    assert_int_equal(iommufd_map(kernel, 0x20000, kernel->memory, PAGE), 0);
}

static void attach_is_undone_if_the_response_faults(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    struct vfio_device_attach_iommufd_pt *attach =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    *attach = (struct vfio_device_attach_iommufd_pt){
        .argsz = sizeof(*attach),
        .pt_id = kernel->ioas,
    };
    assert_int_equal(mprotect(attach, PAGE, PROT_READ), 0);
    assert_int_equal(kernel_ioctl(kernel, kernel->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach),
                     -EFAULT);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
    munmap(attach, PAGE);
}

static void attach_fails_if_iommu_pages_are_larger_than_4k(void **state)
{
    PmFakeConfig config = iommufd_fake_config();
    g_autoptr(Kernel) kernel = NULL;
    uint32_t pt_id;

    (void)state;
    config.page_sizes = 0x40200000;
    kernel = iommufd_new_fake(&config);
    pt_id = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), -EINVAL);
    assert_int_equal(iommufd_destroy(kernel, kernel->ioas), 0);
}

static void valid_addresses_are_the_configured_ones(void **state)
{
    static const PmIovaRange configured[] = {
        {0x10000, 0x1ffff}, {0x20000, 0x2ffff}, {0x50000, UINT64_MAX}};
    PmFakeConfig config = iommufd_fake_config();
    g_autoptr(Kernel) kernel = NULL;
    struct iommu_iova_range ranges[3];
    struct iommu_ioas_iova_ranges request = {
        .size = sizeof(request),
        .num_iovas = G_N_ELEMENTS(ranges),
        .allowed_iovas = (uintptr_t)ranges,
    };

    (void)state;
    config.iova_ranges = configured;
    config.n_iova_ranges = G_N_ELEMENTS(configured);
    kernel = iommufd_new_fake_attached(&config);
    request.ioas_id = kernel->ioas;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_IOVA_RANGES, &request), 0);
    assert_int_equal(request.num_iovas, 2); /* the first two are adjacent */
    assert_int_equal(ranges[0].start, 0x10000);
    assert_int_equal(ranges[0].last, 0x2ffff);
    assert_int_equal(ranges[1].start, 0x50000);
    assert_int_equal(ranges[1].last, UINT64_MAX);
}

static void fault_queues_are_empty(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    struct iommu_fault_alloc alloc = {.size = sizeof(alloc)};
    char fault[40];
    const char response[8] = {0};
    int fd;

    (void)state;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_FAULT_QUEUE_ALLOC, &alloc), 0);
    fd = (int)alloc.out_fault_fd;
    assert_int_equal(alloc.out_fault_id, 3);
    assert_int_equal(kernel->pm->ops->pread(kernel->pm, fd, fault, 40, 0), 0);
    assert_int_equal(kernel->pm->ops->pread(kernel->pm, fd, fault, 39, 0), -ESPIPE);
    assert_int_equal(kernel->pm->ops->pwrite(kernel->pm, fd, response, 8, 0), -EINVAL);
    assert_int_equal(iommufd_destroy(kernel, 3), -EBUSY);
    assert_int_equal(kernel_close(kernel, fd), 0);
    assert_int_equal(iommufd_destroy(kernel, 3), 0);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_FAULT_QUEUE_ALLOC, &alloc), 0);
    assert_int_equal(kernel_close(kernel, kernel->iommu), 0);
    assert_int_equal(kernel_close(kernel, kernel->device), 0);
    assert_int_equal(pm_fake_kernel_get_n_open(kernel->pm), 1);
}

static void hwpt_invalidate_fails(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    struct iommu_hwpt_invalidate invalidate = {
        .size = sizeof(invalidate),
        .hwpt_id = kernel->ioas,
        .entry_num = 1,
    };

    (void)state;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_HWPT_INVALIDATE, &invalidate), -EINVAL);
    assert_int_equal(invalidate.entry_num, 0);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_HWPT_INVALIDATE, &invalidate), -ENOENT);
    invalidate.__reserved = 1;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_HWPT_INVALIDATE, &invalidate), -EOPNOTSUPP);
}

static void an_allocated_hwpt_outlives_its_devices(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    struct iommu_hwpt_alloc alloc = {
        .size = sizeof(alloc),
        .dev_id = kernel->device_id,
        .pt_id = kernel->ioas,
    };
    uint32_t pt_id;

    (void)state;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_HWPT_ALLOC, &alloc), 0);
    pt_id = alloc.out_hwpt_id;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
    assert_int_equal(pt_id, alloc.out_hwpt_id);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), PAGE);
    assert_int_equal(iommufd_destroy(kernel, alloc.out_hwpt_id), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), 0);
}

/* Held pages (PM_FAKE_PIN_HOLD), as in the conformance tests, would hide a remaining entry. */
static void unmap_clears_every_page_table(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    struct iommu_hwpt_alloc alloc = {
        .size = sizeof(alloc),
        .dev_id = kernel->device_id,
        .pt_id = kernel->ioas,
    };

    (void)state;
    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_HWPT_ALLOC, &alloc), 0);
    assert_int_equal(iommufd_unmap(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(cdev_attach(kernel, kernel->device, &alloc.out_hwpt_id), 0);
    assert_int_equal(device_peek_word(kernel, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iommufd_is_absent_unless_configured),
        cmocka_unit_test(linux_6_1_with_iommufd_is_rejected),
        cmocka_unit_test(cdevs_are_numbered_in_order_of_adding),
        cmocka_unit_test(group_with_a_bound_device_is_in_use),
        cmocka_unit_test(bind_fails_while_the_group_is_open),
        cmocka_unit_test(a_planned_fault_fails_map),
        cmocka_unit_test(a_planned_fault_fails_unmap),
        cmocka_unit_test(a_shortened_unmap_removes_the_first_half),
        cmocka_unit_test(all_map_and_unmap_requests_are_counted),
        cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(foreach_mapping_lists_areas_of_an_attached_device),
        cmocka_unit_test(areas_may_change_during_foreach),
        cmocka_unit_test(next_translated_reports_the_page_table),
        cmocka_unit_test(dma_uses_the_page_table),
        cmocka_unit_test(a_bound_device_keeps_the_iommufd_alive),
        cmocka_unit_test(freeing_the_kernel_closes_open_files),
        cmocka_unit_test(objects_get_the_lowest_free_id),
        cmocka_unit_test(destroy_of_objects_in_use_fails),
        cmocka_unit_test(devices_of_a_group_share_a_page_table),
        cmocka_unit_test(bind_to_a_second_iommufd_of_the_group_fails),
        cmocka_unit_test(failed_replace_keeps_the_group_attached),
        cmocka_unit_test(moving_a_group_reserves_nothing_for_unattached_devices),
        cmocka_unit_test(attach_failing_in_the_second_gap_unreserves_the_first),
        cmocka_unit_test(attach_is_undone_if_the_response_faults),
        cmocka_unit_test(attach_fails_if_iommu_pages_are_larger_than_4k),
        cmocka_unit_test(valid_addresses_are_the_configured_ones),
        cmocka_unit_test(fault_queues_are_empty),
        cmocka_unit_test(hwpt_invalidate_fails),
        cmocka_unit_test(an_allocated_hwpt_outlives_its_devices),
        cmocka_unit_test(unmap_clears_every_page_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
