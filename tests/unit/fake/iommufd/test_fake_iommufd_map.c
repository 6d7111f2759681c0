/* SPDX-License-Identifier: MIT */
/* The IOAS of the fake's iommufd: where areas may be, and the order of checks. */

#include "util/iommufd_util.h"

/* --- structs --- */

static void struct_sizes_are_checked(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    struct {
        struct iommu_ioas_alloc alloc;
        uint32_t more[300];
    } longer = {.alloc = {.size = sizeof(longer)}};

    (void)state;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, &longer), 0);
    longer.more[299] = 1;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, &longer), -E2BIG);
    longer.alloc.size = 11;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, &longer), -EINVAL);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, NULL), -EFAULT);
    assert_int_equal(iommufd_ioctl(kernel, 0x1200 | (IOMMU_IOAS_ALLOC & 0xff), &longer), -ENOTTY);
    assert_int_equal(iommufd_ioctl(kernel, 0x3bff, NULL), -ENOTTY);
}

static void alloc_frees_the_id_if_the_response_faults(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    struct iommu_ioas_alloc *alloc =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    alloc->size = sizeof(*alloc);
    assert_int_equal(mprotect(alloc, PAGE, PROT_READ), 0);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOC, alloc), -EFAULT);
    assert_int_equal(iommufd_new_ioas(kernel), 3);
    munmap(alloc, PAGE);
}

static void mapping_stays_if_the_response_faults(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    struct iommu_ioas_map *map =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    *map = (struct iommu_ioas_map){
        .size = sizeof(*map),
        .flags = IOAS_FIXED,
        .ioas_id = kernel->ioas,
        .user_va = (uintptr_t)kernel->memory,
        .length = PAGE,
    };
    assert_int_equal(mprotect(map, PAGE, PROT_READ), 0);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP, map), -EFAULT);
    assert_int_equal(kernel_n_inspected(kernel), 1);
    munmap(map, PAGE);
}

/* --- mapping --- */

static int map_with(Kernel *kernel, uint32_t flags, uint64_t iova, const char *host,
                    uint64_t length)
{
    struct iommu_ioas_map map = {
        .size = sizeof(map),
        .flags = flags,
        .ioas_id = kernel->ioas,
        .user_va = (uintptr_t)host,
        .length = length,
        .iova = iova,
    };

    return iommufd_ioctl(kernel, IOMMU_IOAS_MAP, &map);
}

static void map_checks_arguments_in_order(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    char *memory = kernel->memory;

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, memory, PAGE), 0);
    assert_int_equal(map_with(kernel, 8 | IOAS_FIXED, UINT64_MAX, memory, 0), -EOPNOTSUPP);
    assert_int_equal(map_with(kernel, IOMMU_IOAS_MAP_FIXED_IOVA, UINT64_MAX, memory, 0),
                     -EOVERFLOW);
    assert_int_equal(map_with(kernel, IOMMU_IOAS_MAP_FIXED_IOVA, 0, memory, 0), -EINVAL);
    assert_int_equal(map_with(kernel, IOAS_FIXED, 0, memory, 0), -EINVAL);
    assert_int_equal(map_with(kernel, IOAS_FIXED, 0, memory, UINT64_MAX - 4095), -EINVAL);
    assert_int_equal(map_with(kernel, IOAS_FIXED, 0, (char *)-PAGE, PAGE), -EOVERFLOW);
    assert_int_equal(map_with(kernel, IOAS_FIXED, 1, memory, PAGE + 1), -EINVAL);
    assert_int_equal(map_with(kernel, IOAS_FIXED, -PAGE, memory, 2 * PAGE), -EOVERFLOW);
    assert_int_equal(map_with(kernel, IOAS_FIXED, 0xfee00000, memory + 1, PAGE), -EINVAL);
    assert_int_equal(map_with(kernel, IOAS_FIXED, 0, memory + 1, PAGE), -EEXIST);
    assert_int_equal(map_with(kernel, IOAS_FIXED, PAGE, memory + 1, PAGE), -EINVAL);
    assert_int_equal(map_with(kernel, IOAS_FIXED, PAGE, NULL, PAGE), -EFAULT);
    kernel->ioas = 77;
    assert_int_equal(map_with(kernel, IOAS_FIXED, 0, memory, 0), -ENOENT);
}

static void map_without_a_device_accepts_any_range(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    uint32_t pt_id = kernel->ioas;

    (void)state;
    assert_int_equal(map_with(kernel, IOAS_FIXED, 0xfee00003, (char *)0x1235, 7), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), 0);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), -EADDRINUSE);
    assert_int_equal(iommufd_unmap(kernel, 0xfee00003, 7, NULL), 0);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
}

