/* SPDX-License-Identifier: MIT */
/* The device as user space sees it: through its file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fake/device_file.h"
#include "kernel-uapi/vfio.h"

#define REGION(index) ((uint64_t)(index) << 40)
#define BAR0          REGION(VFIO_PCI_BAR0_REGION_INDEX)
#define CONFIG        REGION(VFIO_PCI_CONFIG_REGION_INDEX)
#define BUFFER        0x40000

/* A bus with 8 KiB of memory from I/O address @base on. */
typedef struct {
    PmEdu *edu;
    PmFakeLinux version;
    uint64_t base;
    uint8_t memory[8192];
    unsigned n_transfers;
} Setup;

static void bus_read(void *user_data, uint64_t iova, void *buffer, uint64_t size)
{
    Setup *setup = user_data;

    assert_in_range(iova, setup->base, setup->base + sizeof(setup->memory) - size);
    memcpy(buffer, setup->memory + (iova - setup->base), size);
    setup->n_transfers++;
}

static void bus_write(void *user_data, uint64_t iova, const void *buffer, uint64_t size)
{
    Setup *setup = user_data;

    assert_in_range(iova, setup->base, setup->base + sizeof(setup->memory) - size);
    memcpy(setup->memory + (iova - setup->base), buffer, size);
    setup->n_transfers++;
}

static int make(void **state)
{
    static const PmEduDma dma = {.read = bus_read, .write = bus_write};
    Setup *setup = g_new0(Setup, 1);

    setup->version = PM_FAKE_LINUX_6_12;
    setup->base = UINT64_C(0x100000000);
    setup->edu = pm_edu_new(&dma, setup);
    pm_edu_enable(setup->edu);
    *state = setup;
    return 0;
}

static int drop(void **state)
{
    Setup *setup = *state;

    pm_edu_free(setup->edu);
    g_free(setup);
    return 0;
}

static uint64_t get(Setup *setup, uint64_t offset, size_t size)
{
    uint64_t value = 0;

    assert_int_equal(pm_device_file_pread(setup->edu, setup->version, &value, size, offset), size);
    return value;
}

static void put(Setup *setup, uint64_t offset, uint64_t value, size_t size)
{
    assert_int_equal(pm_device_file_pwrite(setup->edu, setup->version, &value, size, offset), size);
}

static void enable_bus_master(Setup *setup)
{
    put(setup, CONFIG + 0x04, get(setup, CONFIG + 0x04, 2) | 0x0004, 2);
}

static void start(Setup *setup, uint64_t source, uint64_t destination, uint64_t count,
                  uint64_t command)
{
    put(setup, BAR0 + 0x80, source, 8);
    put(setup, BAR0 + 0x88, destination, 8);
    put(setup, BAR0 + 0x90, count, 8);
    put(setup, BAR0 + 0x98, command, 8);
}

/* --- requests --- */

static int request(const Setup *setup, unsigned long number, void *argument)
{
    return pm_device_file_ioctl(setup->version, number, argument);
}

static void info_tells_a_pci_device_that_cannot_be_reset(void **state)
{
    Setup *setup = *state;
    struct vfio_device_info info = {.argsz = 24, .flags = 77, .cap_offset = 77, .pad = 77};

    assert_int_equal(request(setup, VFIO_DEVICE_GET_INFO, &info), 0);
    assert_int_equal(info.argsz, 24);
    assert_int_equal(info.flags, VFIO_DEVICE_FLAGS_PCI);
    assert_int_equal(info.num_regions, 9);
    assert_int_equal(info.num_irqs, 5);
    assert_int_equal(info.cap_offset, 0);
    assert_int_equal(info.pad, 0);
    assert_int_equal(request(setup, VFIO_DEVICE_RESET, NULL), -EINVAL);
}

