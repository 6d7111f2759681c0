/* SPDX-License-Identifier: MIT */
/* VFIO_IOMMU_MAP_DMA: every errno, and the order of the checks. */
#include "util/kernel_util.h"

/* The call failed and changed nothing. */
static void assert_refused(Kernel *kernel, int result, int error_number)
{
    assert_int_equal(result, -error_number);
    assert_int_equal(kernel_n_mappings(kernel), 0);
    assert_int_equal(kernel_locked(kernel), 0);
}

static void a_mapping_is_counted_and_charged(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT - 1);
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
}

static void unreadable_struct_fails_with_efault(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_MAP_DMA, NULL), -EFAULT);
    assert_int_equal(kernel_ioctl_number(kernel, kernel->container, VFIO_IOMMU_MAP_DMA, 0x1000),
                     -EFAULT);
    /* The second half of the struct is in an unmapped page. */
    munmap(kernel->memory + PAGE, PAGE);
    assert_int_equal(
        kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_MAP_DMA, kernel->memory + PAGE - 16),
        -EFAULT);
}

static void map_does_not_write_the_struct(void **state)
{
    Kernel *kernel = *state;
    struct vfio_iommu_type1_dma_map *map = (void *)kernel->memory;

    *map = (struct vfio_iommu_type1_dma_map){
        .argsz = sizeof(*map),
        .flags = READ_WRITE,
        .vaddr = (uintptr_t)kernel->memory + PAGE,
        .size = PAGE,
    };
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_MAP_DMA, map), 0);
}

static void argsz_has_a_minimum_and_no_maximum(void **state)
{
    Kernel *kernel = *state;
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof(map) - 1,
        .flags = READ_WRITE,
        .vaddr = (uintptr_t)kernel->memory,
        .size = PAGE,
    };

    assert_refused(kernel, kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_MAP_DMA, &map),
                   EINVAL);
    map.argsz = 1000;
    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_MAP_DMA, &map), 0);
}

static void invalid_flags_fail_with_einval(void **state)
{
    static const uint32_t flags[] = {
        0, 8, READ_WRITE | 8, READ_WRITE | 4, VFIO_DMA_MAP_FLAG_READ | 4, 1U << 31};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
        assert_refused(kernel, kernel_map_flags(kernel, flags[i], 0, kernel->memory, PAGE), EINVAL);
}

static void unaligned_sizes_and_addresses_fail_with_einval(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, kernel_map(kernel, 0, kernel->memory, 0), EINVAL);
    assert_refused(kernel, kernel_map(kernel, 0, kernel->memory, PAGE + 1), EINVAL);
    assert_refused(kernel, kernel_map(kernel, 1, kernel->memory, PAGE), EINVAL);
    assert_refused(kernel, kernel_map(kernel, 0, kernel->memory + 1, PAGE), EINVAL);
    assert_refused(kernel, kernel_map(kernel, 0x800, kernel->memory, PAGE), EINVAL);
}

static void wrapping_ranges_fail_with_einval(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, kernel_map(kernel, -(2 * PAGE), kernel->memory, 3 * PAGE), EINVAL);
    assert_refused(kernel, kernel_map(kernel, 0, (void *)(uintptr_t)(-(2 * PAGE)), 3 * PAGE),
                   EINVAL);
    /* Ending at exactly 2^64 does not wrap, but is outside the valid ranges. */
    assert_refused(kernel, kernel_map(kernel, -(2 * PAGE), kernel->memory, 2 * PAGE), EINVAL);
}

static void a_range_up_to_2_64_over_mappings_fails_with_einval_not_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0x7000000000, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x6fffff0000, kernel->memory, -UINT64_C(0x6fffff0000)),
                     -EINVAL);
    assert_int_equal(kernel_n_mappings(kernel), 1);
}

/* A kernel that checked the memory first would take years. */
static void half_of_the_address_space_fails_for_its_range(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, kernel_map(kernel, 0, NULL, UINT64_C(1) << 63), EINVAL);
}

static void reserved_iovas_fail_with_einval(void **state)
{
    static const struct {
        uint64_t iova;
        uint64_t n_pages;
    } refused[] = {
        {0xfee00000, 1},   {0xfedff000, 2},   {0xfeeff000, 2},
        {0x8000000000, 1}, {0x7ffffff000, 2}, {0xfed80000, 256},
    };
    static const uint64_t taken[] = {0, 0xfedff000, 0xfef00000, 0x7ffffff000};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        assert_refused(
            kernel, kernel_map(kernel, refused[i].iova, kernel->memory, refused[i].n_pages * PAGE),
            EINVAL);
    for (size_t i = 0; i < G_N_ELEMENTS(taken); i++)
        assert_int_equal(kernel_map(kernel, taken[i], kernel->memory, PAGE), 0);
}

static void reserved_iovas_are_checked_before_memory(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, kernel_map(kernel, 0xfee00000, NULL, PAGE), EINVAL);
}

static void overlaps_fail_with_eexist_even_with_bad_memory(void **state)
{
    static const struct {
        uint64_t iova;
        uint64_t n_pages;
    } overlapping[] = {{0x10000, 4}, {0x11000, 2}, {0xf000, 2}, {0x13000, 4}, {0xe000, 16}};
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(overlapping); i++) {
        uint64_t size = overlapping[i].n_pages * PAGE;

        assert_int_equal(kernel_map(kernel, overlapping[i].iova, kernel->memory, size), -EEXIST);
        assert_int_equal(kernel_map(kernel, overlapping[i].iova, NULL, size), -EEXIST);
    }
    assert_int_equal(kernel_n_mappings(kernel), 1);
}

