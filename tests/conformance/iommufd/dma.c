/* SPDX-License-Identifier: MIT */
/* What a device on iommufd reaches by DMA: its IOAS, from MAP and ATTACH to UNMAP and DETACH. */
#include "util/device_util.h"
#include "util/iommufd_util.h"

#define IOVA  UINT64_C(0x40000000)
#define THERE UINT64_C(0x50000000)
#define SIZE  UINT64_C(64)

static uint8_t peek(Kernel *kernel, int device, uint64_t iova)
{
    uint8_t byte;

    device_peek(kernel, device, iova, &byte, 1);
    return byte;
}

/* Maps a page of 0x5a at IOVA; returns a device that may do DMA. */
static int map_for_dma(Kernel *kernel)
{
    device_enable_dma(kernel, kernel->device);
    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, PAGE), 0);
    return kernel->device;
}

static int map_with(Kernel *kernel, uint32_t permission)
{
    uint64_t iova = IOVA;

    device_enable_dma(kernel, kernel->device);
    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(iommufd_map_flags(kernel, IOMMU_IOAS_MAP_FIXED_IOVA | permission, &iova,
                                       (uintptr_t)kernel->memory, PAGE),
                     0);
    return kernel->device;
}

static void a_device_reads_and_writes_mapped_memory(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);

    assert_int_equal(peek(kernel, device, IOVA + PAGE - 1), 0x5a);
    device_fill(kernel, device, IOVA + 100, 0x77, SIZE);
    assert_int_equal(kernel->memory[99], 0x5a);
    assert_int_equal(kernel->memory[100], 0x77);
    assert_int_equal(kernel->memory[100 + SIZE - 1], 0x77);
    assert_int_equal(kernel->memory[100 + SIZE], 0x5a);
}

static void a_device_reaches_nothing_else(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);

    kernel->memory[PAGE] = 0x11;
    device_fill(kernel, device, IOVA + PAGE - 8, 0x77, 16);
    assert_int_equal(kernel->memory[PAGE - 1], 0x77);
    assert_int_equal(kernel->memory[PAGE], 0x11);
    assert_int_equal(peek(kernel, device, IOVA + PAGE), 0);
}

static void a_device_reaches_areas_that_the_kernel_placed(void **state)
{
    Kernel *kernel = *state;
    uint64_t iova = 0;

    device_enable_dma(kernel, kernel->device);
    memset(kernel->memory, 0x5a, PAGE);
    assert_int_equal(
        iommufd_map_flags(kernel, IOAS_READ_WRITE, &iova, (uintptr_t)kernel->memory, PAGE), 0);
    assert_int_equal(peek(kernel, kernel->device, iova), 0x5a);
}

static void read_only_areas_reject_writes(void **state)
{
    Kernel *kernel = *state;
    int device = map_with(kernel, IOMMU_IOAS_MAP_READABLE);

    device_fill(kernel, device, IOVA, 0x77, SIZE);
    assert_int_equal(kernel->memory[0], 0x5a);
    assert_int_equal(peek(kernel, device, IOVA), 0x5a);
}

/* Intel's page tables have no write-only entries. */
static void write_only_areas_can_be_read_too(void **state)
{
    Kernel *kernel = *state;
    int device = map_with(kernel, IOMMU_IOAS_MAP_WRITEABLE);

    assert_int_equal(peek(kernel, device, IOVA), 0x5a);
    device_fill(kernel, device, IOVA, 0x77, SIZE);
    assert_int_equal(kernel->memory[0], 0x77);
}

static void unmapped_areas_are_unreachable(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);

    assert_int_equal(peek(kernel, device, IOVA), 0x5a);
    assert_int_equal(iommufd_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0);
    device_fill(kernel, device, IOVA, 0x77, SIZE);
    assert_int_equal(kernel->memory[0], 0x5a);
}

static void a_failed_unmap_has_removed_earlier_areas(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);

    memset(kernel->memory + PAGE, 0x33, 2 * PAGE);
    assert_int_equal(iommufd_map(kernel, IOVA + PAGE, kernel->memory + PAGE, 2 * PAGE), 0);
    assert_int_equal(iommufd_unmap(kernel, IOVA, 2 * PAGE, NULL), -ENOENT);
    assert_int_equal(peek(kernel, device, IOVA), 0);
    assert_int_equal(peek(kernel, device, IOVA + PAGE), 0x33);
}

static void a_copy_reaches_the_same_page_and_outlives_the_original(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);

    assert_int_equal(iommufd_copy(kernel, kernel->ioas, THERE, IOVA, PAGE), 0);
    assert_int_equal(peek(kernel, device, THERE), 0x5a);
    assert_int_equal(iommufd_unmap(kernel, IOVA, PAGE, NULL), 0);
    device_fill(kernel, device, THERE, 0x77, SIZE);
    assert_int_equal(kernel->memory[0], 0x77);
    assert_int_equal(peek(kernel, device, IOVA), 0);
}

