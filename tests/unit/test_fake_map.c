/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_MAP_DMA on the fake kernel: every errno, and the order of the checks. */
#include "fake_util.h"

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static Fake *new_v2(void)
{
    return fake_with_iommu(NULL, VFIO_TYPE1v2_IOMMU);
}

/* Refused, and nothing is different. */
static void assert_refused(Fake *fake, int result, int error_number)
{
    assert_int_equal(result, -error_number);
    assert_int_equal(fake_n_mappings(fake), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 0);
    assert_int_equal(fake_available(fake), 65535);
}

static void a_mapping_is_counted_and_charged(void **state)
{
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
    assert_int_equal(fake_n_mappings(fake), 1);
    assert_int_equal(fake_available(fake), 65534);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 4 * PAGE);
}

static void a_struct_that_cannot_be_read_is_efault(void **state)
{
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_MAP_DMA, NULL), -EFAULT);
    assert_int_equal(fake_ioctl_number(fake, fake->container, VFIO_IOMMU_MAP_DMA, 0x1000), -EFAULT);
    /* The second half of the struct is in a page that is not there. */
    munmap(fake->memory + PAGE, PAGE);
    assert_int_equal(
        fake_ioctl(fake, fake->container, VFIO_IOMMU_MAP_DMA, fake->memory + PAGE - 16), -EFAULT);
}

static void argsz_has_a_least_and_no_most(void **state)
{
    g_autoptr(Fake) fake = new_v2();
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof(map) - 1,
        .flags = RW,
        .vaddr = (uintptr_t)fake->memory,
        .size = PAGE,
    };

    (void)state;
    assert_refused(fake, fake_ioctl(fake, fake->container, VFIO_IOMMU_MAP_DMA, &map), EINVAL);
    map.argsz = 1000;
    assert_int_equal(fake_ioctl(fake, fake->container, VFIO_IOMMU_MAP_DMA, &map), 0);
}

static void bad_flags_are_einval(void **state)
{
    static const uint32_t flags[] = {0, 8, RW | 8, RW | 4, VFIO_DMA_MAP_FLAG_READ | 4, 1U << 31};
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
        assert_refused(fake, fake_map_flags(fake, flags[i], 0, fake->memory, PAGE), EINVAL);
}

static void sizes_and_addresses_off_the_page_are_einval(void **state)
{
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    assert_refused(fake, fake_map(fake, 0, fake->memory, 0), EINVAL);
    assert_refused(fake, fake_map(fake, 0, fake->memory, PAGE + 1), EINVAL);
    assert_refused(fake, fake_map(fake, 1, fake->memory, PAGE), EINVAL);
    assert_refused(fake, fake_map(fake, 0, fake->memory + 1, PAGE), EINVAL);
    assert_refused(fake, fake_map(fake, 0x800, fake->memory, PAGE), EINVAL);
}

static void the_unit_is_the_smallest_page_of_the_iommu(void **state)
{
    PmFakeConfig config;
    g_autoptr(Fake) fake = NULL;
    char *aligned;

    (void)state;
    pm_fake_config_init(&config);
    config.page_sizes = 0x40210000;
    fake = fake_with_iommu(&config, VFIO_TYPE1v2_IOMMU);
    aligned = (char *)(((uintptr_t)fake->memory + 0xffff) & ~(uintptr_t)0xffff);
    assert_refused(fake, fake_map(fake, 0, aligned, PAGE), EINVAL);
    assert_refused(fake, fake_map(fake, PAGE, aligned, 0x10000), EINVAL);
    assert_int_equal(fake_map(fake, 0, aligned, 0x10000), 0);
}

static void ranges_that_wrap_are_einval(void **state)
{
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    assert_refused(fake, fake_map(fake, -(2 * PAGE), fake->memory, 3 * PAGE), EINVAL);
    assert_refused(fake, fake_map(fake, 0, (void *)(uintptr_t)(-(2 * PAGE)), 3 * PAGE), EINVAL);
    /* Ending at exactly 2^64 does not wrap; it is out of the ranges. */
    assert_refused(fake, fake_map(fake, -(2 * PAGE), fake->memory, 2 * PAGE), EINVAL);
}

