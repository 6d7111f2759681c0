/* SPDX-License-Identifier: MIT */
/* VFIO_DEVICE_SET_IRQS: eventfds for a device's interrupts, triggered by software. */
#include "util/irq_util.h"

#include <sys/eventfd.h>

static void an_invalid_struct_fails(void **state)
{
    static const Set bad[] = {
        {.argsz = 19, .flags = NONE | TRIGGER, .index = MSI},
        {.argsz = 20, .flags = NONE | TRIGGER, .index = VFIO_PCI_NUM_IRQS, .count = 1},
        {.argsz = 20, .flags = TRIGGER, .index = MSI, .count = 1},
        {.argsz = 20, .flags = NONE | TRIGGER | 64, .index = MSI, .count = 1},
        {.argsz = 20, .flags = NONE | BOOL | TRIGGER, .index = MSI, .count = 1},
        {.argsz = 20, .flags = BOOL | TRIGGER, .index = MSI, .count = 1},
        {.argsz = 23, .flags = EVENTFD | TRIGGER, .index = MSI, .count = 1},
    };
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_int_equal(irq_send(&irq, bad[i]), -EINVAL);
    assert_int_equal(kernel_ioctl(irq.kernel, irq.device, VFIO_DEVICE_SET_IRQS, NULL), -EFAULT);
}

static void unreadable_data_fails_with_efault(void **state)
{
    Irq irq = irq_open(*state);
    Set *set = (Set *)(void *)(irq.kernel->memory + PAGE - 20);

    /* The data is in the unmapped page. */
    memcpy(set, &(Set){.argsz = sizeof(Set), .flags = EVENTFD | TRIGGER, .index = MSI, .count = 1},
           20);
    mprotect(irq.kernel->memory + PAGE, PAGE, PROT_NONE);
    assert_int_equal(kernel_ioctl(irq.kernel, irq.device, VFIO_DEVICE_SET_IRQS, set), -EFAULT);
}

static void missing_interrupts_fail_with_einval(void **state)
{
    static const Set bad[] = {
        {.argsz = 20, .flags = NONE | TRIGGER, .index = MSI, .start = 1, .count = 1},
        {.argsz = 20, .flags = NONE | TRIGGER, .index = MSI, .start = 1},
        {.argsz = 20, .flags = NONE | TRIGGER, .index = MSI, .count = 2},
        {.argsz = 20, .flags = NONE | TRIGGER, .index = MSI, .start = UINT32_MAX, .count = 1},
        {.argsz = 20, .flags = NONE | TRIGGER, .index = VFIO_PCI_MSIX_IRQ_INDEX, .count = 1},
        {.argsz = 20, .flags = NONE | TRIGGER, .index = VFIO_PCI_MSIX_IRQ_INDEX},
        {.argsz = 20, .flags = NONE | TRIGGER, .index = VFIO_PCI_ERR_IRQ_INDEX, .count = 1},
    };
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_int_equal(irq_send(&irq, bad[i]), -EINVAL);
}

static void unsupported_actions_fail_with_enotty(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_no_data(&irq, MASK, MSI, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, UNMASK, MSI, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, MASK, REQ, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, UNMASK, REQ, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, UNMASK | TRIGGER, MSI, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, 0, MSI, 1), -ENOTTY);
}

static void trigger_mask_and_disable_fail_without_setup(void **state)
{
    static const uint32_t indices[] = {INTX, MSI, REQ};
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 1), -EINVAL);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 0), -EINVAL);
    }
    assert_int_equal(irq_no_data(&irq, MASK, INTX, 1), -EINVAL);
    assert_int_equal(irq_no_data(&irq, UNMASK, INTX, 1), -EINVAL);
}

static void a_trigger_signals_the_eventfd(void **state)
{
    static const uint32_t indices[] = {INTX, MSI, REQ};
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        assert_int_equal(irq_set_event(&irq, indices[i], irq.event), 0);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 1), 0);
        assert_int_equal(irq_n_events(&irq), 1);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 0), 0);
    }
}

static void data_bool_selects_trigger(void **state)
{
    static const uint32_t indices[] = {INTX, MSI, REQ};
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        assert_int_equal(irq_set_event(&irq, indices[i], irq.event), 0);
        assert_int_equal(irq_with_data(&irq, BOOL | TRIGGER, indices[i], 0), 0);
        assert_int_equal(irq_n_events(&irq), 0);
        assert_int_equal(irq_with_data(&irq, BOOL | TRIGGER, indices[i], 1), 0);
        assert_int_equal(irq_n_events(&irq), 1);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 0), 0);
    }
}

