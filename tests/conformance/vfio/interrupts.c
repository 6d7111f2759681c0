/* SPDX-License-Identifier: MIT */
/* Interrupts that a device raises: who is told, and when. */
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

static void a_device_that_is_no_bus_master_sends_no_message(void **state)
{
    Irq irq = open_with(*state, MSI);

    device_put(irq.kernel, irq.device, COMMAND, MEMORY, 2);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    irq_acknowledge(&irq);
}

static void messages_that_the_control_register_disables_are_not_sent(void **state)
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

static void one_of_the_messages_that_came_before_the_first_eventfd_signals_it(void **state)
{
    Irq irq = open_without_eventfd(*state);

    irq_raise(&irq);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void messages_that_come_after_the_last_eventfd_are_lost(void **state)
{
    Irq irq = open_with(*state, MSI);

    assert_int_equal(irq_set_event(&irq, MSI, -1), 0);
    irq_raise(&irq);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_n_events(&irq), 0);
    irq_acknowledge(&irq);
}

static void a_message_that_nobody_waits_for_goes_with_msi(void **state)
{
    Irq irq = open_without_eventfd(*state);

    irq_raise(&irq);
    irq_acknowledge(&irq);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_n_events(&irq), 0);
}

static void intx_signals_once_and_is_masked_by_that(void **state)
{
    Irq irq = open_with(*state, INTX);

    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    irq_acknowledge(&irq);
}

static void intx_that_is_unmasked_signals_again(void **state)
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

static void intx_that_is_still_asserted_signals_at_every_unmasking(void **state)
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

static void a_byte_says_whether_to_unmask(void **state)
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

static void masked_intx_waits_for_its_unmasking(void **state)
{
    Irq irq = open_with(*state, INTX);

    assert_int_equal(irq_no_data(&irq, MASK, INTX, 1), 0);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 0);
    assert_int_equal(irq_no_data(&irq, UNMASK, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void intx_that_is_taken_back_while_masked_is_lost(void **state)
{
    Irq irq = open_with(*state, INTX);

    assert_int_equal(irq_no_data(&irq, MASK, INTX, 1), 0);
    irq_raise(&irq);
    irq_acknowledge(&irq);
    assert_int_equal(irq_no_data(&irq, UNMASK, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 0);
}

static void intx_that_the_command_register_disables_signals_once_enabled(void **state)
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

static void intx_that_is_set_up_while_disabled_signals_once_enabled(void **state)
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

static void msi_that_is_set_up_again_has_had_no_eventfd(void **state)
{
    Irq irq = open_with(*state, MSI);

    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    assert_int_equal(irq_set_event(&irq, MSI, -1), 0);
    irq_raise(&irq);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void a_device_that_is_opened_again_asserts_intx_again(void **state)
{
    Irq irq = open_with(*state, MSI);

    assert_int_equal(kernel_close(irq.kernel, irq.device), 0);
    irq.device = device_open(irq.kernel);
    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    irq_raise(&irq);
    assert_int_equal(irq_n_events(&irq), 1);
    irq_acknowledge(&irq);
}

static void a_device_that_is_opened_again_has_intx_enabled(void **state)
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

static void an_interrupt_that_nobody_is_told_of_is_lost(void **state)
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
        TEST(a_device_that_is_no_bus_master_sends_no_message),
        TEST(messages_that_the_control_register_disables_are_not_sent),
        TEST(one_of_the_messages_that_came_before_the_first_eventfd_signals_it),
        TEST(messages_that_come_after_the_last_eventfd_are_lost),
        TEST(a_message_that_nobody_waits_for_goes_with_msi),
        TEST(intx_signals_once_and_is_masked_by_that),
        TEST(intx_that_is_unmasked_signals_again),
        TEST(intx_that_is_still_asserted_signals_at_every_unmasking),
        TEST(a_byte_says_whether_to_unmask),
        TEST(masked_intx_waits_for_its_unmasking),
        TEST(intx_that_is_taken_back_while_masked_is_lost),
        TEST(intx_that_the_command_register_disables_signals_once_enabled),
        TEST(intx_that_is_set_up_while_disabled_signals_once_enabled),
        TEST(msi_that_is_set_up_again_has_had_no_eventfd),
        TEST(a_device_that_is_opened_again_asserts_intx_again),
        TEST(a_device_that_is_opened_again_has_intx_enabled),
        TEST(an_interrupt_that_nobody_is_told_of_is_lost),
    };

    return RUN_TESTS(tests);
}