static void a_range_up_to_2_64_over_mappings_is_einval_and_not_eexist(void **state)
{
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    assert_int_equal(fake_map(fake, 0x7000000000, fake->memory, PAGE), 0);
    assert_int_equal(fake_map(fake, 0x6fffff0000, fake->memory, -UINT64_C(0x6fffff0000)), -EINVAL);
    assert_int_equal(fake_n_mappings(fake), 1);
}

static void reserved_addresses_are_einval(void **state)
{
    static const struct {
        uint64_t iova;
        uint64_t n_pages;
    } refused[] = {
        {0xfee00000, 1},   {0xfedff000, 2},   {0xfeeff000, 2},
        {0x8000000000, 1}, {0x7ffffff000, 2}, {0xfed80000, 256},
    };
    static const uint64_t taken[] = {0, 0xfedff000, 0xfef00000, 0x7ffffff000};
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        assert_refused(
            fake, fake_map(fake, refused[i].iova, fake->memory, refused[i].n_pages * PAGE), EINVAL);
    for (size_t i = 0; i < G_N_ELEMENTS(taken); i++)
        assert_int_equal(fake_map(fake, taken[i], fake->memory, PAGE), 0);
}

static void overlaps_are_eexist_even_with_bad_memory(void **state)
{
    static const struct {
        uint64_t iova;
        uint64_t n_pages;
    } overlapping[] = {{0x10000, 4}, {0x11000, 2}, {0xf000, 2}, {0x13000, 4}, {0xe000, 16}};
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    assert_int_equal(fake_map(fake, 0x10000, fake->memory, 4 * PAGE), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(overlapping); i++) {
        assert_int_equal(
            fake_map(fake, overlapping[i].iova, fake->memory, overlapping[i].n_pages * PAGE),
            -EEXIST);
        assert_int_equal(fake_map(fake, overlapping[i].iova, NULL, overlapping[i].n_pages * PAGE),
                         -EEXIST);
    }
    assert_int_equal(fake_n_mappings(fake), 1);
    assert_int_equal(fake_map(fake, 0xf000, fake->memory, PAGE), 0);
    assert_int_equal(fake_map(fake, 0x14000, fake->memory, PAGE), 0);
}

static void memory_that_cannot_be_pinned_is_efault_and_leaves_the_place_free(void **state)
{
    g_autoptr(Fake) fake = new_v2();
    char *memory = fake->memory;

    (void)state;
    mprotect(memory + 1 * PAGE, PAGE, PROT_NONE);
    mprotect(memory + 2 * PAGE, PAGE, PROT_READ);
    mprotect(memory + 3 * PAGE, PAGE, PROT_EXEC);
    munmap(memory + 4 * PAGE, PAGE);
    for (unsigned i = 1; i <= 4; i++)
        assert_refused(fake, fake_map(fake, 0, memory + i * PAGE, PAGE), EFAULT);
    assert_refused(fake, fake_map(fake, 0, NULL, PAGE), EFAULT);
    assert_refused(fake, fake_map(fake, 0, (void *)(uintptr_t)0xffff800000000000, PAGE), EFAULT);
    assert_refused(fake, fake_map(fake, 0, (void *)(uintptr_t)0x800000000000, PAGE), EFAULT);
    assert_refused(fake, fake_map(fake, 0, (void *)(uintptr_t)-PAGE, PAGE), EFAULT);
    /* A hole in the middle. */
    assert_refused(fake, fake_map(fake, 0, memory + 5 * PAGE - 2 * PAGE, 3 * PAGE), EFAULT);
    assert_refused(fake, fake_map_flags(fake, VFIO_DMA_MAP_FLAG_WRITE, 0, memory + 2 * PAGE, PAGE),
                   EFAULT);
    assert_int_equal(fake_map_flags(fake, VFIO_DMA_MAP_FLAG_READ, 0, memory + 2 * PAGE, PAGE), 0);
}

