/* SPDX-License-Identifier: MIT */
/* mmap of a BAR: what can be mapped, what it keeps open, and mapping it for DMA. */
#include "util/device_util.h"

#define LIVENESS 0x04
#define IOVA     UINT64_C(0x40000000)

static volatile uint32_t *map_bar(Kernel *kernel, int device)
{
    void *address;

    assert_int_equal(kernel_mmap(kernel, device, PAGE, BAR0, &address), 0);
    return address;
}

static void only_the_bar_supports_mmap(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (uint32_t index = 0; index < VFIO_PCI_VGA_REGION_INDEX; index++) {
        struct vfio_region_info info = {.argsz = sizeof(info), .index = index};

        assert_int_equal(kernel_ioctl(kernel, device, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
        assert_int_equal((info.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0,
                         index == VFIO_PCI_BAR0_REGION_INDEX);
    }
}

static void the_whole_bar_and_its_last_page_can_be_mmapped(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);
    void *address;

    assert_int_equal(kernel_mmap(kernel, device, BAR0_SIZE, BAR0, &address), 0);
    assert_int_equal(kernel_mmap(kernel, device, PAGE, BAR0 + BAR0_SIZE - PAGE, &address), 0);
}

static void mmap_past_the_bar_fails(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);
    void *address;

    assert_int_equal(kernel_mmap(kernel, device, 2 * PAGE, BAR0 + BAR0_SIZE - PAGE, &address),
                     -EINVAL);
    assert_int_equal(kernel_mmap(kernel, device, PAGE, BAR0 + BAR0_SIZE, &address), -EINVAL);
}

static void mmap_of_other_regions_fails(void **state)
{
    static const uint64_t regions[] = {REGION(1), REGION(6), CONFIG, REGION(8), REGION(9)};
    Kernel *kernel = *state;
    int device = device_open(kernel);
    void *address;

    for (size_t i = 0; i < G_N_ELEMENTS(regions); i++)
        assert_int_equal(kernel_mmap(kernel, device, PAGE, regions[i], &address), -EINVAL);
}

static void private_mmap_fails_with_einval(void **state)
{
    Kernel *kernel = *state;
    void *address;

    assert_int_equal(kernel->pm->ops->mmap(kernel->pm, device_open(kernel), PAGE, PROT_READ,
                                           MAP_PRIVATE, BAR0, &address),
                     -EINVAL);
}

static void mmapped_registers_reach_the_device(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);
    volatile uint32_t *registers = map_bar(kernel, device);

    assert_int_equal(registers[0], 0x010000ed);
    registers[LIVENESS / 4] = 0x12345678;
    assert_int_equal(device_get(kernel, device, BAR0 + LIVENESS, 4), 0xedcba987);
}

static void addresses_above_4_gib_are_reachable(void **state)
{
    const uint64_t iova = UINT64_C(0x7ffffff000);
    Kernel *kernel = *state;
    int device = device_open(kernel);
    uint8_t byte;

    device_enable_dma(kernel, device);
    kernel->memory[7] = 0x5a;
    assert_int_equal(kernel_map(kernel, iova, kernel->memory, PAGE), 0);
    device_peek(kernel, device, iova + 7, &byte, 1);
    assert_int_equal(byte, 0x5a);
}

static void an_mmap_keeps_the_group_and_its_pins(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);
    void *registers = (void *)map_bar(kernel, device);

    assert_int_equal(kernel_map(kernel, IOVA, kernel->memory, 4 * PAGE), 0);
    assert_int_equal(kernel_close(kernel, device), 0);
    assert_int_equal(kernel_leave(kernel, kernel->group), -EBUSY);
    assert_int_equal(kernel_close(kernel, kernel->group), 0);
    assert_int_equal(kernel_close(kernel, kernel->container), 0);
    assert_int_equal(kernel_open(kernel, GROUP), -EBUSY);
    assert_int_equal(kernel_locked(kernel), 4 * PAGE);
    assert_int_equal(kernel_munmap(kernel, registers), 0);
    assert_int_equal(kernel_locked(kernel), 0);
    assert_true(kernel_open(kernel, GROUP) >= 0);
}

static void a_bar_can_be_mapped_for_dma_uncharged(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);
    void *registers = (void *)map_bar(kernel, device);
    uint64_t n_bytes;

    assert_int_equal(kernel_map(kernel, IOVA, registers, PAGE), 0);
    assert_int_equal(kernel_n_mappings(kernel), 1);
    assert_int_equal(kernel_locked(kernel), 0);
    assert_int_equal(kernel_unmap(kernel, IOVA, PAGE, &n_bytes), 0);
    assert_int_equal(n_bytes, PAGE);
    assert_int_equal(kernel_locked(kernel), 0);
}

static void a_bar_can_be_mapped_for_dma_with_a_memlock_limit_of_0(void **state)
{
    Kernel *kernel = *state;
    void *registers = (void *)map_bar(kernel, device_open(kernel));

    kernel_set_memlock(kernel, 0, false);
    assert_int_equal(kernel_map(kernel, IOVA, registers, PAGE), 0);
    assert_int_equal(kernel_map(kernel, IOVA + PAGE, kernel->memory, PAGE), -ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_bar_supports_mmap),
        TEST(the_whole_bar_and_its_last_page_can_be_mmapped),
        TEST(mmap_past_the_bar_fails),
        TEST(mmap_of_other_regions_fails),
        TEST(private_mmap_fails_with_einval),
        TEST(mmapped_registers_reach_the_device),
        TEST(addresses_above_4_gib_are_reachable),
        TEST(an_mmap_keeps_the_group_and_its_pins),
        TEST(a_bar_can_be_mapped_for_dma_uncharged),
        TEST(a_bar_can_be_mapped_for_dma_with_a_memlock_limit_of_0),
    };

    return RUN_TESTS(tests);
}
