/* SPDX-License-Identifier: MIT */
/* Reading and writing a device's regions: bounds, configuration space, registers. */
#include "util/device_util.h"

#define LIVENESS   (BAR0 + 0x04)
#define FACTORIAL  (BAR0 + 0x08)
#define STATUS     (BAR0 + 0x20)
#define IRQ_STATUS (BAR0 + 0x24)
#define IRQ_RAISE  (BAR0 + 0x60)
#define IRQ_ACK    (BAR0 + 0x64)
#define DMA_SOURCE (BAR0 + 0x80)

/* --- bounds --- */

static void access_outside_the_regions_fails_with_einval(void **state)
{
    static const uint64_t offsets[] = {BAR0 + BAR0_SIZE, REGION(1), REGION(5),  REGION(6),
                                       REGION(8),        REGION(9), REGION(12), UINT64_MAX - 15};
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        assert_int_equal(device_try_read(kernel, device, offsets[i], 4), -EINVAL);
        assert_int_equal(device_try_write(kernel, device, offsets[i], 4), -EINVAL);
    }
}

static void access_past_the_end_of_a_bar_is_truncated(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    assert_int_equal(device_try_read(kernel, device, BAR0 + BAR0_SIZE - 4, 8), 4);
    assert_int_equal(device_try_write(kernel, device, BAR0 + BAR0_SIZE - 4, 8), 4);
}

static void access_past_the_end_of_config_space_fails_with_efault(void **state)
{
    static const struct {
        uint64_t offset;
        size_t size;
    } cases[] = {{0xfc, 8}, {0xfe, 4}, {0x100, 1}, {0x100, 4}, {0x1000, 1}};
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t offset = CONFIG + cases[i].offset;

        assert_int_equal(device_try_read(kernel, device, offset, cases[i].size), -EFAULT);
        assert_int_equal(device_try_write(kernel, device, offset, cases[i].size), -EFAULT);
    }
    assert_int_equal(device_try_read(kernel, device, CONFIG + 0xfc, 4), 4);
}

static void zero_bytes_succeed_at_any_offset(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    assert_int_equal(device_try_read(kernel, device, REGION(9), 0), 0);
    assert_int_equal(device_try_write(kernel, device, REGION(9), 0), 0);
}

static void a_bad_buffer_fails_with_efault(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    assert_int_equal(kernel->pm->ops->pread(kernel->pm, device, NULL, 4, BAR0), -EFAULT);
    assert_int_equal(kernel->pm->ops->pwrite(kernel->pm, device, NULL, 4, BAR0), -EFAULT);
    assert_int_equal(kernel->pm->ops->pread(kernel->pm, device, NULL, 4, CONFIG), -EFAULT);
}

/* --- configuration space --- */

static void config_space_identifies_the_device(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    assert_int_equal(device_get(kernel, device, CONFIG, 4), 0x11e81234);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x08, 4), 0x00ff0010);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x2c, 4), 0x11001af4);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x3d, 1), 1);
}

static void config_space_can_be_read_at_any_offset(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    assert_int_equal(device_get(kernel, device, CONFIG + 1, 4), 0x0311e812);
    assert_int_equal(device_get(kernel, device, CONFIG, 8), UINT64_C(0x0010010311e81234));
}

static void the_command_register_starts_without_bus_master_at_every_open(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    assert_int_equal(device_get(kernel, device, COMMAND, 2), 0x0103);
    device_put(kernel, device, COMMAND, 0x0507, 2);
    assert_int_equal(kernel_close(kernel, device), 0);
    device = device_open(kernel);
    assert_int_equal(device_get(kernel, device, COMMAND, 2), 0x0103);
}

static void five_bits_of_the_command_register_are_writable(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, COMMAND, 0xffff, 2);
    assert_int_equal(device_get(kernel, device, COMMAND, 2), 0x0507);
    device_put(kernel, device, COMMAND, 0, 2);
    assert_int_equal(device_get(kernel, device, COMMAND, 2), 0);
}

static void writing_ones_to_bar0_returns_its_size(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, CONFIG + 0x10, 0xffffffff, 4);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x10, 4), 0xfff00000);
    device_put(kernel, device, CONFIG + 0x10, 0xfeb12345, 4);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x10, 4), 0xfeb00000);
}

static void virtual_registers_are_reset_at_open(void **state)
{
    static const uint64_t offsets[] = {CONFIG + 0x0c, CONFIG + 0x10, CONFIG + 0x3c, CONFIG + 0x44};
    Kernel *kernel = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        int device = device_open(kernel);
        uint64_t before = device_get(kernel, device, offsets[i], 4);

        device_put(kernel, device, offsets[i], ~before, 4);
        assert_int_not_equal(device_get(kernel, device, offsets[i], 4), before);
        assert_int_equal(kernel_close(kernel, device), 0);
        device = device_open(kernel);
        assert_int_equal(device_get(kernel, device, offsets[i], 4), before);
        assert_int_equal(kernel_close(kernel, device), 0);
    }
}