static void the_end_of_a_file_is_found_when_memory_is_populated(void **state)
{
    PmFakeConfig config;
    g_autoptr(Fake) fake = NULL;
    int fd = memfd_create("short", MFD_CLOEXEC);
    void *memory;

    (void)state;
    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_POPULATE;
    fake = fake_with_iommu(&config, VFIO_TYPE1v2_IOMMU);
    assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
    memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_refused(fake, fake_map(fake, 0, memory, 3 * PAGE), EFAULT);
    assert_int_equal(fake_map(fake, 0, memory, 2 * PAGE), 0);
    munmap(memory, 4 * PAGE);
    close(fd);
}

static void the_65536th_mapping_is_enospc(void **state)
{
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    for (uint64_t i = 0; i < 65535; i++)
        assert_int_equal(fake_map(fake, i * PAGE, fake->memory, PAGE), 0);
    assert_int_equal(fake_available(fake), 0);
    assert_int_equal(fake_map(fake, 65535 * PAGE, fake->memory, PAGE), -ENOSPC);
    /* Overlap comes before the limit; the ranges and the memory come behind it. */
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), -EEXIST);
    assert_int_equal(fake_map(fake, 0xfee00000, fake->memory, PAGE), -ENOSPC);
    assert_int_equal(fake_map(fake, 65535 * PAGE, NULL, PAGE), -ENOSPC);
    assert_int_equal(fake_unmap(fake, 7 * PAGE, PAGE, NULL), 0);
    assert_int_equal(fake_map(fake, 65535 * PAGE, fake->memory, PAGE), 0);
    assert_int_equal(fake_map(fake, 7 * PAGE, fake->memory, PAGE), -ENOSPC);
}

static void the_limit_is_read_when_the_iommu_is_set(void **state)
{
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    pm_fake_kernel_set_entry_limit(fake->kernel, 2);
    assert_int_equal(fake_available(fake), 65535);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0);
    assert_int_equal(fake_ioctl(fake, fake->group, VFIO_GROUP_SET_CONTAINER, &fake->container), 0);
    assert_int_equal(fake_ioctl_number(fake, fake->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
                     0);
    assert_int_equal(fake_available(fake), 2);
}

static Fake *with_memlock(uint64_t limit)
{
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.memlock_limit = limit;
    return fake_with_iommu(&config, VFIO_TYPE1v2_IOMMU);
}

static void locked_memory_up_to_the_limit_and_not_a_page_more(void **state)
{
    /* The limit counts whole pages. */
    g_autoptr(Fake) fake = with_memlock(4 * PAGE + 4095);

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 5 * PAGE), -ENOMEM);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 0);
    assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
    assert_int_equal(fake_map(fake, 0x10000, fake->memory, PAGE), -ENOMEM);
    assert_int_equal(fake_available(fake), 65534);
    assert_int_equal(fake_unmap(fake, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(fake_map(fake, 0x10000, fake->memory, PAGE), 0);
}

static void a_page_counts_each_time_it_is_mapped(void **state)
{
    g_autoptr(Fake) fake = with_memlock(3 * PAGE);

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(fake_map(fake, i * PAGE, fake->memory, PAGE), 0);
    assert_int_equal(fake_map(fake, 3 * PAGE, fake->memory, PAGE), -ENOMEM);
}

/* The kernel goes page by page: first whether a page can be pinned, then whether the limit allows
 * it. */
static void a_hole_before_the_limit_is_efault_and_behind_it_enomem(void **state)
{
    static const struct {
        uint64_t hole;
        uint64_t limit;
        int error_number;
    } cases[] = {{3, 4, EFAULT}, {4, 4, EFAULT}, {5, 4, ENOMEM}, {0, 0, EFAULT}, {1, 0, ENOMEM}};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Fake) fake = with_memlock(cases[i].limit * PAGE);

        munmap(fake->memory + cases[i].hole * PAGE, PAGE);
        assert_refused(fake, fake_map(fake, 0, fake->memory, 8 * PAGE), cases[i].error_number);
    }
}

