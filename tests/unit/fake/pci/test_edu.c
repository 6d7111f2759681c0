/* SPDX-License-Identifier: MIT */
/* Where the device differs from QEMU's (for the rest see tests/conformance): immediate DMA, and
 * no abort. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include "fake/pci/device_file.h"
#include "kernel-uapi/vfio.h"

#define REGION(index) ((uint64_t)(index) << 40)
#define BAR0          REGION(VFIO_PCI_BAR0_REGION_INDEX)
#define CONFIG        REGION(VFIO_PCI_CONFIG_REGION_INDEX)
#define BUFFER        0x40000

/* A bus with 8 KiB of memory at I/O address @base. */
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

static void bus_set_intx(void *user_data, bool asserted, bool disabled)
{
    (void)user_data;
    (void)asserted;
    (void)disabled;
}

static void bus_send_message(void *user_data)
{
    (void)user_data;
}

static int make(void **state)
{
    static const PmEduBus bus = {
        .read = bus_read,
        .write = bus_write,
        .set_intx = bus_set_intx,
        .send_message = bus_send_message,
    };
    Setup *setup = g_new0(Setup, 1);

    setup->version = PM_FAKE_LINUX_6_12;
    setup->base = UINT64_C(0x100000000);
    setup->edu = pm_edu_new(&bus, setup);
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

static void factorial_is_computed_immediately(void **state)
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

static void dma_copies_to_the_buffer_and_back(void **state)
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

static void dma_sets_its_interrupt_bit_if_requested(void **state)
{
    Setup *setup = *state;

    enable_bus_master(setup);
    start(setup, setup->base, BUFFER, 8, 1);
    assert_int_equal(get(setup, BAR0 + 0x24, 4), 0);
    start(setup, setup->base, BUFFER, 8, 1 | 4);
    assert_int_equal(get(setup, BAR0 + 0x24, 4), 0x100);
}

static void dma_without_bus_master_copies_nothing(void **state)
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

static void dma_past_the_end_of_the_buffer_copies_nothing(void **state)
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
        TEST(factorial_is_computed_immediately),
        TEST(dma_copies_to_the_buffer_and_back),
        TEST(dma_uses_the_addressed_part_of_the_buffer),
        TEST(dma_sets_its_interrupt_bit_if_requested),
        TEST(dma_without_bus_master_copies_nothing),
        TEST(command_without_the_start_bit_is_ignored),
        TEST(dma_past_the_end_of_the_buffer_copies_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
