/* SPDX-License-Identifier: MIT */
/* How plugmap probes whether anything is mapped in a range: a MAP that always fails, because its
 * host addresses are the last kernel addresses. */
#include "util/kernel_util.h"

#define IOVA UINT64_C(0x40000000)

static int probe(Kernel *kernel, uint64_t iova, uint64_t size)
{
    return kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_READ, iova, (void *)(uintptr_t)-size, size);
}

/* The probe changes nothing. */
static void assert_answer(Kernel *kernel, uint64_t iova, uint64_t size, int error_number)
{
    uint32_t available = kernel_available(kernel);
    uint64_t locked = kernel_locked(kernel);

    assert_int_equal(probe(kernel, iova, size), -error_number);
    assert_int_equal(kernel_available(kernel), available);
    assert_int_equal(kernel_locked(kernel), locked);
}

static void probe_of_unmapped_iovas_fails_with_efault_and_maps_nothing(void **state)
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

static void probe_of_a_mapping_fails_with_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EEXIST);
}

static void probe_of_part_of_a_mapping_fails_with_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_answer(kernel, IOVA, PAGE, EEXIST);
    assert_answer(kernel, IOVA + PAGE, 2 * PAGE, EEXIST);
    assert_answer(kernel, IOVA + 3 * PAGE, PAGE, EEXIST);
    assert_answer(kernel, IOVA - PAGE, 2 * PAGE, EEXIST);
    assert_answer(kernel, IOVA + 3 * PAGE, 2 * PAGE, EEXIST);
}

static void probe_around_a_mapping_fails_with_eexist(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA + 0x100000, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, 0x200000, EEXIST);
    assert_answer(kernel, IOVA, 0x100000 + PAGE, EEXIST);
    assert_answer(kernel, IOVA + 0x100000, 0x100000, EEXIST);
}

static void probe_over_many_mappings_fails_with_eexist(void **state)
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

static void probe_ignores_neighbours(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA - PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_map(kernel, IOVA + 4 * PAGE, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, 4 * PAGE, EFAULT);
    assert_int_equal(kernel_n_mappings(kernel), 2);
}

static void probe_changes_after_unmap(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_answer(kernel, IOVA, PAGE, EEXIST);
    assert_int_equal(kernel_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_answer(kernel, IOVA, PAGE, EFAULT);
}

/* Only if nothing is mapped in the range. */
static void probe_of_a_full_container_fails_with_enospc(void **state)
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

static void probe_with_a_memlock_limit_of_0_fails_with_efault(void **state)
{
    Kernel *kernel = *state;

    kernel_set_memlock(kernel, 0, false);
    assert_answer(kernel, IOVA, PAGE, EFAULT);
    assert_answer(kernel, IOVA, 0x200000, EFAULT);
}

static void probe_at_the_memlock_limit_fails_with_efault_or_eexist(void **state)
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
        TEST(probe_of_unmapped_iovas_fails_with_efault_and_maps_nothing),
        TEST(probe_of_a_mapping_fails_with_eexist),
        TEST(probe_of_part_of_a_mapping_fails_with_eexist),
        TEST(probe_around_a_mapping_fails_with_eexist),
        TEST(probe_over_many_mappings_fails_with_eexist),
        TEST(probe_ignores_neighbours),
        TEST(probe_changes_after_unmap),
        TEST_WITHOUT_IOMMU(probe_of_a_full_container_fails_with_enospc),
        TEST(probe_with_a_memlock_limit_of_0_fails_with_efault),
        TEST(probe_at_the_memlock_limit_fails_with_efault_or_eexist),
    };

    return RUN_TESTS(tests);
}