static void adjacent_mappings_do_not_overlap(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0xf000, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x14000, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_n_mappings(kernel), 3);
}

static void memory_without_the_permission_fails_with_efault(void **state)
{
    Kernel *kernel = *state;
    char *memory = kernel->memory;

    mprotect(memory + 1 * PAGE, PAGE, PROT_NONE);
    mprotect(memory + 2 * PAGE, PAGE, PROT_READ);
    mprotect(memory + 3 * PAGE, PAGE, PROT_EXEC);
    munmap(memory + 4 * PAGE, PAGE);
    for (unsigned i = 1; i <= 4; i++)
        assert_refused(kernel, kernel_map(kernel, 0, memory + i * PAGE, PAGE), EFAULT);
    assert_refused(kernel,
                   kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_WRITE, 0, memory + 2 * PAGE, PAGE),
                   EFAULT);
    assert_int_equal(kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_READ, 0, memory + 2 * PAGE, PAGE),
                     0);
}

static void write_only_memory_mapped_for_reading_fails(void **state)
{
    Kernel *kernel = *state;

    mprotect(kernel->memory, PAGE, PROT_WRITE);
    assert_refused(
        kernel, kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_READ, 0, kernel->memory, PAGE), EFAULT);
    assert_int_equal(kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_WRITE, 0, kernel->memory, PAGE), 0);
}

static void read_only_shared_memory_mapped_for_writing_fails(void **state)
{
    Kernel *kernel = *state;
    int fd = memfd_create("shared", MFD_CLOEXEC);
    void *memory;

    assert_int_equal(ftruncate(fd, PAGE), 0);
    memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    assert_refused(kernel, kernel_map(kernel, 0, memory, PAGE), EFAULT);
    assert_int_equal(kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_READ, 0, memory, PAGE), 0);
    munmap(memory, PAGE);
}

static void non_user_addresses_fail_with_efault(void **state)
{
    static const uint64_t addresses[] = {0, 0xffff800000000000, 0x800000000000, -PAGE};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++)
        assert_refused(kernel, kernel_map(kernel, 0, (void *)(uintptr_t)addresses[i], PAGE),
                       EFAULT);
}

static void a_hole_leaves_the_iova_free(void **state)
{
    Kernel *kernel = *state;

    munmap(kernel->memory + 2 * PAGE, PAGE);
    assert_refused(kernel, kernel_map(kernel, 0, kernel->memory, 4 * PAGE), EFAULT);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 2 * PAGE), 0);
}

static void pages_past_eof_fail_with_efault(void **state)
{
    Kernel *kernel = *state;
    int fd = memfd_create("short", MFD_CLOEXEC);
    void *memory;

    assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
    memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    assert_refused(kernel, kernel_map(kernel, 0, memory, 3 * PAGE), EFAULT);
    assert_int_equal(kernel_map(kernel, 0, memory, 2 * PAGE), 0);
    munmap(memory, 4 * PAGE);
}

static void pinning_populates(void **state)
{
    Kernel *kernel = *state;
    unsigned char resident[8];

    madvise(kernel->memory, MEMORY_SIZE, MADV_NOHUGEPAGE);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(mincore(kernel->memory, sizeof(resident) * PAGE, resident), 0);
    for (unsigned i = 0; i < sizeof(resident); i++)
        assert_int_equal(resident[i] & 1, i < 4);
}

static void map_preserves_the_memory(void **state)
{
    Kernel *kernel = *state;

    memset(kernel->memory, 0x5a, 2 * PAGE);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 2 * PAGE), 0);
    assert_int_equal(kernel->memory[0], 0x5a);
    assert_int_equal(kernel_unmap(kernel, 0, 2 * PAGE, NULL), 0);
    assert_int_equal(kernel->memory[2 * PAGE - 1], 0x5a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_mapping_is_counted_and_charged),
        TEST(unreadable_struct_fails_with_efault),
        TEST(map_does_not_write_the_struct),
        TEST(argsz_has_a_minimum_and_no_maximum),
        TEST(invalid_flags_fail_with_einval),
        TEST(unaligned_sizes_and_addresses_fail_with_einval),
        TEST(wrapping_ranges_fail_with_einval),
        TEST(a_range_up_to_2_64_over_mappings_fails_with_einval_not_eexist),
        TEST(half_of_the_address_space_fails_for_its_range),
        TEST(reserved_iovas_fail_with_einval),
        TEST(reserved_iovas_are_checked_before_memory),
        TEST(overlaps_fail_with_eexist_even_with_bad_memory),
        TEST(adjacent_mappings_do_not_overlap),
        TEST(memory_without_the_permission_fails_with_efault),
        TEST(write_only_memory_mapped_for_reading_fails),
        TEST(read_only_shared_memory_mapped_for_writing_fails),
        TEST(non_user_addresses_fail_with_efault),
        TEST(a_hole_leaves_the_iova_free),
        TEST(pages_past_eof_fail_with_efault),
        TEST(pinning_populates),
        TEST(map_preserves_the_memory),
    };

    return RUN_TESTS(tests);
}
