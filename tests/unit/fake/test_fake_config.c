/* SPDX-License-Identifier: MIT */
/* Fake kernel configurations that the kernels of tests/conformance do not have. */

#include "util/kernel_util.h"

/* struct vfio_iommu_type1_dirty_bitmap with its data. */
typedef struct {
    uint32_t argsz;
    uint32_t flags;
    struct vfio_iommu_type1_dirty_bitmap_get get;
} Get;

static int start_logging(Kernel *fake)
{
    struct vfio_iommu_type1_dirty_bitmap request = {.argsz = sizeof(request),
                                                    .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START};

    return kernel_ioctl(fake, fake->container, VFIO_IOMMU_DIRTY_PAGES, &request);
}

static void type1_aligns_to_the_smallest_iommu_page(void **state)
{
    PmFakeConfig config;
    g_autoptr(Kernel) fake = NULL;
    char *aligned;

    (void)state;
    pm_fake_config_init(&config);
    config.page_sizes = 0x40210000;
    fake = kernel_new_fake_type1(&config, VFIO_TYPE1v2_IOMMU);
    aligned = (char *)(((uintptr_t)fake->memory + 0xffff) & ~(uintptr_t)0xffff);
    assert_int_equal(kernel_map(fake, 0, aligned, PAGE), -EINVAL);
    assert_int_equal(kernel_map(fake, PAGE, aligned, 0x10000), -EINVAL);
    assert_int_equal(kernel_map(fake, 0, aligned, 0x10000), 0);
}

static void map_of_the_last_page_below_2_to_the_64_fails(void **state)
{
    static const PmIovaRange all = {0, UINT64_MAX};
    PmFakeConfig config;
    g_autoptr(Kernel) fake = NULL;

    (void)state;
    pm_fake_config_init(&config);
    config.iova_ranges = &all;
    config.n_iova_ranges = 1;
    fake = kernel_new_fake_type1(&config, VFIO_TYPE1v2_IOMMU);
    assert_int_equal(kernel_map(fake, -PAGE - PAGE, fake->memory, PAGE), 0);
    assert_int_equal(kernel_map(fake, -PAGE, fake->memory, PAGE), -EINVAL);
    assert_int_equal(kernel_map(fake, -PAGE - PAGE, fake->memory, 2 * PAGE), -EINVAL);
    assert_int_equal(kernel_n_inspected(fake), 1);
}

static void accounting_does_not_touch_memory(void **state)
{
    g_autoptr(Kernel) fake = kernel_new_fake_type1(NULL, VFIO_TYPE1v2_IOMMU);
    unsigned char resident[8];

    (void)state;
    assert_int_equal(kernel_map(fake, 0, fake->memory, 8 * PAGE), 0);
    assert_int_equal(mincore(fake->memory, sizeof(resident) * PAGE, resident), 0);
    for (unsigned i = 0; i < sizeof(resident); i++)
        assert_int_equal(resident[i] & 1, 0);
}

static void ranges_and_page_sizes_are_as_configured(void **state)
{
    static const PmIovaRange ranges[] = {{0x1000, 0xffff}, {0x20000, 0x2ffff}, {0x40000, 0x7ffff}};
    PmFakeConfig config;
    g_autoptr(Kernel) fake = NULL;
    union {
        struct vfio_iommu_type1_info info;
        uint8_t bytes[256];
    } response = {.info = {.argsz = sizeof(response)}};
    struct vfio_iommu_type1_info_cap_iova_range capability;

    (void)state;
    pm_fake_config_init(&config);
    config.iova_ranges = ranges;
    config.n_iova_ranges = 3;
    config.page_sizes = 0x1000;
    fake = kernel_new_fake_type1(&config, VFIO_TYPE1v2_IOMMU);
    assert_int_equal(kernel_ioctl(fake, fake->container, VFIO_IOMMU_GET_INFO, &response), 0);
    assert_int_equal(response.info.iova_pgsizes, 0x1000);
    memcpy(&capability, response.bytes + 72, sizeof(capability));
    assert_int_equal(capability.nr_iovas, 3);
    assert_memory_equal(response.bytes + 72 + sizeof(capability), ranges, sizeof(ranges));
    assert_int_equal(kernel_map(fake, 0, fake->memory, PAGE), -EINVAL);
    assert_int_equal(kernel_map(fake, 0x1000, fake->memory, PAGE), 0);
}