static void attaching_fails_where_the_areas_do_not_fit(void **state)
{
    static const struct {
        uint64_t iova;
        uint64_t host; /* 0: memory */
        uint64_t length;
        int result;
    } cases[] = {
        {0xfee00000, 0, PAGE, -EADDRINUSE},             /* reserved addresses */
        {UINT64_C(0x8000000000), 0, PAGE, -EADDRINUSE}, /* outside the aperture */
        {1, 0, PAGE, -EADDRINUSE},                      /* misaligned */
        {0, 0, PAGE + 1, -EADDRINUSE},
        {0, 4096, PAGE, -EFAULT}, /* memory that is not mapped */
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
        uint32_t pt_id = kernel->ioas;
        const char *host = cases[i].host != 0 ? (char *)(uintptr_t)cases[i].host : kernel->memory;

        assert_int_equal(map_with(kernel, IOAS_FIXED, 8 * PAGE, kernel->memory, PAGE), 0);
        assert_int_equal(map_with(kernel, IOAS_FIXED, cases[i].iova, host, cases[i].length), 0);
        assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), cases[i].result);
        assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), 0);
        assert_int_equal(iommufd_unmap(kernel, cases[i].iova, cases[i].length, NULL), 0);
        assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
        assert_int_equal(pm_fake_kernel_get_pinned(kernel->pm), PAGE);
    }
}

/* --- unmapping --- */

static void unmap_stops_at_an_area_partly_in_the_range(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, PAGE, kernel->memory, 2 * PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, 0, 2 * PAGE, &n_bytes), -ENOENT);
    assert_int_equal(n_bytes, 2 * PAGE); /* not updated */
    assert_int_equal(kernel_n_inspected(kernel), 1);
    assert_int_equal(iommufd_unmap(kernel, 2 * PAGE, PAGE, &n_bytes), -ENOENT);
    assert_int_equal(iommufd_unmap(kernel, PAGE, 16 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 2 * PAGE);
    assert_int_equal(iommufd_unmap(kernel, 0, PAGE, NULL), -ENOENT);
}

static void unmap_of_everything_succeeds_without_areas(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, 8 * PAGE, kernel->memory, 2 * PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, 0, UINT64_MAX, &n_bytes), 0);
    assert_int_equal(n_bytes, 3 * PAGE);
    assert_int_equal(iommufd_unmap(kernel, 0, UINT64_MAX, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
    assert_int_equal(iommufd_unmap(kernel, 1, UINT64_MAX, NULL), -EOVERFLOW);
    assert_int_equal(iommufd_unmap(kernel, 3, UINT64_MAX - 1, NULL), -EOVERFLOW);
    assert_int_equal(iommufd_unmap(kernel, 0, 0, NULL), -EINVAL);
}

/* --- automatic placement --- */

static int place(Kernel *kernel, const char *host, uint64_t length, uint64_t *iova)
{
    struct iommu_ioas_map map = {
        .size = sizeof(map),
        .flags = IOAS_READ_WRITE,
        .ioas_id = kernel->ioas,
        .user_va = (uintptr_t)host,
        .length = length,
    };
    int result = iommufd_ioctl(kernel, IOMMU_IOAS_MAP, &map);

    *iova = map.iova;
    return result;
}

static void placement_aligns_areas_as_the_memory(void **state)
{
    static const struct {
        uint64_t host;
        uint64_t length;
        uint64_t iova;
    } cases[] = {
        {0x10000000, PAGE, 0x1000},     {0x10000000, PAGE, 0x2000},
        {0x10000003, PAGE, 0x3003},     {0x10000000, 2 << 20, 0x200000},
        {0, 2 * PAGE, 0x6000},          {0x10000000, 4 << 20, 0x400000},
        {0x10001000, 2 * PAGE, 0x8000}, {0x10000000, PAGE, 0x5000},
    };
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    uint64_t iova;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_int_equal(place(kernel, (char *)(uintptr_t)cases[i].host, cases[i].length, &iova),
                         0);
        assert_int_equal(iova, cases[i].iova);
    }
}