static void the_rest_of_the_header_is_read_only(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (uint64_t offset = 0; offset < 0x40; offset++) {
        uint64_t before = device_get(kernel, device, CONFIG + offset, 1);

        if (offset == 0x04 || offset == 0x05 || offset == 0x0c || offset == 0x12 ||
            offset == 0x13 || offset == 0x3c)
            continue;
        device_put(kernel, device, CONFIG + offset, ~before, 1);
        assert_int_equal(device_get(kernel, device, CONFIG + offset, 1), before);
    }
}

static void the_interrupt_line_is_writable(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, CONFIG + 0x3c, 77, 1);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x3c, 1), 77);
}

/* VFIO_DEVICE_SET_IRQS enables MSI. */
static void the_msi_capability_is_writable_except_its_enable_bit(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    assert_int_equal(device_get(kernel, device, CONFIG + 0x34, 1), 0x40);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x40, 4), 0x00800005);
    device_put(kernel, device, CONFIG + 0x40, 0xffffffff, 4);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x40, 4), 0x008e0005);
    device_put(kernel, device, CONFIG + 0x40, 0, 4);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x40, 4), 0x00000005);
    for (uint64_t offset = 0x44; offset < 0x50; offset += 4) {
        device_put(kernel, device, CONFIG + offset, 0xffffffff, 4);
        assert_int_equal(device_get(kernel, device, CONFIG + offset, 4), 0xffffffff);
        device_put(kernel, device, CONFIG + offset, 0, 4);
    }
}

static void config_space_past_the_capabilities_is_memory(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (uint64_t offset = 0x50; offset < 0x100; offset += 4) {
        device_put(kernel, device, CONFIG + offset, 0x12345678, 4);
        assert_int_equal(device_get(kernel, device, CONFIG + offset, 4), 0x12345678);
        device_put(kernel, device, CONFIG + offset, 0, 4);
    }
}

/* --- registers --- */

static void registers_are_unreachable_with_memory_space_disabled(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, COMMAND, 0x0100, 2);
    assert_int_equal(device_try_read(kernel, device, BAR0, 4), -EIO);
    assert_int_equal(device_try_write(kernel, device, BAR0, 4), -EIO);
    device_put(kernel, device, COMMAND, 0x0102, 2);
    assert_int_equal(device_get(kernel, device, BAR0, 4), 0x010000ed);
}

static void a_register_keeps_what_is_written(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, LIVENESS, 0x12345678, 4);
    assert_int_equal(device_get(kernel, device, LIVENESS, 4), 0xedcba987);
}

static void narrow_accesses_do_not_reach_the_device(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, LIVENESS, 0, 4);
    device_put(kernel, device, LIVENESS, 0xff, 1);
    device_put(kernel, device, LIVENESS, 0xffff, 2);
    assert_int_equal(device_get(kernel, device, LIVENESS, 4), 0xffffffff);
    assert_int_equal(device_get(kernel, device, LIVENESS, 2), 0);
    assert_int_equal(device_get(kernel, device, LIVENESS, 1), 0);
}

static void unaligned_accesses_are_split(void **state)
{
    Kernel *kernel = *state;

    assert_int_equal(device_get(kernel, device_open(kernel), BAR0 + 2, 4), 0);
}

static void missing_registers_read_as_all_ones(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    assert_int_equal(device_get(kernel, device, BAR0 + 0x10, 4), 0xffffffff);
    assert_int_equal(device_get(kernel, device, BAR0 + 0x84, 4), 0xffffffff);
    assert_int_equal(device_get(kernel, device, BAR0 + 0x1000, 4), 0xffffffff);
}

static void eight_bytes_are_one_access_on_6_12_and_two_on_6_1(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, DMA_SOURCE, UINT64_C(0x1122334455667788), 8);
    assert_true(
        device_get(kernel, device, DMA_SOURCE, 8) ==
        (kernel->is_linux_6_1 ? UINT64_C(0xffffffff55667788) : UINT64_C(0x1122334455667788)));
    /* The lower registers do not support 8-byte accesses. */
    device_put(kernel, device, LIVENESS, 0, 4);
    assert_true(device_get(kernel, device, BAR0, 8) ==
                (kernel->is_linux_6_1 ? UINT64_C(0xffffffff010000ed) : UINT64_MAX));
}

