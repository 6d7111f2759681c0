/* SPDX-License-Identifier: MIT */
/* VFIO_DMA_UNMAP_FLAG_VADDR invalidates the host addresses of mappings, VFIO_DMA_MAP_FLAG_VADDR
 * sets new ones. */
#include "util/kernel_util.h"

static int unmap_vaddr(Kernel *kernel, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    return kernel_unmap_flags(kernel, VFIO_DMA_UNMAP_FLAG_VADDR, iova, size, n_bytes);
}

static int map_vaddr(Kernel *kernel, uint64_t iova, const void *host, uint64_t size)
{
    return kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_VADDR, iova, host, size);
}

static void unmap_vaddr_keeps_the_mappings(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, 0, 0x100000, &n_bytes), 0);
    assert_int_equal(n_bytes, 5 * PAGE);
    assert_int_equal(kernel_n_mappings(kernel), 2);
    assert_int_equal(kernel_locked(kernel), 5 * PAGE);
}

static void unmap_vaddr_of_an_empty_range_does_nothing(void **state)
{
    uint64_t n_bytes;

    assert_int_equal(unmap_vaddr(*state, 0, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
}

/* The last page below 2^64 is never mapped: a request that only checks. */
static void unmap_vaddr_of_the_last_page_does_nothing(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, -PAGE, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
    assert_int_equal(map_vaddr(kernel, 0, kernel->memory, PAGE), -EINVAL);
}

static void unmap_vaddr_that_cuts_fails_with_einval(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, 0, PAGE, NULL), -EINVAL);
    assert_int_equal(map_vaddr(kernel, 0, kernel->memory, 4 * PAGE), -EINVAL);
}

static void unmap_vaddr_twice_fails_with_einval_and_is_undone(void **state)
{
    Kernel *kernel = *state;

    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(kernel_map(kernel, i * PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, 2 * PAGE, PAGE, NULL), 0);
    assert_int_equal(unmap_vaddr(kernel, 0, 3 * PAGE, NULL), -EINVAL);
    /* The first two vaddrs are valid again; the third is still invalid. */
    assert_int_equal(map_vaddr(kernel, 0, kernel->memory, PAGE), -EINVAL);
    assert_int_equal(map_vaddr(kernel, PAGE, kernel->memory, PAGE), -EINVAL);
    assert_int_equal(map_vaddr(kernel, 2 * PAGE, kernel->memory, PAGE), 0);
}

static void map_vaddr_without_a_mapping_fails(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(map_vaddr(kernel, 0, kernel->memory, PAGE), -ENOENT);
}

static void map_vaddr_with_a_valid_vaddr_fails(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(map_vaddr(kernel, 0, kernel->memory, 4 * PAGE), -EINVAL);
}

static void map_vaddr_must_match_the_mapping_exactly(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(map_vaddr(kernel, 0, kernel->memory, 2 * PAGE), -EINVAL);
    assert_int_equal(map_vaddr(kernel, PAGE, kernel->memory, 3 * PAGE), -EINVAL);
    assert_int_equal(map_vaddr(kernel, 0, kernel->memory, 5 * PAGE), -EINVAL);
    assert_int_equal(map_vaddr(kernel, 0, kernel->memory + 8 * PAGE, 4 * PAGE), 0);
    assert_int_equal(map_vaddr(kernel, 0, kernel->memory + 8 * PAGE, 4 * PAGE), -EINVAL);
}

static void map_vaddr_does_not_check_the_memory(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(map_vaddr(kernel, 0, NULL, PAGE), 0);
}

static void map_over_an_invalid_vaddr_fails_with_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), -EEXIST);
}

static void other_mappings_can_be_added_with_an_invalid_vaddr(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_unmap(kernel, 0x10000, PAGE, NULL), 0);
}

static void unmap_vaddr_of_all_keeps_mappings_that_unmap_removes(void **state)
{
    const uint32_t flags = VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL;
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_unmap_flags(kernel, flags, 0, 0, &n_bytes), 0);
    assert_int_equal(n_bytes, 5 * PAGE);
    assert_int_equal(kernel_n_mappings(kernel), 2);
    assert_int_equal(kernel_unmap(kernel, 0, 0x100000, &n_bytes), 0);
    assert_int_equal(n_bytes, 5 * PAGE);
    assert_int_equal(kernel_locked(kernel), 0);
}

static void no_group_can_join_with_an_invalid_vaddr(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), -EBUSY);
    assert_int_equal(map_vaddr(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
}

static void groups_can_join_once_the_invalid_vaddr_is_unmapped(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(unmap_vaddr(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_unmap(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unmap_vaddr_keeps_the_mappings),
        TEST(unmap_vaddr_of_an_empty_range_does_nothing),
        TEST(unmap_vaddr_of_the_last_page_does_nothing),
        TEST(unmap_vaddr_that_cuts_fails_with_einval),
        TEST(unmap_vaddr_twice_fails_with_einval_and_is_undone),
        TEST(map_vaddr_without_a_mapping_fails),
        TEST(map_vaddr_with_a_valid_vaddr_fails),
        TEST(map_vaddr_must_match_the_mapping_exactly),
        TEST(map_vaddr_does_not_check_the_memory),
        TEST(map_over_an_invalid_vaddr_fails_with_eexist),
        TEST(other_mappings_can_be_added_with_an_invalid_vaddr),
        TEST(unmap_vaddr_of_all_keeps_mappings_that_unmap_removes),
        TEST(no_group_can_join_with_an_invalid_vaddr),
        TEST(groups_can_join_once_the_invalid_vaddr_is_unmapped),
    };

    return RUN_TESTS(tests);
}
