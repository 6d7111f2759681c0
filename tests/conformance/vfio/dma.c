/* SPDX-License-Identifier: MIT */
/* What a device reaches by DMA: its mappings and nothing else, from MAP to UNMAP. */
#include "util/device_util.h"

#define IOVA UINT64_C(0x40000000)
#define SIZE UINT64_C(64)

static int open_for_dma(Kernel *kernel)
{
    int device = device_open(kernel);

    device_enable_dma(kernel, device);
    return device;
}

static bool reads(Kernel *kernel, int device, uint64_t iova, uint8_t byte)
{
    uint8_t seen[SIZE];
    uint8_t expected[SIZE];

    memset(expected, byte, SIZE);
    device_peek(kernel, device, iova, seen, SIZE);
    return memcmp(seen, expected, SIZE) == 0;
}

static bool holds(const char *memory, uint8_t byte)
{
    uint8_t expected[SIZE];

    memset(expected, byte, SIZE);
    return memcmp(memory, expected, SIZE) == 0;
}

static void a_device_reads_mapped_memory(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory + PAGE, 0x5a, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 2 * PAGE), 0);
    assert_true(reads(kernel, device, IOVA + PAGE, 0x5a));
    assert_true(reads(kernel, device, IOVA + 2 * PAGE - SIZE, 0x5a));
    assert_true(reads(kernel, device, IOVA, 0));
}

static void a_device_sees_writes_made_after_the_map(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    memset(kernel->memory, 0x11, PAGE);
    assert_true(reads(kernel, device, IOVA, 0x11));
    memset(kernel->memory, 0x22, PAGE);
    assert_true(reads(kernel, device, IOVA, 0x22));
}

static void a_device_writes_mapped_memory(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    device_fill(kernel, device, IOVA + 100, 0x77, SIZE);
    assert_true(holds(kernel->memory + 100, 0x77));
    assert_int_equal(kernel->memory[99], 0);
    assert_int_equal(kernel->memory[100 + SIZE], 0);
}

static void each_iova_reaches_its_own_page(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0, 4 * PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory + 3 * PAGE, PAGE), 0);
    assert_int_equal(kernel_map(kernel, IOVA + PAGE, kernel->memory, PAGE), 0);
    device_fill(kernel, device, IOVA + PAGE - SIZE, 0x33, 2 * SIZE);
    assert_true(holds(kernel->memory + 4 * PAGE - SIZE, 0x33));
    assert_true(holds(kernel->memory, 0x33));
    assert_int_equal(kernel->memory[SIZE], 0);
}

static void two_mappings_of_a_page_reach_one_page(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_map(kernel, IOVA + 8 * PAGE, kernel->memory, PAGE), 0);
    device_fill(kernel, device, IOVA, 0x44, SIZE);
    assert_true(reads(kernel, device, IOVA + 8 * PAGE, 0x44));
}

static void unmapped_iovas_read_as_zeros(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    device_load(kernel, device, IOVA, SIZE); /* fills the device's buffer with other bytes */
    assert_true(reads(kernel, device, IOVA + 5 * PAGE, 0));
}

static void writes_to_unmapped_iovas_change_nothing(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x5a, 2 * PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    device_fill(kernel, device, IOVA + PAGE, 0x66, SIZE);
    assert_true(holds(kernel->memory, 0x5a));
    assert_true(holds(kernel->memory + PAGE, 0x5a));
}

static void a_transfer_past_the_end_is_done_up_to_it(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);
    uint8_t seen[2 * SIZE];

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    device_fill(kernel, device, IOVA + PAGE - SIZE, 0x5a, 2 * SIZE);
    assert_true(holds(kernel->memory + PAGE - SIZE, 0x5a));
    assert_int_equal(kernel->memory[PAGE], 0);
    device_peek(kernel, device, IOVA + PAGE - SIZE, seen, sizeof(seen));
    assert_true(holds((char *)seen, 0x5a));
    assert_true(holds((char *)seen + SIZE, 0));
}

static void a_transfer_continues_after_a_refused_page(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);
    uint8_t seen[2 * SIZE];

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    device_fill(kernel, device, IOVA - SIZE, 0x5a, 2 * SIZE);
    assert_true(holds(kernel->memory, 0x5a));
    assert_int_equal(kernel->memory[SIZE], 0);
    device_peek(kernel, device, IOVA - SIZE, seen, sizeof(seen));
    assert_true(holds((char *)seen, 0));
    assert_true(holds((char *)seen + SIZE, 0x5a));
}

static void read_only_mappings_reject_writes(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x11, PAGE);
    assert_int_equal(kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_READ, IOVA, kernel->memory, PAGE),
                     0);
    device_fill(kernel, device, IOVA, 0x22, SIZE);
    assert_true(holds(kernel->memory, 0x11));
    assert_true(reads(kernel, device, IOVA, 0x11));
}