static void a_trigger_after_disable_fails(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 1), -EINVAL);
    assert_int_equal(irq_n_events(&irq), 0);
}

static void a_bad_descriptor_sets_up_nothing(void **state)
{
    static const uint32_t indices[] = {INTX, MSI, REQ};
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        assert_int_equal(irq_set_event(&irq, indices[i], 1 << 20), -EBADF);
        assert_int_equal(irq_set_event(&irq, indices[i], irq.kernel->group), -EINVAL);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 1), -EINVAL);
    }
}

static void setup_without_a_descriptor_signals_nothing(void **state)
{
    static const uint32_t indices[] = {INTX, MSI};
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        assert_int_equal(irq_set_event(&irq, indices[i], -1), 0);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 1), 0);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 0), 0);
    }
}

static void a_request_interrupt_without_a_descriptor_is_disabled(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, REQ, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, REQ, -1), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, REQ, 1), -EINVAL);
}

static void an_eventfd_can_be_replaced(void **state)
{
    Irq irq = irq_open(*state);
    int first = irq.event;

    assert_int_equal(irq_set_event(&irq, MSI, first), 0);
    irq.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
    close(irq.event);
    irq.event = first;
    assert_int_equal(irq_n_events(&irq), 0);
}

static void a_bad_descriptor_silences_msi(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, MSI, 1 << 20), -EBADF);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 1), 0);
    assert_int_equal(irq_n_events(&irq), 0);
}

static void a_bad_descriptor_leaves_intx_unchanged(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, INTX, 1 << 20), -EBADF);
    assert_int_equal(irq_no_data(&irq, TRIGGER, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
}

static void a_bad_descriptor_leaves_a_request_unchanged(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, REQ, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, REQ, 1 << 20), -EBADF);
    assert_int_equal(irq_no_data(&irq, TRIGGER, REQ, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
}

static void an_eventfd_outlives_the_callers_descriptor(void **state)
{
    Irq irq = irq_open(*state);
    int copy = dup(irq.event);

    assert_int_equal(irq_set_event(&irq, MSI, copy), 0);
    close(copy);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
}

static void intx_and_msi_exclude_each_other(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, INTX, irq.event), -EINVAL);
    assert_int_equal(irq_no_data(&irq, TRIGGER, INTX, 0), -EINVAL);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), -EINVAL);
    assert_int_equal(irq_set_event(&irq, REQ, irq.event), 0);
}

static void intx_can_be_masked_and_unmasked_repeatedly(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(irq_no_data(&irq, MASK, INTX, 1), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(irq_no_data(&irq, UNMASK, INTX, 1), 0);
    assert_int_equal(irq_with_data(&irq, BOOL | MASK, INTX, 1), 0);
    assert_int_equal(irq_with_data(&irq, BOOL | UNMASK, INTX, 1), 0);
    assert_int_equal(irq_no_data(&irq, MASK, INTX, 0), -EINVAL);
    assert_int_equal(irq_with_data(&irq, EVENTFD | MASK, INTX, irq.event), -ENOTTY);
}

static void disabled_intx_is_not_triggered(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    device_put(irq.kernel, irq.device, COMMAND, 0x0503, 2);
    assert_int_equal(irq_no_data(&irq, TRIGGER, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 0);
    device_put(irq.kernel, irq.device, COMMAND, 0x0103, 2);
    assert_int_equal(irq_no_data(&irq, TRIGGER, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
}

static void msi_with_no_vector_fails_the_first_time_only(void **state)
{
    Irq irq = irq_open(*state);
    Set none = {.argsz = sizeof(Set), .flags = EVENTFD | TRIGGER, .index = MSI, .count = 0};

    assert_int_equal(irq_send(&irq, none), -ERANGE);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_send(&irq, none), 0);
    none.flags = BOOL | TRIGGER;
    assert_int_equal(irq_send(&irq, none), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
    none.index = INTX;
    assert_int_equal(irq_send(&irq, none), -EINVAL);
}

static void a_second_unmask_eventfd_fails_with_ebusy(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), -EBUSY);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, -1), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), 0);
}

static void disabling_intx_removes_its_unmask_eventfd(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, INTX, 0), 0);
    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), 0);
}

