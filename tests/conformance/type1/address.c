/* SPDX-License-Identifier: MIT */
/* VFIO_DMA_UNMAP_FLAG_VADDR takes the host addresses of mappings away, VFIO_DMA_MAP_FLAG_VADDR
 * gives new ones. */
#include "util/kernel_util.h"

static int take(Kernel *kernel, uint64_t iova, uint64_t size, uint64_t *n_bytes)
{
    return kernel_unmap_flags(kernel, VFIO_DMA_UNMAP_FLAG_VADDR, iova, size, n_bytes);
}

static int give(Kernel *kernel, uint64_t iova, const void *host, uint64_t size)
{
    return kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_VADDR, iova, host, size);
}

static void all_in_the_range_lose_theirs_and_stay_mapped(void **state)
{
    Kernel *kernel = *state;
    uint64_t n_bytes;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, PAGE), 0);
    assert_int_equal(take(kernel, 0, 0x100000, &n_bytes), 0);
    assert_int_equal(n_bytes, 5 * PAGE);
    assert_int_equal(kernel_n_mappings(kernel), 2);
    assert_int_equal(kernel_locked(kernel), 5 * PAGE);
}

static void an_empty_range_loses_nothing(void **state)
{
    uint64_t n_bytes;

    assert_int_equal(take(*state, 0, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, 0);
}

static void a_cut_is_einval(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(take(kernel, 0, PAGE, NULL), -EINVAL);
    assert_int_equal(give(kernel, 0, kernel->memory, 4 * PAGE), -EINVAL);
}

static void a_second_time_is_einval_and_undoes_its_own(void **state)
{
    Kernel *kernel = *state;

    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(kernel_map(kernel, i * PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(take(kernel, 2 * PAGE, PAGE, NULL), 0);
    assert_int_equal(take(kernel, 0, 3 * PAGE, NULL), -EINVAL);
    /* The first two have theirs, so they cannot get one; the third still can. */
    assert_int_equal(give(kernel, 0, kernel->memory, PAGE), -EINVAL);
    assert_int_equal(give(kernel, PAGE, kernel->memory, PAGE), -EINVAL);
    assert_int_equal(give(kernel, 2 * PAGE, kernel->memory, PAGE), 0);
}

static void where_nothing_is_mapped_none_can_be_given(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(give(kernel, 0, kernel->memory, PAGE), -ENOENT);
}

static void who_has_one_gets_none(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(give(kernel, 0, kernel->memory, 4 * PAGE), -EINVAL);
}

static void a_new_one_is_for_exactly_the_mapping(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(take(kernel, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(give(kernel, 0, kernel->memory, 2 * PAGE), -EINVAL);
    assert_int_equal(give(kernel, PAGE, kernel->memory, 3 * PAGE), -EINVAL);
    assert_int_equal(give(kernel, 0, kernel->memory, 5 * PAGE), -EINVAL);
    assert_int_equal(give(kernel, 0, kernel->memory + 8 * PAGE, 4 * PAGE), 0);
    assert_int_equal(give(kernel, 0, kernel->memory + 8 * PAGE, 4 * PAGE), -EINVAL);
}

static void the_new_one_is_not_looked_at(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(take(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(give(kernel, 0, NULL, PAGE), 0);
}

static void mapping_over_one_without_is_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(take(kernel, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), -EEXIST);
}

static void others_can_be_mapped_meanwhile(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(take(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_unmap(kernel, 0x10000, PAGE, NULL), 0);
}

static void all_can_lose_theirs_at_once_and_are_unmapped_like_others(void **state)
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

static void no_group_may_join_meanwhile(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(take(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), -EBUSY);
    assert_int_equal(give(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
}

static void one_that_is_unmapped_stands_in_no_groups_way(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(take(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_unmap(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_in_the_range_lose_theirs_and_stay_mapped),
        TEST(an_empty_range_loses_nothing),
        TEST(a_cut_is_einval),
        TEST(a_second_time_is_einval_and_undoes_its_own),
        TEST(where_nothing_is_mapped_none_can_be_given),
        TEST(who_has_one_gets_none),
        TEST(a_new_one_is_for_exactly_the_mapping),
        TEST(the_new_one_is_not_looked_at),
        TEST(mapping_over_one_without_is_eexist),
        TEST(others_can_be_mapped_meanwhile),
        TEST(all_can_lose_theirs_at_once_and_are_unmapped_like_others),
        TEST(no_group_may_join_meanwhile),
        TEST(one_that_is_unmapped_stands_in_no_groups_way),
    };

    return RUN_TESTS(tests);
}