static void info_writes_no_more_than_asked_or_known(void **state)
{
    Setup *setup = *state;
    struct vfio_device_info info = {.argsz = 15};

    assert_int_equal(request(setup, VFIO_DEVICE_GET_INFO, &info), -EINVAL);
    info = (struct vfio_device_info){.argsz = 16, .cap_offset = 77, .pad = 77};
    assert_int_equal(request(setup, VFIO_DEVICE_GET_INFO, &info), 0);
    assert_int_equal(info.num_irqs, 5);
    assert_int_equal(info.cap_offset, 77);
    setup->version = PM_FAKE_LINUX_6_1;
    info.argsz = 1000;
    assert_int_equal(request(setup, VFIO_DEVICE_GET_INFO, &info), 0);
    assert_int_equal(info.argsz, 1000);
    assert_int_equal(info.cap_offset, 0);
    assert_int_equal(info.pad, 77);
}

static void regions_are_a_bar_and_the_configuration_space(void **state)
{
    struct vfio_region_info info;

    for (uint32_t index = 0; index < 8; index++) {
        uint64_t size = index == 0 ? 0x100000 : index == 7 ? 0x100 : 0;

        info = (struct vfio_region_info){.argsz = sizeof(info), .index = index, .cap_offset = 77};
        assert_int_equal(request(*state, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
        assert_int_equal(info.size, size);
        assert_int_equal(info.flags, size > 0 ? 3 : 0); /* read, write, no mmap */
        assert_int_equal(info.offset, REGION(index));
        assert_int_equal(info.cap_offset, 0);
    }
    info.index = VFIO_PCI_VGA_REGION_INDEX;
    assert_int_equal(request(*state, VFIO_DEVICE_GET_REGION_INFO, &info), -EINVAL);
    info = (struct vfio_region_info){.argsz = 31};
    assert_int_equal(request(*state, VFIO_DEVICE_GET_REGION_INFO, &info), -EINVAL);
}

static void irqs_are_those_of_a_plain_pci_device(void **state)
{
    static const struct {
        int result;
        uint32_t count;
        uint32_t flags;
    } expected[] = {{0, 1, 7}, {0, 1, 9}, {0, 0, 9}, {-EINVAL, 0, 0}, {0, 1, 9}, {-EINVAL, 0, 0}};
    struct vfio_irq_info info;

    for (uint32_t index = 0; index < G_N_ELEMENTS(expected); index++) {
        info = (struct vfio_irq_info){.argsz = sizeof(info), .index = index};
        assert_int_equal(request(*state, VFIO_DEVICE_GET_IRQ_INFO, &info), expected[index].result);
        assert_int_equal(info.count, expected[index].count);
        assert_int_equal(info.flags, expected[index].flags);
    }
    info = (struct vfio_irq_info){.argsz = 15};
    assert_int_equal(request(*state, VFIO_DEVICE_GET_IRQ_INFO, &info), -EINVAL);
}

static void bad_pointers_and_unknown_requests_are_told(void **state)
{
    assert_int_equal(request(*state, VFIO_DEVICE_GET_INFO, NULL), -EFAULT);
    assert_int_equal(request(*state, VFIO_DEVICE_GET_REGION_INFO, NULL), -EFAULT);
    assert_int_equal(request(*state, VFIO_DEVICE_GET_IRQ_INFO, NULL), -EFAULT);
    assert_int_equal(request(*state, 0x3b76, NULL), -ENOTTY);
    assert_int_equal(request(*state, VFIO_DEVICE_SET_IRQS, NULL), -ENOTTY);
}

/* --- configuration space --- */

static void configuration_space_names_the_device(void **state)
{
    uint8_t header[64];
    Setup *setup = *state;

    assert_int_equal(pm_device_file_pread(setup->edu, setup->version, header, 64, CONFIG), 64);
    assert_int_equal(get(setup, CONFIG, 4), 0x11e81234);
    assert_memory_equal(header, "\x34\x12\xe8\x11\x03\x01\x10\x00\x10\x00\xff\x00", 12);
    assert_int_equal(get(setup, CONFIG + 0x2c, 4), 0x11001af4);
    assert_int_equal(get(setup, CONFIG + 0x3d, 1), 1);
    /* one capability: MSI with one 64-bit vector, disabled */
    assert_int_equal(get(setup, CONFIG + 0x34, 1), 0x40);
    assert_int_equal(get(setup, CONFIG + 0x40, 4), 0x00800005);
}

static void command_register_starts_without_bus_master_at_every_open(void **state)
{
    Setup *setup = *state;

    assert_int_equal(get(setup, CONFIG + 0x04, 2), 0x0103);
    put(setup, CONFIG + 0x04, 0xffff, 2);
    assert_int_equal(get(setup, CONFIG + 0x04, 2), 0x0507);
    pm_edu_disable(setup->edu);
    pm_edu_enable(setup->edu);
    assert_int_equal(get(setup, CONFIG + 0x04, 2), 0x0103);
}

static void writing_ones_to_bar0_gives_its_size(void **state)
{
    put(*state, CONFIG + 0x10, 0xffffffff, 4);
    assert_int_equal(get(*state, CONFIG + 0x10, 4), 0xfff00000);
    put(*state, CONFIG + 0x10, 0xfeb12345, 4);
    assert_int_equal(get(*state, CONFIG + 0x10, 4), 0xfeb00000);
}

static void read_only_registers_stay(void **state)
{
    for (uint64_t offset = 0; offset < 0x40; offset++) {
        uint64_t before = get(*state, CONFIG + offset, 1);

        if (offset == 0x04 || offset == 0x05 || offset == 0x0c || offset == 0x12 ||
            offset == 0x13 || offset == 0x3c)
            continue;
        put(*state, CONFIG + offset, ~before, 1);
        assert_int_equal(get(*state, CONFIG + offset, 1), before);
    }
    put(*state, CONFIG + 0x3c, 11, 1);
    assert_int_equal(get(*state, CONFIG + 0x3c, 1), 11);
    put(*state, CONFIG + 0x42, 0xffff, 2);
    assert_int_equal(get(*state, CONFIG + 0x42, 2), 0x0080);
}

/* --- bounds --- */

static ssize_t try_read(Setup *setup, uint64_t offset, size_t size)
{
    uint8_t bytes[16];

    return pm_device_file_pread(setup->edu, setup->version, bytes, size, offset);
}

static void reads_outside_the_regions_are_refused(void **state)
{
    assert_int_equal(try_read(*state, BAR0 + 0x100000, 4), -EINVAL);
    for (unsigned index = 1; index < 12; index++) {
        if (index != VFIO_PCI_CONFIG_REGION_INDEX)
            assert_int_equal(try_read(*state, REGION(index), 4), -EINVAL);
    }
    assert_int_equal(try_read(*state, UINT64_MAX - 15, 4), -EINVAL);
    assert_int_equal(try_read(*state, CONFIG + 0x100, 1), -EFAULT);
}

static void writes_outside_the_regions_are_refused(void **state)
{
    Setup *setup = *state;
    uint32_t value = 0;

    assert_int_equal(pm_device_file_pwrite(setup->edu, setup->version, &value, 4, BAR0 + 0x100000),
                     -EINVAL);
    assert_int_equal(pm_device_file_pwrite(setup->edu, setup->version, &value, 4, REGION(6)),
                     -EINVAL);
    assert_int_equal(pm_device_file_pwrite(setup->edu, setup->version, &value, 4, CONFIG + 0xfe),
                     -EFAULT);
}

static void reads_over_the_end_are_cut_in_a_bar_and_refused_in_configuration_space(void **state)
{
    assert_int_equal(try_read(*state, BAR0 + 0xffffc, 8), 4);
    assert_int_equal(try_read(*state, CONFIG + 0xfc, 8), -EFAULT);
    assert_int_equal(try_read(*state, CONFIG + 0xfc, 4), 4);
}

static void transfers_of_no_bytes_succeed_at_any_offset(void **state)
{
    Setup *setup = *state;

    assert_int_equal(try_read(*state, REGION(9), 0), 0);
    assert_int_equal(pm_device_file_pwrite(setup->edu, setup->version, NULL, 0, REGION(9)), 0);
}

static void unreadable_buffers_give_efault(void **state)
{
    Setup *setup = *state;

    assert_int_equal(pm_device_file_pread(setup->edu, setup->version, NULL, 4, BAR0), -EFAULT);
    assert_int_equal(pm_device_file_pwrite(setup->edu, setup->version, NULL, 4, BAR0), -EFAULT);
}

static void registers_cannot_be_reached_with_memory_space_disabled(void **state)
{
    Setup *setup = *state;
    uint32_t value = 0;

    put(setup, CONFIG + 0x04, 0x0100, 2);
    assert_int_equal(try_read(setup, BAR0, 4), -EIO);
    assert_int_equal(pm_device_file_pwrite(setup->edu, setup->version, &value, 4, BAR0), -EIO);
    put(setup, CONFIG + 0x04, 0x0102, 2);
    assert_int_equal(get(setup, BAR0, 4), 0x010000ed);
}

/* --- registers --- */

static void identification_and_liveness(void **state)
{
    assert_int_equal(get(*state, BAR0, 4), 0x010000ed);
    put(*state, BAR0 + 0x04, 0x12345678, 4);
    assert_int_equal(get(*state, BAR0 + 0x04, 4), 0xedcba987);
}

static void narrow_accesses_do_not_reach_the_device(void **state)
{
    put(*state, BAR0 + 0x04, 0, 4);
    put(*state, BAR0 + 0x04, 0xff, 1);
    assert_int_equal(get(*state, BAR0 + 0x04, 4), 0xffffffff);
    assert_int_equal(get(*state, BAR0 + 0x04, 2), 0);
    assert_int_equal(get(*state, BAR0, 8), UINT64_MAX);
    assert_int_equal(get(*state, BAR0 + 0x1000, 4), 0xffffffff);
}

static void factorial_is_computed_at_once(void **state)
{
    put(*state, BAR0 + 0x08, 10, 4);
    assert_int_equal(get(*state, BAR0 + 0x08, 4), 3628800);
    put(*state, BAR0 + 0x08, 0, 4);
    assert_int_equal(get(*state, BAR0 + 0x08, 4), 1);
    put(*state, BAR0 + 0x08, 13, 4);
    assert_int_equal(get(*state, BAR0 + 0x08, 4), UINT32_C(1932053504)); /* modulo 2^32 */
    put(*state, BAR0 + 0x08, 0xffffffff, 4);
    assert_int_equal(get(*state, BAR0 + 0x08, 4), 0);
    assert_int_equal(get(*state, BAR0 + 0x24, 4), 0);
}

static void interrupt_status_is_raised_and_acknowledged(void **state)
{
    put(*state, BAR0 + 0x60, 0x5, 4);
    assert_int_equal(get(*state, BAR0 + 0x24, 4), 0x5);
    put(*state, BAR0 + 0x64, 0x4, 4);
    assert_int_equal(get(*state, BAR0 + 0x24, 4), 0x1);
    put(*state, BAR0 + 0x64, 0x1, 4);
    put(*state, BAR0 + 0x20, 0xff, 4);
    assert_int_equal(get(*state, BAR0 + 0x20, 4), 0x80);
    put(*state, BAR0 + 0x08, 3, 4);
    assert_int_equal(get(*state, BAR0 + 0x24, 4), 0x1);
}

static void eight_bytes_set_a_register_at_once_on_6_12_only(void **state)
{
    Setup *setup = *state;

    put(setup, BAR0 + 0x80, UINT64_C(0x1122334455667788), 8);
    assert_int_equal(get(setup, BAR0 + 0x80, 8), UINT64_C(0x1122334455667788));
    /* 4 bytes set the whole register; its upper half has no address of its own */
    put(setup, BAR0 + 0x80, 0x99, 4);
    assert_int_equal(get(setup, BAR0 + 0x80, 8), 0x99);
    put(setup, BAR0 + 0x84, 0x11, 4);
    assert_int_equal(get(setup, BAR0 + 0x80, 8), 0x99);
    setup->version = PM_FAKE_LINUX_6_1;
    put(setup, BAR0 + 0x80, UINT64_C(0x1122334455667788), 8);
    setup->version = PM_FAKE_LINUX_6_12;
    assert_int_equal(get(setup, BAR0 + 0x80, 8), 0x55667788);
}

/* --- DMA --- */

static void dma_goes_to_the_buffer_and_back(void **state)
{
    Setup *setup = *state;

    enable_bus_master(setup);
    memset(setup->memory, 0x5a, 4095);
    start(setup, setup->base, BUFFER, 4095, 1);
    assert_int_equal(get(setup, BAR0 + 0x98, 4), 0);
    start(setup, BUFFER, setup->base + 4096, 4095, 1 | 2);
    assert_int_equal(get(setup, BAR0 + 0x98, 4), 2);
    assert_memory_equal(setup->memory + 4096, setup->memory, 4095);
    assert_int_equal(setup->memory[8191], 0);
    assert_int_equal(setup->n_transfers, 2);
}

static void dma_uses_the_addressed_part_of_the_buffer(void **state)
{
    Setup *setup = *state;

    enable_bus_master(setup);
    memcpy(setup->memory, "abcdef", 6);
    start(setup, setup->base, BUFFER + 4090, 6, 1);
    start(setup, BUFFER + 4092, setup->base + 100, 4, 1 | 2);
    assert_memory_equal(setup->memory + 100, "cdef", 4);
}

static void dma_sets_its_interrupt_bit_if_asked(void **state)
{
    Setup *setup = *state;

    enable_bus_master(setup);
    start(setup, setup->base, BUFFER, 8, 1);
    assert_int_equal(get(setup, BAR0 + 0x24, 4), 0);
    start(setup, setup->base, BUFFER, 8, 1 | 4);
    assert_int_equal(get(setup, BAR0 + 0x24, 4), 0x100);
}

static void dma_without_bus_master_moves_nothing(void **state)
{
    Setup *setup = *state;

    start(setup, BUFFER, setup->base, 8, 1 | 2);
    assert_int_equal(get(setup, BAR0 + 0x98, 4), 2);
    assert_int_equal(setup->n_transfers, 0);
}

static void command_without_the_start_bit_is_ignored(void **state)
{
    Setup *setup = *state;

    enable_bus_master(setup);
    start(setup, BUFFER, setup->base, 8, 2 | 4);
    assert_int_equal(get(setup, BAR0 + 0x98, 4), 0);
    assert_int_equal(setup->n_transfers, 0);
}

static void dma_that_leaves_the_buffer_moves_nothing(void **state)
{
    static const struct {
        uint64_t address;
        uint64_t count;
    } cases[] = {{BUFFER, 0},          {BUFFER, 4097},     {BUFFER + 1, 4096},
                 {BUFFER - 1, 2},      {BUFFER + 4096, 1}, {0, 8},
                 {BUFFER, UINT64_MAX}, {UINT64_MAX, 1},    {BUFFER + 8, UINT64_MAX - 7}};
    Setup *setup = *state;

    enable_bus_master(setup);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        start(setup, cases[i].address, setup->base, cases[i].count, 1 | 2);
        start(setup, setup->base, cases[i].address, cases[i].count, 1);
        assert_int_equal(get(setup, BAR0 + 0x98, 4), 0);
    }
    assert_int_equal(setup->n_transfers, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(info_tells_a_pci_device_that_cannot_be_reset),
        TEST(info_writes_no_more_than_asked_or_known),
        TEST(regions_are_a_bar_and_the_configuration_space),
        TEST(irqs_are_those_of_a_plain_pci_device),
        TEST(bad_pointers_and_unknown_requests_are_told),
        TEST(configuration_space_names_the_device),
        TEST(command_register_starts_without_bus_master_at_every_open),
        TEST(writing_ones_to_bar0_gives_its_size),
        TEST(read_only_registers_stay),
        TEST(reads_outside_the_regions_are_refused),
        TEST(writes_outside_the_regions_are_refused),
        TEST(reads_over_the_end_are_cut_in_a_bar_and_refused_in_configuration_space),
        TEST(transfers_of_no_bytes_succeed_at_any_offset),
        TEST(unreadable_buffers_give_efault),
        TEST(registers_cannot_be_reached_with_memory_space_disabled),
        TEST(identification_and_liveness),
        TEST(narrow_accesses_do_not_reach_the_device),
        TEST(factorial_is_computed_at_once),
        TEST(interrupt_status_is_raised_and_acknowledged),
        TEST(eight_bytes_set_a_register_at_once_on_6_12_only),
        TEST(dma_goes_to_the_buffer_and_back),
        TEST(dma_uses_the_addressed_part_of_the_buffer),
        TEST(dma_sets_its_interrupt_bit_if_asked),
        TEST(dma_without_bus_master_moves_nothing),
        TEST(command_without_the_start_bit_is_ignored),
        TEST(dma_that_leaves_the_buffer_moves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