static void the_msi_enable_bit_is_writable_after_setup(void **state)
{
    Irq irq = irq_open(*state);

    device_put(irq.kernel, irq.device, MSI_CONTROL, 1, 1);
    assert_int_equal(device_get(irq.kernel, irq.device, MSI_CONTROL, 1) & 1, 0);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    device_put(irq.kernel, irq.device, MSI_CONTROL, 1, 1);
    assert_int_equal(device_get(irq.kernel, irq.device, MSI_CONTROL, 1) & 1, 1);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    assert_int_equal(device_get(irq.kernel, irq.device, MSI_CONTROL, 1) & 1, 1);
    device_put(irq.kernel, irq.device, MSI_CONTROL, 1, 1);
    assert_int_equal(device_get(irq.kernel, irq.device, MSI_CONTROL, 1) & 1, 0);
}

static void msi_setup_deasserts_intx(void **state)
{
    Irq irq = irq_open(*state);

    irq_raise(&irq);
    assert_int_equal(device_get(irq.kernel, irq.device, STATUS, 2) & STATUS_INTERRUPT,
                     STATUS_INTERRUPT);
    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(device_get(irq.kernel, irq.device, STATUS, 2) & STATUS_INTERRUPT, 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    assert_int_equal(device_get(irq.kernel, irq.device, STATUS, 2) & STATUS_INTERRUPT, 0);
    irq_acknowledge(&irq);
}

static void failed_msi_setup_deasserts_intx_too(void **state)
{
    Irq irq = irq_open(*state);

    irq_raise(&irq);
    assert_int_equal(irq_set_event(&irq, MSI, STDOUT_FILENO), -EINVAL);
    assert_int_equal(device_get(irq.kernel, irq.device, STATUS, 2) & STATUS_INTERRUPT, 0);
    irq_acknowledge(&irq);
}

static void clearing_the_msi_enable_bit_returns_to_intx(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    device_put(irq.kernel, irq.device, MSI_CONTROL, 0, 1);
    irq_raise(&irq);
    assert_int_equal(device_get(irq.kernel, irq.device, STATUS, 2) & STATUS_INTERRUPT,
                     STATUS_INTERRUPT);
    device_put(irq.kernel, irq.device, MSI_CONTROL, 1, 1);
    assert_int_equal(device_get(irq.kernel, irq.device, STATUS, 2) & STATUS_INTERRUPT, 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    irq_acknowledge(&irq);
}

static void closing_the_device_disables_all_interrupts(void **state)
{
    static const uint32_t indices[] = {MSI, REQ};
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++)
        assert_int_equal(irq_set_event(&irq, indices[i], irq.event), 0);
    assert_int_equal(kernel_close(irq.kernel, irq.device), 0);
    irq.device = device_open(irq.kernel);
    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++)
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 1), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_invalid_struct_fails),
        TEST(unreadable_data_fails_with_efault),
        TEST(missing_interrupts_fail_with_einval),
        TEST(unsupported_actions_fail_with_enotty),
        TEST(trigger_mask_and_disable_fail_without_setup),
        TEST(a_trigger_signals_the_eventfd),
        TEST(data_bool_selects_trigger),
        TEST(a_trigger_after_disable_fails),
        TEST(a_bad_descriptor_sets_up_nothing),
        TEST(setup_without_a_descriptor_signals_nothing),
        TEST(a_request_interrupt_without_a_descriptor_is_disabled),
        TEST(an_eventfd_can_be_replaced),
        TEST(a_bad_descriptor_silences_msi),
        TEST(a_bad_descriptor_leaves_intx_unchanged),
        TEST(a_bad_descriptor_leaves_a_request_unchanged),
        TEST(an_eventfd_outlives_the_callers_descriptor),
        TEST(intx_and_msi_exclude_each_other),
        TEST(intx_can_be_masked_and_unmasked_repeatedly),
        TEST(disabled_intx_is_not_triggered),
        TEST(msi_with_no_vector_fails_the_first_time_only),
        TEST(a_second_unmask_eventfd_fails_with_ebusy),
        TEST(disabling_intx_removes_its_unmask_eventfd),
        TEST(the_msi_enable_bit_is_writable_after_setup),
        TEST(msi_setup_deasserts_intx),
        TEST(failed_msi_setup_deasserts_intx_too),
        TEST(clearing_the_msi_enable_bit_returns_to_intx),
        TEST(closing_the_device_disables_all_interrupts),
    };

    return RUN_TESTS(tests);
}