static void invalid_configurations_are_rejected(void **state)
{
    static const PmIovaRange backwards[] = {{0x2000, 0x1fff}};
    static const PmIovaRange touching[] = {{0, 0xfff}, {0xfff, 0x1fff}};
    PmFakeConfig config;

    (void)state;
    pm_fake_config_init(&config);
    config.page_sizes = 0x800;
    assert_null(pm_fake_kernel_new(&config, NULL));
    pm_fake_config_init(&config);
    config.n_iova_ranges = 0;
    assert_null(pm_fake_kernel_new(&config, NULL));
    config.n_iova_ranges = 1;
    config.iova_ranges = backwards;
    assert_null(pm_fake_kernel_new(&config, NULL));
    config.n_iova_ranges = 2;
    config.iova_ranges = touching;
    assert_null(pm_fake_kernel_new(&config, NULL));
}

static void dirty_bits_use_the_smallest_page_size(void **state)
{
    const uint64_t big_page = 16 * PAGE;
    PmFakeConfig config;
    g_autoptr(Kernel) fake = NULL;
    const char *aligned;
    uint64_t bitmap = 0;
    Get get = {
        .argsz = sizeof(get),
        .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
        .get = {.size = 256 * PAGE,
                .bitmap = {.pgsize = PAGE, .size = sizeof(bitmap), .data = &bitmap}},
    };

    (void)state;
    pm_fake_config_init(&config);
    config.page_sizes = big_page;
    fake = kernel_new_fake_type1(&config, VFIO_TYPE1v2_IOMMU);
    aligned = fake->memory + (big_page - (uintptr_t)fake->memory % big_page) % big_page;
    assert_int_equal(start_logging(fake), 0);
    assert_int_equal(kernel_map(fake, 2 * big_page, aligned, 3 * big_page), 0);
    assert_int_equal(kernel_ioctl(fake, fake->container, VFIO_IOMMU_DIRTY_PAGES, &get), -EINVAL);
    get.get.bitmap.pgsize = big_page;
    assert_int_equal(kernel_ioctl(fake, fake->container, VFIO_IOMMU_DIRTY_PAGES, &get), 0);
    assert_int_equal(bitmap, 0x1c);
}

static void dirty_logging_rejects_mappings_of_2_to_the_31_pages(void **state)
{
    static const PmIovaRange range = {0, (UINT64_C(1) << 47) - 1};
    const uint64_t size = UINT64_C(1) << 43; /* 2^31 pages, one more than a bitmap supports */
    PmFakeConfig config;
    g_autoptr(Kernel) fake = NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)state;
    if (memory == MAP_FAILED) {
        print_message("no address space for a mapping of 8 TiB: run it without valgrind\n");
        skip();
    }
    pm_fake_config_init(&config);
    config.iova_ranges = &range;
    config.n_iova_ranges = 1;
    fake = kernel_new_fake_type1(&config, VFIO_TYPE1v2_IOMMU);
    assert_int_equal(kernel_map(fake, 0, memory, size), 0);
    assert_int_equal(start_logging(fake), -EINVAL);
    assert_int_equal(pm_fake_kernel_get_locked(fake->pm), size);
    assert_int_equal(kernel_unmap(fake, 0, size, NULL), 0);
    assert_int_equal(start_logging(fake), 0);
    assert_int_equal(kernel_map(fake, 0, memory, size), -EINVAL);
    assert_int_equal(pm_fake_kernel_get_locked(fake->pm), 0);
    assert_int_equal(kernel_available(fake), 65535);
    assert_int_equal(kernel_map(fake, 0, memory, size - PAGE), 0);
    assert_int_equal(munmap(memory, size), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(type1_aligns_to_the_smallest_iommu_page),
        cmocka_unit_test(map_of_the_last_page_below_2_to_the_64_fails),
        cmocka_unit_test(accounting_does_not_touch_memory),
        cmocka_unit_test(ranges_and_page_sizes_are_as_configured),
        cmocka_unit_test(invalid_configurations_are_rejected),
        cmocka_unit_test(dirty_bits_use_the_smallest_page_size),
        cmocka_unit_test(dirty_logging_rejects_mappings_of_2_to_the_31_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
