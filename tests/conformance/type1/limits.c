/* SPDX-License-Identifier: MIT */
/* The limits of mapping: dma_entry_limit, RLIMIT_MEMLOCK, CAP_IPC_LOCK. */
#include "util/kernel_util.h"

static void the_65536th_mapping_fails_with_enospc(void **state)
{
    Kernel *kernel = *state;

    for (uint64_t i = 0; i < ENTRY_LIMIT; i++)
        assert_int_equal(kernel_map(kernel, i * PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_available(kernel), 0);
    assert_int_equal(kernel_map(kernel, ENTRY_LIMIT * PAGE, kernel->memory, PAGE), -ENOSPC);
}

/* A container limited to two mappings, full. */
static void fill(Kernel *kernel)
{
    kernel_set_entry_limit(kernel, 2);
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_map(kernel, PAGE, kernel->memory, PAGE), 0);
}

static void overlap_is_checked_before_the_limit_and_range_and_memory_after_it(void **state)
{
    Kernel *kernel = *state;

    fill(kernel);
    assert_int_equal(kernel_map(kernel, 2 * PAGE, kernel->memory, PAGE), -ENOSPC);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), -EEXIST);
    assert_int_equal(kernel_map(kernel, 0xfee00000, kernel->memory, PAGE), -ENOSPC);
    assert_int_equal(kernel_map(kernel, 2 * PAGE, NULL, PAGE), -ENOSPC);
}

static void one_unmap_makes_room_for_one_map(void **state)
{
    Kernel *kernel = *state;

    fill(kernel);
    assert_int_equal(kernel_unmap(kernel, 0, PAGE, NULL), 0);
    assert_int_equal(kernel_available(kernel), 1);
    assert_int_equal(kernel_map(kernel, 5 * PAGE, kernel->memory, 8 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, PAGE), -ENOSPC);
}

static void the_entry_limit_is_read_by_set_iommu(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1v2_IOMMU), 0);
    kernel_set_entry_limit(kernel, 2);
    assert_int_equal(kernel_available(kernel), ENTRY_LIMIT);
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_int_equal(kernel_join(kernel, kernel->group, kernel->container), 0);
    assert_int_equal(kernel_set_iommu(kernel, kernel->container, VFIO_TYPE1v2_IOMMU), 0);
    assert_int_equal(kernel_available(kernel), 2);
}

static void memory_can_be_locked_up_to_the_limit(void **state)
{
    Kernel *kernel = *state;

    /* The limit counts whole pages. */
    kernel_set_memlock(kernel, 4 * PAGE + 4095, false);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 5 * PAGE), -ENOMEM);
    assert_int_equal(kernel_locked(kernel), 0);
    assert_int_equal(kernel_n_mappings(kernel), 0);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, PAGE), -ENOMEM);
    assert_int_equal(kernel_n_mappings(kernel), 1);
    assert_int_equal(kernel_unmap(kernel, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, PAGE), 0);
}

static void every_mapping_of_a_page_is_charged(void **state)
{
    Kernel *kernel = *state;

    kernel_set_memlock(kernel, 3 * PAGE, false);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(kernel_map(kernel, i * PAGE, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_locked(kernel), 3 * PAGE);
    assert_int_equal(kernel_map(kernel, 3 * PAGE, kernel->memory, PAGE), -ENOMEM);
}

static void read_only_mappings_are_charged_too(void **state)
{
    Kernel *kernel = *state;

    memset(kernel->memory, 1, 4 * PAGE);
    assert_int_equal(kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_READ, 0, kernel->memory, 4 * PAGE),
                     0);
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
}

/* Page by page, the kernel first pins the page and then checks the limit. */
static void check_hole(Kernel *kernel, uint64_t hole, uint64_t limit, int error_number)
{
    munmap(kernel->memory + hole * PAGE, PAGE);
    kernel_set_memlock(kernel, limit * PAGE, false);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 8 * PAGE), -error_number);
    assert_int_equal(kernel_locked(kernel), 0);
    assert_int_equal(kernel_n_mappings(kernel), 0);
}

static void a_hole_before_the_limit_fails_with_efault(void **state)
{
    check_hole(*state, 3, 4, EFAULT);
}

static void a_hole_at_the_limit_fails_with_efault(void **state)
{
    check_hole(*state, 4, 4, EFAULT);
}

static void a_hole_past_the_limit_fails_with_enomem(void **state)
{
    check_hole(*state, 5, 4, ENOMEM);
}

static void a_hole_at_the_start_fails_with_efault_even_with_a_limit_of_0(void **state)
{
    check_hole(*state, 0, 0, EFAULT);
}

static void a_limit_of_0_locks_nothing(void **state)
{
    check_hole(*state, 1, 0, ENOMEM);
}

static void cap_ipc_lock_waives_the_limit_and_not_the_accounting(void **state)
{
    Kernel *kernel = *state;

    kernel_set_memlock(kernel, PAGE, true);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 8 * PAGE), 0);
    assert_int_equal(kernel_locked(kernel), 8 * PAGE);
}

static void a_process_over_the_limit_maps_nothing_until_below_it(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), 0);
    kernel_set_memlock(kernel, 4 * PAGE, false);
    assert_int_equal(kernel_map(kernel, 0x20000, kernel->memory, PAGE), -ENOMEM);
    assert_int_equal(kernel_unmap(kernel, 0, 4 * PAGE, NULL), 0);
    assert_int_equal(kernel_map(kernel, 0x20000, kernel->memory, PAGE), -ENOMEM);
    assert_int_equal(kernel_unmap(kernel, 0x10000, 4 * PAGE, NULL), 0);
    assert_int_equal(kernel_map(kernel, 0x20000, kernel->memory, PAGE), 0);
}

static void pinning_stops_at_the_limit(void **state)
{
    Kernel *kernel = *state;
    unsigned char resident[8];

    madvise(kernel->memory, MEMORY_SIZE, MADV_NOHUGEPAGE);
    kernel_set_memlock(kernel, 4 * PAGE, false);
    assert_int_equal(kernel_map(kernel, 0, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_map(kernel, 0x10000, kernel->memory, 4 * PAGE), -ENOMEM);
    assert_int_equal(mincore(kernel->memory, sizeof(resident) * PAGE, resident), 0);
    for (unsigned i = 0; i < sizeof(resident); i++)
        assert_int_equal(resident[i] & 1, i < 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_65536th_mapping_fails_with_enospc),
        TEST_WITHOUT_IOMMU(overlap_is_checked_before_the_limit_and_range_and_memory_after_it),
        TEST_WITHOUT_IOMMU(one_unmap_makes_room_for_one_map),
        TEST_WITHOUT_IOMMU(the_entry_limit_is_read_by_set_iommu),
        TEST(memory_can_be_locked_up_to_the_limit),
        TEST(every_mapping_of_a_page_is_charged),
        TEST(read_only_mappings_are_charged_too),
        TEST(a_hole_before_the_limit_fails_with_efault),
        TEST(a_hole_at_the_limit_fails_with_efault),
        TEST(a_hole_past_the_limit_fails_with_enomem),
        TEST(a_hole_at_the_start_fails_with_efault_even_with_a_limit_of_0),
        TEST(a_limit_of_0_locks_nothing),
        TEST(cap_ipc_lock_waives_the_limit_and_not_the_accounting),
        TEST(a_process_over_the_limit_maps_nothing_until_below_it),
        TEST(pinning_stops_at_the_limit),
    };

    return RUN_TESTS(tests);
}