static void a_partial_copy_reaches_that_part(void **state)
{
    Kernel *kernel = *state;

    device_enable_dma(kernel, kernel->device);
    for (int i = 0; i < 4; i++)
        memset(kernel->memory + (size_t)i * PAGE, 0x10 + i, PAGE);
    assert_int_equal(iommufd_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, THERE, IOVA + 2 * PAGE, PAGE), 0);
    assert_int_equal(peek(kernel, kernel->device, THERE), 0x12);
    assert_int_equal(peek(kernel, kernel->device, THERE + PAGE), 0);
}

static void areas_mapped_before_attach_are_reachable(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(cdev_detach(kernel, kernel->device), 0);
    map_for_dma(kernel);
    kernel->hwpt = kernel->ioas;
    assert_int_equal(cdev_attach(kernel, kernel->device, &kernel->hwpt), 0);
    assert_int_equal(peek(kernel, kernel->device, IOVA), 0x5a);
}

static void address_spaces_are_separate(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);
    uint32_t pt;

    kernel->ioas = iommufd_new_ioas(kernel);
    pt = kernel->ioas;
    memset(kernel->memory + PAGE, 0x33, PAGE);
    assert_int_equal(iommufd_map(kernel, THERE, kernel->memory + PAGE, PAGE), 0);
    assert_int_equal(cdev_attach(kernel, device, &pt), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0);
    assert_int_equal(peek(kernel, device, THERE), 0x33);
}

static void an_allocated_hwpt_shows_the_same_ioas(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);
    uint32_t hwpt;

    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    assert_int_equal(cdev_attach(kernel, device, &hwpt), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0x5a);
    assert_int_equal(iommufd_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0);
}

/* Two devices, each with its own HWPT. The memory stays pinned for the copy. */
static void unmap_removes_areas_from_every_hwpt(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);
    uint32_t hwpt;
    uint32_t id;
    int second = cdev_open_bound(kernel, OTHER_DEVICE, &id);

    assert_int_equal(iommufd_new_hwpt(kernel, kernel->ioas, &hwpt), 0);
    assert_int_equal(cdev_attach(kernel, second, &hwpt), 0);
    device_enable_dma(kernel, second);
    assert_int_equal(iommufd_copy(kernel, kernel->ioas, THERE, IOVA, PAGE), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0x5a);
    assert_int_equal(peek(kernel, second, IOVA), 0x5a);
    assert_int_equal(iommufd_unmap(kernel, IOVA, PAGE, NULL), 0);
    assert_int_equal(peek(kernel, device, IOVA), 0);
    assert_int_equal(peek(kernel, second, IOVA), 0);
    assert_int_equal(peek(kernel, second, THERE), 0x5a);
}

static void two_devices_reach_the_same_areas(void **state)
{
    Kernel *kernel = *state;
    uint32_t id;
    int second = cdev_open_bound(kernel, OTHER_DEVICE, &id);
    uint32_t pt = kernel->ioas;

    map_for_dma(kernel);
    device_enable_dma(kernel, second);
    assert_int_equal(cdev_attach(kernel, second, &pt), 0);
    device_fill(kernel, second, IOVA, 0x77, SIZE);
    assert_int_equal(peek(kernel, kernel->device, IOVA), 0x77);
}

static void a_detached_device_reaches_nothing(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);

    device_load(kernel, device, IOVA, SIZE);
    assert_int_equal(cdev_detach(kernel, device), 0);
    memset(kernel->memory, 0x11, PAGE);
    device_store(kernel, device, IOVA, SIZE);
    assert_int_equal(kernel->memory[0], 0x11);
}

static void a_device_keeps_working_when_the_iommufd_is_closed(void **state)
{
    Kernel *kernel = *state;
    int device = map_for_dma(kernel);

    assert_int_equal(kernel_close(kernel, kernel->iommu), 0);
    device_load(kernel, device, IOVA, SIZE);
    device_store(kernel, device, IOVA + PAGE - SIZE, SIZE);
    memset(kernel->memory, 0x11, PAGE);
    device_store(kernel, device, IOVA, SIZE);
    assert_int_equal(kernel->memory[0], 0x5a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ATTACHED(a_device_reads_and_writes_mapped_memory),
        TEST_ATTACHED(a_device_reaches_nothing_else),
        TEST_ATTACHED(a_device_reaches_areas_that_the_kernel_placed),
        TEST_ATTACHED(read_only_areas_reject_writes),
        TEST_ATTACHED(write_only_areas_can_be_read_too),
        TEST_ATTACHED(unmapped_areas_are_unreachable),
        TEST_ATTACHED(a_failed_unmap_has_removed_earlier_areas),
        TEST_ATTACHED(a_copy_reaches_the_same_page_and_outlives_the_original),
        TEST_ATTACHED(a_partial_copy_reaches_that_part),
        TEST_ATTACHED(areas_mapped_before_attach_are_reachable),
        TEST_ATTACHED(address_spaces_are_separate),
        TEST_ATTACHED(an_allocated_hwpt_shows_the_same_ioas),
        TEST_ATTACHED(unmap_removes_areas_from_every_hwpt),
        TEST_ATTACHED(two_devices_reach_the_same_areas),
        TEST_ATTACHED(a_detached_device_reaches_nothing),
        TEST_ATTACHED(a_device_keeps_working_when_the_iommufd_is_closed),
    };

    return RUN_IOMMUFD_TESTS(tests);
}
