/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_MAP with a fixed IOVA: every errno, and the order of the checks. */
#include "util/iommufd_util.h"

#define IOVA UINT64_C(0x40000000)

static int map_struct(Kernel *kernel, struct iommu_ioas_map *map)
{
    map->size = sizeof(*map);
    return iommufd_ioctl(kernel, IOMMU_IOAS_MAP, map);
}

/* A valid mapping, for tests to break. */
static struct iommu_ioas_map good(const Kernel *kernel)
{
    return (struct iommu_ioas_map){
        .flags = IOAS_FIXED,
        .ioas_id = kernel->ioas,
        .user_va = (uintptr_t)kernel->memory,
        .length = 2 * PAGE,
        .iova = IOVA,
    };
}

/* The call failed and changed nothing. */
static void assert_refused(Kernel *kernel, int result, int error_number)
{
    assert_int_equal(result, -error_number);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_unmap_all(kernel), 0);
}

static void fixed_iova_places_the_area_there(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = good(kernel);

    assert_int_equal(map_struct(kernel, &map), 0);
    assert_int_equal(map.iova, IOVA);
    assert_true(iommufd_had(kernel, IOVA, 2 * PAGE));
}

static void unknown_flags_and_reserved_fields_fail_with_eopnotsupp_first(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = {.flags = 8, .ioas_id = NO_ID, .iova = UINT64_MAX};

    assert_refused(kernel, map_struct(kernel, &map), EOPNOTSUPP);
    map.flags = 0;
    map.__reserved = 1;
    assert_refused(kernel, map_struct(kernel, &map), EOPNOTSUPP);
}

static void u64_max_address_or_length_fails_with_eoverflow_before_the_flags(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = {.ioas_id = NO_ID, .iova = UINT64_MAX};

    assert_refused(kernel, map_struct(kernel, &map), EOVERFLOW);
    map.iova = 0;
    map.length = UINT64_MAX;
    assert_refused(kernel, map_struct(kernel, &map), EOVERFLOW);
}

static void no_permission_fails_with_einval_before_the_id(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = good(kernel);

    map.flags = IOMMU_IOAS_MAP_FIXED_IOVA;
    map.ioas_id = NO_ID;
    assert_refused(kernel, map_struct(kernel, &map), EINVAL);
}

static void unknown_id_fails_with_enoent_before_the_length(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = good(kernel);

    map.ioas_id = NO_ID;
    map.length = 0;
    assert_refused(kernel, map_struct(kernel, &map), ENOENT);
}

static void length_0_or_too_large_fails_with_einval(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, iommufd_map(kernel, IOVA, kernel->memory, 0), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, 0, NULL, UINT64_MAX - PAGE + 1), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, 0, NULL, UINT64_MAX - 1), EINVAL);
}

static void wrapping_memory_fails_with_eoverflow(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, iommufd_map(kernel, IOVA, (void *)(uintptr_t)-PAGE, 2 * PAGE),
                   EOVERFLOW);
    /* Ending at exactly 2^64 is an overflow, too. */
    assert_refused(kernel, iommufd_map(kernel, IOVA, (void *)(uintptr_t)-PAGE, PAGE), EOVERFLOW);
}

static void wrapping_memory_is_checked_before_the_length(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, iommufd_map(kernel, IOVA, (void *)(uintptr_t)-PAGE, PAGE + 1),
                   EOVERFLOW);
}

static void wrapping_iova_fails_with_eoverflow(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, iommufd_map(kernel, -PAGE, kernel->memory, 2 * PAGE), EOVERFLOW);
}

static void without_a_device_the_last_address_can_be_mapped(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, -PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_unmap_all(kernel), PAGE);
}

static void without_a_device_neither_alignment_nor_memory_is_checked(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 5), 0);
    assert_int_equal(iommufd_map(kernel, 6, NULL, 1), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_unmap_all(kernel), 6);
}

static void with_a_device_unaligned_iovas_and_lengths_fail_with_einval(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, iommufd_map(kernel, IOVA, kernel->memory, PAGE + 1), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, IOVA + 1, kernel->memory, PAGE), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, IOVA + 0x800, kernel->memory, PAGE), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, IOVA, kernel->memory + 1, PAGE), EINVAL);
}

static void overlap_is_checked_before_memory_alignment(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory + 1, PAGE), -EEXIST);
    assert_int_equal(iommufd_map(kernel, IOVA + PAGE, kernel->memory + 1, PAGE), -EINVAL);
}

static void reserved_iovas_fail_with_einval_even_with_bad_memory(void **state)
{
    static const struct {
        uint64_t iova;
        uint64_t n_pages;
    } refused[] = {
        {WINDOW, 1},        {WINDOW - PAGE, 2},        {WINDOW_LAST + 1 - PAGE, 2},
        {LAST_IOVA + 1, 1}, {LAST_IOVA + 1 - PAGE, 2}, {-PAGE, 1},
    };
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        assert_refused(
            kernel, iommufd_map(kernel, refused[i].iova, NULL, refused[i].n_pages * PAGE), EINVAL);
}

static void the_ends_of_both_ranges_can_be_mapped(void **state)
{
    static const uint64_t ends[] = {0, WINDOW - PAGE, WINDOW_LAST + 1, LAST_IOVA + 1 - PAGE};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
        assert_int_equal(iommufd_map(kernel, ends[i], kernel->memory, PAGE), 0);
}