static void placement_respects_allowed_ranges(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    struct iommu_iova_range ranges[] = {{0x10000, 0x10fff}, {0x20000, 0x2ffff}};
    struct iommu_ioas_allow_iovas allow = {
        .size = sizeof(allow),
        .ioas_id = kernel->ioas,
        .num_iovas = G_N_ELEMENTS(ranges),
        .allowed_iovas = (uintptr_t)ranges,
    };
    uint64_t iova;

    (void)state;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &allow), 0);
    assert_int_equal(place(kernel, kernel->memory, PAGE, &iova), 0);
    assert_int_equal(iova, 0x10000);
    assert_int_equal(place(kernel, kernel->memory, PAGE, &iova), 0);
    assert_int_equal(iova, 0x20000);
    assert_int_equal(place(kernel, kernel->memory, 17 * PAGE, &iova), -ENOSPC);
    assert_int_equal(place(kernel, kernel->memory + 1, PAGE, &iova), -EINVAL);
    assert_int_equal(iommufd_map(kernel, 0x50000, kernel->memory, PAGE), 0);
    ranges[1].start = 0x10fff;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &allow), -EINVAL);
    ranges[1] = (struct iommu_iova_range){0xfee00000, 0xfeefffff};
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &allow), -EADDRINUSE);
    allow.num_iovas = 0;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_ALLOW_IOVAS, &allow), 0);
    assert_int_equal(place(kernel, kernel->memory, PAGE, &iova), 0);
    assert_int_equal(iova, 0x1000);
}

static int get_ranges(Kernel *kernel, struct iommu_iova_range *ranges, uint32_t *n_ranges,
                      uint64_t *alignment)
{
    struct iommu_ioas_iova_ranges request = {
        .size = sizeof(request),
        .ioas_id = kernel->ioas,
        .num_iovas = *n_ranges,
        .allowed_iovas = (uintptr_t)ranges,
    };
    int result = iommufd_ioctl(kernel, IOMMU_IOAS_IOVA_RANGES, &request);

    *n_ranges = request.num_iovas;
    *alignment = request.out_iova_alignment;
    return result;
}

static void ranges_are_the_attached_devices(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake(NULL);
    struct iommu_iova_range ranges[4];
    uint32_t n_ranges = 4;
    uint64_t alignment;
    uint32_t pt_id = kernel->ioas;

    (void)state;
    assert_int_equal(get_ranges(kernel, ranges, &n_ranges, &alignment), 0);
    assert_int_equal(n_ranges, 1);
    assert_int_equal(ranges[0].start, 0);
    assert_int_equal(ranges[0].last, UINT64_MAX);
    assert_int_equal(alignment, 1);
    assert_int_equal(cdev_attach(kernel, kernel->device, &pt_id), 0);
    n_ranges = 1;
    assert_int_equal(get_ranges(kernel, ranges, &n_ranges, &alignment), -EMSGSIZE);
    assert_int_equal(n_ranges, 2);
    assert_int_equal(get_ranges(kernel, ranges, &n_ranges, &alignment), 0);
    assert_int_equal(ranges[0].last, 0xfedfffff);
    assert_int_equal(ranges[1].start, 0xfef00000);
    assert_int_equal(ranges[1].last, UINT64_C(0x7fffffffff));
    assert_int_equal(alignment, PAGE);
    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    n_ranges = 4;
    assert_int_equal(get_ranges(kernel, ranges, &n_ranges, &alignment), 0);
    assert_int_equal(n_ranges, 1);
    assert_int_equal(alignment, 1);
}

static void small_pages_can_be_set_while_no_areas_are_in_page_tables(void **state)
{
    g_autoptr(Kernel) kernel = iommufd_new_fake_attached(NULL);
    struct iommu_option option = {
        .size = sizeof(option),
        .option_id = IOMMU_OPTION_HUGE_PAGES,
        .op = IOMMU_OPTION_OP_SET,
        .object_id = kernel->ioas,
    };

    (void)state;
    assert_int_equal(iommufd_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_OPTION, &option), -EINVAL);
    assert_int_equal(iommufd_unmap(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_OPTION, &option), 0);
    option.op = IOMMU_OPTION_OP_GET;
    option.val64 = 7;
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_OPTION, &option), 0);
    assert_int_equal(option.val64, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(struct_sizes_are_checked),
        cmocka_unit_test(alloc_frees_the_id_if_the_response_faults),
        cmocka_unit_test(mapping_stays_if_the_response_faults),
        cmocka_unit_test(map_checks_arguments_in_order),
        cmocka_unit_test(map_without_a_device_accepts_any_range),
        cmocka_unit_test(attaching_fails_where_the_areas_do_not_fit),
        cmocka_unit_test(unmap_stops_at_an_area_partly_in_the_range),
        cmocka_unit_test(unmap_of_everything_succeeds_without_areas),
        cmocka_unit_test(placement_aligns_areas_as_the_memory),
        cmocka_unit_test(placement_respects_allowed_ranges),
        cmocka_unit_test(ranges_are_the_attached_devices),
        cmocka_unit_test(small_pages_can_be_set_while_no_areas_are_in_page_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
