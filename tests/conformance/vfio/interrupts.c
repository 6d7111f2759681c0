/* SPDX-License-Identifier: MIT */
/* Interrupts that a device raises: which eventfd is signaled, and when. */
#include "util/irq_util.h"

#define INTX_DISABLE 0x0400
#define MEMORY       0x0002

static Irq open_with(Kernel *kernel, uint32_t index)
{
    Irq irq = irq_open(kernel);

    device_put(kernel, irq.device, COMMAND, MEMORY | BUS_MASTER, 2);
    irq_acknowledge(&irq);
    assert_int_equal(irq_set_event(&irq, index, irq.event), 0);
    return irq;
}

static void every_message_signals_the_eventfd(void **state)
{
    Irq irq = open_with(*state, MSI);

    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_raise(&irq);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 2);
    irq_acknowledge(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
}

static void without_bus_master_there_is_no_msi(void **state)
{
    Irq irq = open_with(*state, MSI);

    device_put(irq.kernel, irq.device, COMMAND, MEMORY, 2);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    irq_acknowledge(&irq);
}

static void disabled_msi_sends_nothing(void **state)
{
    Irq irq = open_with(*state, MSI);

    device_put(irq.kernel, irq.device, MSI_CONTROL, 0, 1);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    irq_acknowledge(&irq);
}

static Irq open_without_eventfd(Kernel *kernel)
{
    Irq irq = irq_open(kernel);

    device_put(kernel, irq.device, COMMAND, MEMORY | BUS_MASTER, 2);
    irq_acknowledge(&irq);
    assert_int_equal(irq_set_event(&irq, MSI, -1), 0);
    return irq;
}

static void one_message_sent_before_the_first_eventfd_signals_it(void **state)
{
    Irq irq = open_without_eventfd(*state);

    irq_raise(&irq);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void messages_sent_after_the_last_eventfd_are_lost(void **state)
{
    Irq irq = open_with(*state, MSI);

    assert_int_equal(irq_set_event(&irq, MSI, -1), 0);
    irq_raise(&irq);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_n_events(&irq), 0);
    irq_acknowledge(&irq);
}

static void disabling_msi_drops_a_pending_message(void **state)
{
    Irq irq = open_without_eventfd(*state);

    irq_raise(&irq);
    irq_acknowledge(&irq);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_n_events(&irq), 0);
}

static void intx_signals_once_and_is_masked(void **state)
{
    Irq irq = open_with(*state, INTX);

    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    irq_acknowledge(&irq);
}

static void unmasked_intx_signals_again(void **state)
{
    Irq irq = open_with(*state, INTX);

    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
    assert_int_equal(irq_no_data(&irq, UNMASK, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 0);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void asserted_intx_signals_at_every_unmask(void **state)
{
    Irq irq = open_with(*state, INTX);

    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(irq_no_data(&irq, UNMASK, INTX, 1), 0);
        assert_int_equal(irq_n_events(&irq), 1);
    }
    irq_acknowledge(&irq);
}

static void data_bool_selects_unmask(void **state)
{
    Irq irq = open_with(*state, INTX);

    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    assert_int_equal(irq_with_data(&irq, BOOL | UNMASK, INTX, 0), 0);
    assert_int_equal(irq_n_events(&irq), 0);
    assert_int_equal(irq_with_data(&irq, BOOL | UNMASK, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void masked_intx_is_pending_until_unmask(void **state)
{
    Irq irq = open_with(*state, INTX);

    assert_int_equal(irq_no_data(&irq, MASK, INTX, 1), 0);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    assert_int_equal(irq_no_data(&irq, UNMASK, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void intx_deasserted_while_masked_is_lost(void **state)
{
    Irq irq = open_with(*state, INTX);

    assert_int_equal(irq_no_data(&irq, MASK, INTX, 1), 0);
    irq_raise(&irq);
    irq_acknowledge(&irq);
    assert_int_equal(irq_no_data(&irq, UNMASK, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 0);
}

static void disabled_intx_signals_once_enabled(void **state)
{
    Irq irq = open_with(*state, INTX);

    device_put(irq.kernel, irq.device, COMMAND, MEMORY | INTX_DISABLE, 2);
    irq_raise(&irq);
    assert_int_equal(irq_no_data(&irq, UNMASK, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 0);
    device_put(irq.kernel, irq.device, COMMAND, MEMORY, 2);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void intx_set_up_while_disabled_signals_once_enabled(void **state)
{
    Irq irq = irq_open(*state);

    device_put(irq.kernel, irq.device, COMMAND, MEMORY | INTX_DISABLE, 2);
    irq_acknowledge(&irq);
    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    device_put(irq.kernel, irq.device, COMMAND, MEMORY, 2);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void msi_set_up_again_starts_without_an_eventfd(void **state)
{
    Irq irq = open_with(*state, MSI);

    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    assert_int_equal(irq_set_event(&irq, MSI, -1), 0);
    irq_raise(&irq);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void a_reopened_device_asserts_intx_again(void **state)
{
    Irq irq = open_with(*state, MSI);

    assert_int_equal(kernel_close(irq.kernel, irq.device), 0);
    irq.device = device_open(irq.kernel);
    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void a_reopened_device_has_intx_enabled(void **state)
{
    Irq irq = open_with(*state, INTX);

    device_put(irq.kernel, irq.device, COMMAND, MEMORY | INTX_DISABLE, 2);
    assert_int_equal(kernel_close(irq.kernel, irq.device), 0);
    irq.device = device_open(irq.kernel);
    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void an_interrupt_without_an_eventfd_is_lost(void **state)
{
    Irq irq = irq_open(*state);

    irq_raise(&irq);
    irq_acknowledge(&irq);
    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_n_events(&irq), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_message_signals_the_eventfd),
        TEST(without_bus_master_there_is_no_msi),
        TEST(disabled_msi_sends_nothing),
        TEST(one_message_sent_before_the_first_eventfd_signals_it),
        TEST(messages_sent_after_the_last_eventfd_are_lost),
        TEST(disabling_msi_drops_a_pending_message),
        TEST(intx_signals_once_and_is_masked),
        TEST(unmasked_intx_signals_again),
        TEST(asserted_intx_signals_at_every_unmask),
        TEST(data_bool_selects_unmask),
        TEST(masked_intx_is_pending_until_unmask),
        TEST(intx_deasserted_while_masked_is_lost),
        TEST(disabled_intx_signals_once_enabled),
        TEST(intx_set_up_while_disabled_signals_once_enabled),
        TEST(msi_set_up_again_starts_without_an_eventfd),
        TEST(a_reopened_device_asserts_intx_again),
        TEST(a_reopened_device_has_intx_enabled),
        TEST(an_interrupt_without_an_eventfd_is_lost),
    };

    return RUN_TESTS(tests);
}