/* Intel's IOMMUs always allow reads of what is mapped. */
static void write_only_mappings_can_be_read(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x11, PAGE);
    assert_int_equal(kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_WRITE, IOVA, kernel->memory, PAGE),
                     0);
    assert_true(reads(kernel, device, IOVA, 0x11));
    device_fill(kernel, device, IOVA, 0x22, SIZE);
    assert_true(holds(kernel->memory, 0x22));
}

static void unmapped_memory_is_unreachable_at_once(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_true(reads(kernel, device, IOVA, 0x5a));
    assert_int_equal(kernel_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_true(reads(kernel, device, IOVA, 0));
    device_fill(kernel, device, IOVA, 0x22, SIZE);
    assert_true(holds(kernel->memory, 0x5a));
}

static void remapped_iovas_reach_the_new_memory(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x11, PAGE);
    memset(kernel->memory + PAGE, 0x22, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_true(reads(kernel, device, IOVA, 0x11));
    assert_int_equal(kernel_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory + PAGE, PAGE), 0);
    assert_true(reads(kernel, device, IOVA, 0x22));
}

static void a_failed_map_leaves_nothing_reachable(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x5a, 2 * PAGE);
    munmap(kernel->memory + 2 * PAGE, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), -EFAULT);
    assert_true(reads(kernel, device, IOVA, 0));
}

static void memory_that_v1_unmaps_past_the_range_is_unreachable(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x5a, 4 * PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_true(reads(kernel, device, IOVA + 3 * PAGE, 0));
}

static void the_last_page_below_the_reserved_window_is_reachable(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(kernel_map(kernel, 0xfedff000, kernel->memory, PAGE), 0);
    assert_true(reads(kernel, device, 0xfedff000 + PAGE - SIZE, 0x5a));
}

static void without_bus_master_there_is_no_dma(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    device_fill(kernel, device, IOVA, 0x22, SIZE);
    assert_true(holds(kernel->memory, 0x5a));
}

static void a_mapping_with_an_invalid_vaddr_is_still_reachable(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);

    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_unmap_flags(kernel, VFIO_DMA_UNMAP_FLAG_VADDR, IOVA, PAGE, NULL), 0);
    assert_true(reads(kernel, device, IOVA, 0x5a));
    /* A new vaddr does not change what the device reaches either. */
    assert_int_equal(
        kernel_map_flags(kernel, VFIO_DMA_MAP_FLAG_VADDR, IOVA, kernel->memory + PAGE, PAGE), 0);
    assert_true(reads(kernel, device, IOVA, 0x5a));
}

static void a_group_that_joins_later_reaches_existing_mappings(void **state)
{
    Kernel *kernel = *state;
    int group = kernel_open(kernel, OTHER_GROUP);
    int device;

    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_int_equal(kernel_join(kernel, group, kernel->container), 0);
    device = kernel_get_device(kernel, group, OTHER_DEVICE);
    device_enable_dma(kernel, device);
    assert_true(reads(kernel, device, IOVA, 0x5a));
    assert_int_equal(kernel_leave(kernel, kernel->group), 0);
    assert_true(reads(kernel, device, IOVA, 0x5a));
}

static void containers_have_separate_address_spaces(void **state)
{
    Kernel *kernel = *state;
    int device = open_for_dma(kernel);
    int group;
    int other;
    int other_device;

    memset(kernel->memory, 0x11, PAGE);
    memset(kernel->memory + PAGE, 0x22, PAGE);
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, PAGE), 0);
    assert_true(reads(kernel, device, IOVA, 0x11));
    other = kernel_second_container(kernel, &group);
    other_device = kernel_get_device(kernel, group, OTHER_DEVICE);
    device_enable_dma(kernel, other_device);
    kernel->container = other;
    assert_true(reads(kernel, other_device, IOVA, 0));
    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory + PAGE, PAGE), 0);
    assert_true(reads(kernel, other_device, IOVA, 0x22));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_reads_mapped_memory),
        TEST(a_device_sees_writes_made_after_the_map),
        TEST(a_device_writes_mapped_memory),
        TEST(each_iova_reaches_its_own_page),
        TEST(two_mappings_of_a_page_reach_one_page),
        TEST(unmapped_iovas_read_as_zeros),
        TEST(writes_to_unmapped_iovas_change_nothing),
        TEST(a_transfer_past_the_end_is_done_up_to_it),
        TEST(a_transfer_continues_after_a_refused_page),
        TEST(read_only_mappings_reject_writes),
        TEST(write_only_mappings_can_be_read),
        TEST(unmapped_memory_is_unreachable_at_once),
        TEST(remapped_iovas_reach_the_new_memory),
        TEST(a_failed_map_leaves_nothing_reachable),
        TEST_V1(memory_that_v1_unmaps_past_the_range_is_unreachable),
        TEST(the_last_page_below_the_reserved_window_is_reachable),
        TEST(without_bus_master_there_is_no_dma),
        TEST(a_mapping_with_an_invalid_vaddr_is_still_reachable),
        TEST(a_group_that_joins_later_reaches_existing_mappings),
        TEST(containers_have_separate_address_spaces),
    };

    return RUN_TESTS(tests);
}