static void cap_ipc_lock_waives_the_test_and_not_the_count(void **state)
{
    g_autoptr(Fake) fake = with_memlock(PAGE);

    (void)state;
    pm_fake_kernel_set_memlock(fake->kernel, PAGE, true);
    assert_int_equal(fake_map(fake, 0, fake->memory, 8 * PAGE), 0);
    assert_int_equal(pm_fake_kernel_get_locked(fake->kernel), 8 * PAGE);
    pm_fake_kernel_set_memlock(fake->kernel, 4 * PAGE, false);
    assert_int_equal(fake_map(fake, 0x10000, fake->memory, PAGE), -ENOMEM);
    assert_int_equal(fake_unmap(fake, 0, 8 * PAGE, NULL), 0);
    assert_int_equal(fake_map(fake, 0x10000, fake->memory, PAGE), 0);
}

static void pinning_populates_only_what_the_limit_allows(void **state)
{
    PmFakeConfig config;
    g_autoptr(Fake) fake = NULL;
    unsigned char resident[8];

    (void)state;
    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_POPULATE;
    config.memlock_limit = 4 * PAGE;
    fake = fake_with_iommu(&config, VFIO_TYPE1v2_IOMMU);
    madvise(fake->memory, MEMORY_SIZE, MADV_NOHUGEPAGE);
    assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
    assert_int_equal(mincore(fake->memory, sizeof(resident) * PAGE, resident), 0);
    for (unsigned i = 0; i < sizeof(resident); i++)
        assert_int_equal(resident[i] & 1, i < 4);
}

static void accounting_alone_touches_no_memory(void **state)
{
    g_autoptr(Fake) fake = new_v2();
    unsigned char resident[8];

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, 8 * PAGE), 0);
    assert_int_equal(mincore(fake->memory, sizeof(resident) * PAGE, resident), 0);
    for (unsigned i = 0; i < sizeof(resident); i++)
        assert_int_equal(resident[i] & 1, 0);
}

static void address_updates_follow_their_rules(void **state)
{
    const uint32_t vaddr = VFIO_DMA_MAP_FLAG_VADDR;
    g_autoptr(Fake) fake = new_v2();
    uint64_t n_bytes;

    (void)state;
    assert_int_equal(fake_map_flags(fake, vaddr, 0, fake->memory, PAGE), -ENOENT);
    assert_int_equal(fake_map(fake, 0, fake->memory, 4 * PAGE), 0);
    assert_int_equal(fake_map_flags(fake, vaddr, 0, fake->memory, 4 * PAGE), -EINVAL);
    assert_int_equal(fake_unmap_flags(fake, VFIO_DMA_UNMAP_FLAG_VADDR, 0, 4 * PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 4 * PAGE);
    assert_int_equal(fake_unmap_flags(fake, VFIO_DMA_UNMAP_FLAG_VADDR, 0, 4 * PAGE, NULL), -EINVAL);
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), -EEXIST);
    assert_int_equal(fake_map_flags(fake, vaddr, 0, fake->memory, 2 * PAGE), -EINVAL);
    assert_int_equal(fake_map_flags(fake, vaddr, PAGE, fake->memory, 3 * PAGE), -EINVAL);
    assert_int_equal(fake_map(fake, 0x10000, fake->memory, PAGE), 0);
    assert_int_equal(fake_map_flags(fake, vaddr, 0, fake->memory + 8 * PAGE, 4 * PAGE), 0);
    assert_int_equal(fake_map_flags(fake, vaddr, 0, fake->memory, 4 * PAGE), -EINVAL);
    assert_int_equal(fake_n_mappings(fake), 2);
}

static void a_refused_address_update_undoes_its_marks(void **state)
{
    const uint32_t vaddr = VFIO_DMA_UNMAP_FLAG_VADDR;
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(fake_map(fake, i * PAGE, fake->memory, PAGE), 0);
    assert_int_equal(fake_unmap_flags(fake, vaddr, 2 * PAGE, PAGE, NULL), 0);
    assert_int_equal(fake_unmap_flags(fake, vaddr, 0, 3 * PAGE, NULL), -EINVAL);
    /* The first two are not marked, so they cannot get an address; the third still can. */
    assert_int_equal(fake_map_flags(fake, VFIO_DMA_MAP_FLAG_VADDR, 0, fake->memory, PAGE), -EINVAL);
    assert_int_equal(fake_map_flags(fake, VFIO_DMA_MAP_FLAG_VADDR, 2 * PAGE, fake->memory, PAGE),
                     0);
}