static void overlaps_fail_with_eexist_even_with_bad_memory(void **state)
{
    static const struct {
        uint64_t iova;
        uint64_t n_pages;
    } overlapping[] = {{0x10000, 4}, {0x11000, 2}, {0xf000, 2}, {0x13000, 4}, {0xe000, 16}};
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(overlapping); i++)
        assert_int_equal(
            iommufd_map(kernel, overlapping[i].iova, NULL, overlapping[i].n_pages * PAGE), -EEXIST);
    assert_int_equal(iommufd_unmap_all(kernel), 4 * PAGE);
}

static void adjacent_areas_do_not_overlap_and_are_not_merged(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 0x10000, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, 0xf000, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, 0x11000, kernel->memory, PAGE), 0);
    assert_true(iommufd_had(kernel, 0x10000, PAGE));
    assert_int_equal(iommufd_unmap_all(kernel), 2 * PAGE);
}

static void bad_memory_fails_with_efault_and_leaves_the_iova_free(void **state)
{
    Kernel *kernel = *state;
    char *memory = kernel->memory;
    void *const bad[] = {memory + PAGE,
                         memory + 2 * PAGE,
                         memory + 3 * PAGE,
                         memory + 4 * PAGE,
                         NULL,
                         (void *)(uintptr_t)0xffff800000000000};

    mprotect(memory + 1 * PAGE, PAGE, PROT_NONE);
    mprotect(memory + 2 * PAGE, PAGE, PROT_READ);
    mprotect(memory + 3 * PAGE, PAGE, PROT_EXEC);
    munmap(memory + 4 * PAGE, PAGE);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_refused(kernel, iommufd_map(kernel, IOVA, bad[i], PAGE), EFAULT);
    assert_refused(kernel, iommufd_map(kernel, IOVA, memory, 2 * PAGE), EFAULT);
    assert_int_equal(iommufd_map(kernel, IOVA, memory, PAGE), 0);
}

static void readable_memory_can_be_mapped_read_only(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova = IOVA;

    kernel->memory[0] = 1;
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_map_flags(kernel, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
                                       &iova, (uintptr_t)kernel->memory, PAGE),
                     0);
}

/* The kernel looks at page tables before permissions, and page tables have no write-only
 * entries. */
static void populated_write_only_memory_can_be_mapped_read_only(void **state)
{
    Kernel *kernel = *state;
    const uint32_t flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
    uint64_t host = (uintptr_t)kernel->memory;
    uint64_t iova = IOVA;

    madvise(kernel->memory, MEMORY_SIZE, MADV_NOHUGEPAGE);
    mprotect(kernel->memory, 2 * PAGE, PROT_WRITE);
    assert_refused(kernel, iommufd_map_flags(kernel, flags, &iova, host, PAGE), EFAULT);
    kernel->memory[0] = 1;
    assert_refused(kernel, iommufd_map_flags(kernel, flags, &iova, host, 2 * PAGE), EFAULT);
    assert_int_equal(iommufd_map_flags(kernel, flags, &iova, host, PAGE), 0);
}

static void read_only_struct_fails_with_efault_after_the_map(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map *map = (void *)kernel->memory;

    *map = good(kernel);
    map->user_va += PAGE;
    map->size = sizeof(*map);
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_ioctl(kernel, IOMMU_IOAS_MAP, map), -EFAULT);
    assert_true(iommufd_had(kernel, IOVA, 2 * PAGE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IOAS(fixed_iova_places_the_area_there),
        TEST_IOAS(unknown_flags_and_reserved_fields_fail_with_eopnotsupp_first),
        TEST_IOAS(u64_max_address_or_length_fails_with_eoverflow_before_the_flags),
        TEST_IOAS(no_permission_fails_with_einval_before_the_id),
        TEST_IOAS(unknown_id_fails_with_enoent_before_the_length),
        TEST_IOAS(length_0_or_too_large_fails_with_einval),
        TEST_ATTACHED(wrapping_memory_fails_with_eoverflow),
        TEST_ATTACHED(wrapping_memory_is_checked_before_the_length),
        TEST_IOAS(wrapping_iova_fails_with_eoverflow),
        TEST_IOAS(without_a_device_the_last_address_can_be_mapped),
        TEST_IOAS(without_a_device_neither_alignment_nor_memory_is_checked),
        TEST_ATTACHED(with_a_device_unaligned_iovas_and_lengths_fail_with_einval),
        TEST_ATTACHED(overlap_is_checked_before_memory_alignment),
        TEST_ATTACHED(reserved_iovas_fail_with_einval_even_with_bad_memory),
        TEST_ATTACHED(the_ends_of_both_ranges_can_be_mapped),
        TEST_ATTACHED(overlaps_fail_with_eexist_even_with_bad_memory),
        TEST_IOAS(adjacent_areas_do_not_overlap_and_are_not_merged),
        TEST_ATTACHED(bad_memory_fails_with_efault_and_leaves_the_iova_free),
        TEST_ATTACHED(readable_memory_can_be_mapped_read_only),
        TEST_ATTACHED(populated_write_only_memory_can_be_mapped_read_only),
        TEST_ATTACHED(read_only_struct_fails_with_efault_after_the_map),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