static void four_bytes_set_all_of_an_eight_byte_register(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, DMA_SOURCE, UINT64_C(0x1122334455667788), 8);
    device_put(kernel, device, DMA_SOURCE, 0x99, 4);
    device_put(kernel, device, DMA_SOURCE + 4, 0x11, 4);
    assert_true(device_get(kernel, device, DMA_SOURCE, 8) ==
                (kernel->is_linux_6_1 ? UINT64_C(0xffffffff00000099) : UINT64_C(0x99)));
}

static void wait_for_factorial(Kernel *kernel, int device)
{
    while (device_get(kernel, device, STATUS, 4) & 1)
        usleep(1000);
}

static void factorials_are_computed(void **state)
{
    static const struct {
        uint32_t n;
        uint32_t result;
    } cases[] = {{10, 3628800}, {0, 1}, {13, UINT32_C(1932053504)}, {40, 0}};
    Kernel *kernel = *state;
    int device = device_open(kernel);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        device_put(kernel, device, FACTORIAL, cases[i].n, 4);
        wait_for_factorial(kernel, device);
        assert_int_equal(device_get(kernel, device, FACTORIAL, 4), cases[i].result);
    }
}

static void interrupts_are_raised_and_acknowledged(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, IRQ_ACK, 0xffffffff, 4);
    device_put(kernel, device, IRQ_RAISE, 5, 4);
    assert_int_equal(device_get(kernel, device, IRQ_STATUS, 4), 5);
    device_put(kernel, device, IRQ_ACK, 4, 4);
    assert_int_equal(device_get(kernel, device, IRQ_STATUS, 4), 1);
    device_put(kernel, device, IRQ_ACK, 1, 4);
    assert_int_equal(device_get(kernel, device, IRQ_STATUS, 4), 0);
}

static void the_status_register_shows_a_raised_intx(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, IRQ_ACK, 0xffffffff, 4);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x06, 2), 0x10);
    device_put(kernel, device, IRQ_RAISE, 1, 4); /* without MSI */
    assert_int_equal(device_get(kernel, device, CONFIG + 0x06, 2), 0x18);
    device_put(kernel, device, IRQ_ACK, 1, 4);
    assert_int_equal(device_get(kernel, device, CONFIG + 0x06, 2), 0x10);
}

static void a_factorial_raises_an_interrupt_if_requested(void **state)
{
    Kernel *kernel = *state;
    int device = device_open(kernel);

    device_put(kernel, device, IRQ_ACK, 0xffffffff, 4);
    device_put(kernel, device, STATUS, 0xff, 4);
    assert_int_equal(device_get(kernel, device, STATUS, 4), 0x80);
    device_put(kernel, device, FACTORIAL, 3, 4);
    wait_for_factorial(kernel, device);
    while (device_get(kernel, device, IRQ_STATUS, 4) == 0)
        usleep(1000);
    assert_int_equal(device_get(kernel, device, IRQ_STATUS, 4), 1);
    device_put(kernel, device, STATUS, 0, 4);
    device_put(kernel, device, IRQ_ACK, 1, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(access_outside_the_regions_fails_with_einval),
        TEST(access_past_the_end_of_a_bar_is_truncated),
        TEST(access_past_the_end_of_config_space_fails_with_efault),
        TEST(zero_bytes_succeed_at_any_offset),
        TEST(a_bad_buffer_fails_with_efault),
        TEST(config_space_identifies_the_device),
        TEST(config_space_can_be_read_at_any_offset),
        TEST(the_command_register_starts_without_bus_master_at_every_open),
        TEST(five_bits_of_the_command_register_are_writable),
        TEST(writing_ones_to_bar0_returns_its_size),
        TEST(virtual_registers_are_reset_at_open),
        TEST(the_rest_of_the_header_is_read_only),
        TEST(the_interrupt_line_is_writable),
        TEST(the_msi_capability_is_writable_except_its_enable_bit),
        TEST(config_space_past_the_capabilities_is_memory),
        TEST(registers_are_unreachable_with_memory_space_disabled),
        TEST(a_register_keeps_what_is_written),
        TEST(narrow_accesses_do_not_reach_the_device),
        TEST(unaligned_accesses_are_split),
        TEST(missing_registers_read_as_all_ones),
        TEST(eight_bytes_are_one_access_on_6_12_and_two_on_6_1),
        TEST(four_bytes_set_all_of_an_eight_byte_register),
        TEST(factorials_are_computed),
        TEST(interrupts_are_raised_and_acknowledged),
        TEST(the_status_register_shows_a_raised_intx),
        TEST(a_factorial_raises_an_interrupt_if_requested),
    };

    return RUN_TESTS(tests);
}