static bool has_new_address(uint64_t iova, uint64_t size, const void *host, PmIommuAccess access,
                            void *user_data)
{
    const Fake *fake = user_data;

    assert_int_equal(iova, 0);
    assert_int_equal(size, PAGE);
    assert_int_equal(access, PM_IOMMU_READ_WRITE);
    assert_ptr_equal(host, fake->memory + 8 * PAGE);
    return true;
}

static void an_address_that_was_updated_is_the_mappings_own(void **state)
{
    g_autoptr(Fake) fake = new_v2();

    (void)state;
    assert_int_equal(fake_map(fake, 0, fake->memory, PAGE), 0);
    assert_int_equal(fake_unmap_flags(fake, VFIO_DMA_UNMAP_FLAG_VADDR, 0, PAGE, NULL), 0);
    assert_int_equal(
        fake_map_flags(fake, VFIO_DMA_MAP_FLAG_VADDR, 0, fake->memory + 8 * PAGE, PAGE), 0);
    assert_true(pm_fake_kernel_foreach_mapping(fake->kernel, 1, has_new_address, fake));
}

static void the_last_page_of_64_bits_cannot_be_mapped(void **state)
{
    static const PmIovaRange all = {0, UINT64_MAX};
    PmFakeConfig config;
    g_autoptr(Fake) fake = NULL;

    (void)state;
    pm_fake_config_init(&config);
    config.iova_ranges = &all;
    config.n_iova_ranges = 1;
    fake = fake_with_iommu(&config, VFIO_TYPE1v2_IOMMU);
    assert_int_equal(fake_map(fake, -PAGE - PAGE, fake->memory, PAGE), 0);
    assert_int_equal(fake_map(fake, -PAGE, fake->memory, PAGE), -EINVAL);
    assert_int_equal(fake_map(fake, -PAGE - PAGE, fake->memory, 2 * PAGE), -EINVAL);
    assert_int_equal(fake_n_mappings(fake), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapping_is_counted_and_charged),
        cmocka_unit_test(a_struct_that_cannot_be_read_is_efault),
        cmocka_unit_test(argsz_has_a_least_and_no_most),
        cmocka_unit_test(bad_flags_are_einval),
        cmocka_unit_test(sizes_and_addresses_off_the_page_are_einval),
        cmocka_unit_test(the_unit_is_the_smallest_page_of_the_iommu),
        cmocka_unit_test(ranges_that_wrap_are_einval),
        cmocka_unit_test(a_range_up_to_2_64_over_mappings_is_einval_and_not_eexist),
        cmocka_unit_test(reserved_addresses_are_einval),
        cmocka_unit_test(overlaps_are_eexist_even_with_bad_memory),
        cmocka_unit_test(memory_that_cannot_be_pinned_is_efault_and_leaves_the_place_free),
        cmocka_unit_test(the_end_of_a_file_is_found_when_memory_is_populated),
        cmocka_unit_test(the_65536th_mapping_is_enospc),
        cmocka_unit_test(the_limit_is_read_when_the_iommu_is_set),
        cmocka_unit_test(locked_memory_up_to_the_limit_and_not_a_page_more),
        cmocka_unit_test(a_page_counts_each_time_it_is_mapped),
        cmocka_unit_test(a_hole_before_the_limit_is_efault_and_behind_it_enomem),
        cmocka_unit_test(cap_ipc_lock_waives_the_test_and_not_the_count),
        cmocka_unit_test(pinning_populates_only_what_the_limit_allows),
        cmocka_unit_test(accounting_alone_touches_no_memory),
        cmocka_unit_test(address_updates_follow_their_rules),
        cmocka_unit_test(a_refused_address_update_undoes_its_marks),
        cmocka_unit_test(an_address_that_was_updated_is_the_mappings_own),
        cmocka_unit_test(the_last_page_of_64_bits_cannot_be_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
