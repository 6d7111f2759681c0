/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_MAP where the caller says: every errno, and the order of the checks. */
#include "util/iommufd_util.h"

#define IOVA UINT64_C(0x40000000)

static int map_struct(Kernel *kernel, struct iommu_ioas_map *map)
{
    map->size = sizeof(*map);
    return iommufd_ioctl(kernel, IOMMU_IOAS_MAP, map);
}

/* A mapping that is good, for a test to spoil. */
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

/* Refused, and nothing is different. */
static void assert_refused(Kernel *kernel, int result, int error_number)
{
    assert_int_equal(result, -error_number);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_unmap_all(kernel), 0);
}

static void an_area_is_where_the_caller_says(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = good(kernel);

    assert_int_equal(map_struct(kernel, &map), 0);
    assert_int_equal(map.iova, IOVA);
    assert_true(iommufd_had(kernel, IOVA, 2 * PAGE));
}

static void unknown_flags_and_reserved_fields_are_eopnotsupp_before_all(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = {.flags = 8, .ioas_id = NO_ID, .iova = UINT64_MAX};

    assert_refused(kernel, map_struct(kernel, &map), EOPNOTSUPP);
    map.flags = 0;
    map.__reserved = 1;
    assert_refused(kernel, map_struct(kernel, &map), EOPNOTSUPP);
}

static void an_address_or_length_of_2_64_less_1_is_eoverflow_before_the_flags(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = {.ioas_id = NO_ID, .iova = UINT64_MAX};

    assert_refused(kernel, map_struct(kernel, &map), EOVERFLOW);
    map.iova = 0;
    map.length = UINT64_MAX;
    assert_refused(kernel, map_struct(kernel, &map), EOVERFLOW);
}

static void neither_read_nor_write_is_einval_before_the_id(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = good(kernel);

    map.flags = IOMMU_IOAS_MAP_FIXED_IOVA;
    map.ioas_id = NO_ID;
    assert_refused(kernel, map_struct(kernel, &map), EINVAL);
}

static void an_unknown_id_is_enoent_before_the_length(void **state)
{
    Kernel *kernel = *state;
    struct iommu_ioas_map map = good(kernel);

    map.ioas_id = NO_ID;
    map.length = 0;
    assert_refused(kernel, map_struct(kernel, &map), ENOENT);
}

static void a_length_of_nothing_or_too_much_is_einval(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, iommufd_map(kernel, IOVA, kernel->memory, 0), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, 0, NULL, UINT64_MAX - PAGE + 1), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, 0, NULL, UINT64_MAX - 1), EINVAL);
}

static void memory_that_wraps_is_eoverflow(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, iommufd_map(kernel, IOVA, (void *)(uintptr_t)-PAGE, 2 * PAGE),
                   EOVERFLOW);
    /* Up to 2^64 is too far, too. */
    assert_refused(kernel, iommufd_map(kernel, IOVA, (void *)(uintptr_t)-PAGE, PAGE), EOVERFLOW);
}

static void memory_that_wraps_comes_before_an_odd_length(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, iommufd_map(kernel, IOVA, (void *)(uintptr_t)-PAGE, PAGE + 1),
                   EOVERFLOW);
}

static void an_address_that_wraps_is_eoverflow(void **state)
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

static void without_a_device_no_page_is_needed_nor_memory(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 1, (void *)(uintptr_t)3, 5), 0);
    assert_int_equal(iommufd_map(kernel, 6, NULL, 1), 0);
    assert_int_equal(iommufd_pinned(kernel), 0);
    assert_int_equal(iommufd_unmap_all(kernel), 6);
}

static void with_a_device_addresses_and_lengths_off_the_page_are_einval(void **state)
{
    Kernel *kernel = *state;

    assert_refused(kernel, iommufd_map(kernel, IOVA, kernel->memory, PAGE + 1), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, IOVA + 1, kernel->memory, PAGE), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, IOVA + 0x800, kernel->memory, PAGE), EINVAL);
    assert_refused(kernel, iommufd_map(kernel, IOVA, kernel->memory + 1, PAGE), EINVAL);
}

static void memory_off_the_page_comes_behind_an_overlap(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory + 1, PAGE), -EEXIST);
    assert_int_equal(iommufd_map(kernel, IOVA + PAGE, kernel->memory + 1, PAGE), -EINVAL);
}

static void reserved_addresses_are_einval_even_with_bad_memory(void **state)
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

static void overlaps_are_eexist_even_with_bad_memory(void **state)
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

static void neighbours_do_not_overlap_and_stay_apart(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(iommufd_map(kernel, 0x10000, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, 0xf000, kernel->memory, PAGE), 0);
    assert_int_equal(iommufd_map(kernel, 0x11000, kernel->memory, PAGE), 0);
    assert_true(iommufd_had(kernel, 0x10000, PAGE));
    assert_int_equal(iommufd_unmap_all(kernel), 2 * PAGE);
}

static void bad_memory_is_efault_and_leaves_the_place_free(void **state)
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

static void memory_to_read_can_be_mapped_to_read(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova = IOVA;

    kernel->memory[0] = 1;
    mprotect(kernel->memory, PAGE, PROT_READ);
    assert_int_equal(iommufd_map_flags(kernel, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
                                       &iova, (uintptr_t)kernel->memory, PAGE),
                     0);
}

/* Page tables are looked at before permissions, and know no memory that can only be written. */
static void memory_that_is_only_writable_can_be_mapped_to_read_once_it_is_there(void **state)
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

static void a_struct_that_cannot_be_written_is_efault_and_mapped(void **state)
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
        TEST_IOAS(an_area_is_where_the_caller_says),
        TEST_IOAS(unknown_flags_and_reserved_fields_are_eopnotsupp_before_all),
        TEST_IOAS(an_address_or_length_of_2_64_less_1_is_eoverflow_before_the_flags),
        TEST_IOAS(neither_read_nor_write_is_einval_before_the_id),
        TEST_IOAS(an_unknown_id_is_enoent_before_the_length),
        TEST_IOAS(a_length_of_nothing_or_too_much_is_einval),
        TEST_ATTACHED(memory_that_wraps_is_eoverflow),
        TEST_ATTACHED(memory_that_wraps_comes_before_an_odd_length),
        TEST_IOAS(an_address_that_wraps_is_eoverflow),
        TEST_IOAS(without_a_device_the_last_address_can_be_mapped),
        TEST_IOAS(without_a_device_no_page_is_needed_nor_memory),
        TEST_ATTACHED(with_a_device_addresses_and_lengths_off_the_page_are_einval),
        TEST_ATTACHED(memory_off_the_page_comes_behind_an_overlap),
        TEST_ATTACHED(reserved_addresses_are_einval_even_with_bad_memory),
        TEST_ATTACHED(the_ends_of_both_ranges_can_be_mapped),
        TEST_ATTACHED(overlaps_are_eexist_even_with_bad_memory),
        TEST_IOAS(neighbours_do_not_overlap_and_stay_apart),
        TEST_ATTACHED(bad_memory_is_efault_and_leaves_the_place_free),
        TEST_ATTACHED(memory_to_read_can_be_mapped_to_read),
        TEST_ATTACHED(memory_that_is_only_writable_can_be_mapped_to_read_once_it_is_there),
        TEST_ATTACHED(a_struct_that_cannot_be_written_is_efault_and_mapped),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
