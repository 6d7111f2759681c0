/* SPDX-License-Identifier: MIT */
/* The MAP that cannot succeed, by which plugmap asks whether anything is mapped in a range: with a
 * host address of the kernel's, the last ones there are. */
#include "util/kernel_util.h"

#define IOVA UINT64_C(0x40000000)

static int probe(Kernel *kernel, uint64_t iova, uint64_t size)
{
    return kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_READ, iova, (void *)(uintptr_t)-size, size);
}

/* Nothing has changed by asking. */
static void assert_answer(Kernel *kernel, uint64_t iova, uint64_t size, int error_number)
{
    uint32_t available = kernel_available(kernel);
    uint64_t locked = kernel_locked(kernel);

    assert_int_equal(probe(kernel, iova, size), -error_number);
    assert_int_equal(kernel_available(kernel), available);
    assert_int_equal(kernel_locked(kernel), locked);
}

static void nothing_mapped_is_efault_and_leaves_nothing(void **state)
{
    static const uint64_t sizes[] = {PAGE, 2 * PAGE, 0x200000, 0x40000000, 0x1000000000};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        assert_answer(kernel, 0x100000000, sizes[i], EFAULT);
        assert_int_equal(kernel_available(kernel), ENTRY_LIMIT);
        assert_int_equal(kernel_map(kernel, 0x100000000, kernel->memory, PAGE), 0);
        assert_int_equal(kernel_unmap(kernel, 0x100000000, PAGE, NULL), 0);
    }
}

static void mapping_is_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EEXIST);
}

static void part_of_a_mapping_is_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_answer(kernel, IOVA, PAGE, EEXIST);
    assert_answer(kernel, IOVA + PAGE, 2 * PAGE, EEXIST);
    assert_answer(kernel, IOVA + 3 * PAGE, PAGE, EEXIST);
    assert_answer(kernel, IOVA - PAGE, 2 * PAGE, EEXIST);
    assert_answer(kernel, IOVA + 3 * PAGE, 2 * PAGE, EEXIST);
}

static void mapping_in_the_middle_is_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA + 0x100000, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, 0x200000, EEXIST);
    assert_answer(kernel, IOVA, 0x100000 + PAGE, EEXIST);
    assert_answer(kernel, IOVA + 0x100000, 0x100000, EEXIST);
}

static void one_mapping_of_many_is_eexist(void **state)
{
    Kernel *kernel = *state;

    for (uint64_t i = 0; i < 64; i++)
        assert_int_equal(kernel_map(kernel, IOVA + 2 * i * PAGE, kernel->memory, PAGE), 0);
    for (uint64_t i = 0; i < 64; i++) {
        assert_answer(kernel, IOVA, 128 * PAGE, EEXIST);
        assert_int_equal(kernel_unmap(kernel, IOVA + 2 * i * PAGE, PAGE, NULL), 0);
    }
    assert_answer(kernel, IOVA, 128 * PAGE, EFAULT);
}

static void neighbours_are_not_asked_for(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA - PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_map(kernel, IOVA + 4 * PAGE, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EFAULT);
    assert_int_equal(kernel_n_mappings(kernel), 2);
}

static void answer_changes_with_what_is_unmapped(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, PAGE, EEXIST);
    assert_int_equal(kernel_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_answer(kernel, IOVA, PAGE, EFAULT);
}

/* Only where nothing is mapped. */
static void container_that_is_full_is_enospc(void **state)
{
    Kernel *kernel = *state;

    kernel_set_entry_limit(kernel, 2);
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA + PAGE, PAGE, EFAULT);
    assert_int_equal(kernel_map(kernel, IOVA + 2 * PAGE, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA + PAGE, PAGE, ENOSPC);
    assert_answer(kernel, IOVA, 3 * PAGE, EEXIST);
    assert_int_equal(kernel_available(kernel), 0);
}

static void limit_of_locked_memory_of_nothing_is_still_efault(void **state)
{
    Kernel *kernel = *state;

    kernel_set_memlock(kernel, 0, false);
    assert_answer(kernel, IOVA, PAGE, EFAULT);
    assert_answer(kernel, IOVA, 0x200000, EFAULT);
}

static void memory_locked_up_to_the_limit_is_still_efault_or_eexist(void **state)
{
    Kernel *kernel = *state;

    kernel_set_memlock(kernel, 4 * PAGE, false);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EEXIST);
    assert_answer(kernel, IOVA + 4 * PAGE, 4 * PAGE, EFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_mapped_is_efault_and_leaves_nothing),
        TEST(mapping_is_eexist),
        TEST(part_of_a_mapping_is_eexist),
        TEST(mapping_in_the_middle_is_eexist),
        TEST(one_mapping_of_many_is_eexist),
        TEST(neighbours_are_not_asked_for),
        TEST(answer_changes_with_what_is_unmapped),
        TEST_WITHOUT_IOMMU(container_that_is_full_is_enospc),
        TEST(limit_of_locked_memory_of_nothing_is_still_efault),
        TEST(memory_locked_up_to_the_limit_is_still_efault_or_eexist),
    };

    return RUN_TESTS(tests);
}
