/* SPDX-License-Identifier: MIT */
/* VFIO_DEVICE_SET_IRQS: eventfds for a device's interrupts, triggered by hand. */
#include "util/irq_util.h"

#include <sys/eventfd.h>

static void a_bad_struct_is_refused(void **state)
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

static void data_that_cannot_be_read_is_efault(void **state)
{
    Irq irq = irq_open(*state);
    Set *set = (Set *)(void *)(irq.kernel->memory + PAGE - 20);

    /* The data is in the page that goes. */
    memcpy(set, &(Set){.argsz = sizeof(Set), .flags = EVENTFD | TRIGGER, .index = MSI, .count = 1},
           20);
    mprotect(irq.kernel->memory + PAGE, PAGE, PROT_NONE);
    assert_int_equal(kernel_ioctl(irq.kernel, irq.device, VFIO_DEVICE_SET_IRQS, set), -EFAULT);
}

static void interrupts_that_are_not_there_are_einval(void **state)
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

static void actions_that_an_interrupt_does_not_know_are_enotty(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_no_data(&irq, MASK, MSI, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, UNMASK, MSI, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, MASK, REQ, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, UNMASK, REQ, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, UNMASK | TRIGGER, MSI, 1), -ENOTTY);
    assert_int_equal(irq_no_data(&irq, 0, MSI, 1), -ENOTTY);
}

static void what_is_not_set_up_cannot_be_triggered_masked_or_taken_down(void **state)
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

static void an_eventfd_is_signalled_by_a_trigger(void **state)
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

static void a_byte_says_whether_to_trigger(void **state)
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

static void what_was_taken_down_cannot_be_triggered(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 0), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 1), -EINVAL);
    assert_int_equal(irq_n_events(&irq), 0);
}

static void a_bad_descriptor_sets_nothing_up(void **state)
{
    static const uint32_t indices[] = {INTX, MSI, REQ};
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        assert_int_equal(irq_set_event(&irq, indices[i], 1 << 20), -EBADF);
        assert_int_equal(irq_set_event(&irq, indices[i], irq.kernel->group), -EINVAL);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 1), -EINVAL);
    }
}

static void without_a_descriptor_it_is_set_up_and_silent(void **state)
{
    static const uint32_t indices[] = {INTX, MSI};
    Irq irq = irq_open(*state);

    for (size_t i = 0; i < G_N_ELEMENTS(indices); i++) {
        assert_int_equal(irq_set_event(&irq, indices[i], -1), 0);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 1), 0);
        assert_int_equal(irq_no_data(&irq, TRIGGER, indices[i], 0), 0);
    }
}

static void a_request_without_a_descriptor_is_taken_down(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, REQ, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, REQ, -1), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, REQ, 1), -EINVAL);
}

static void an_eventfd_can_be_changed(void **state)
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

static void a_bad_descriptor_leaves_msi_silent(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, MSI, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, MSI, 1 << 20), -EBADF);
    assert_int_equal(irq_no_data(&irq, TRIGGER, MSI, 1), 0);
    assert_int_equal(irq_n_events(&irq), 0);
}

static void a_bad_descriptor_leaves_intx_as_it_was(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, INTX, 1 << 20), -EBADF);
    assert_int_equal(irq_no_data(&irq, TRIGGER, INTX, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
}

static void a_bad_descriptor_leaves_a_request_as_it_was(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, REQ, irq.event), 0);
    assert_int_equal(irq_set_event(&irq, REQ, 1 << 20), -EBADF);
    assert_int_equal(irq_no_data(&irq, TRIGGER, REQ, 1), 0);
    assert_int_equal(irq_n_events(&irq), 1);
}

static void an_eventfd_that_the_caller_closes_lives_on(void **state)
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

static void intx_can_be_masked_and_unmasked_again_and_again(void **state)
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

static void intx_that_the_command_register_disables_is_not_triggered(void **state)
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

static void no_vector_of_msi_can_be_set_but_not_as_the_first(void **state)
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

static void an_eventfd_that_unmasks_has_to_be_taken_away_before_another(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), -EBUSY);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, -1), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), 0);
}

static void an_eventfd_that_unmasks_goes_with_its_line(void **state)
{
    Irq irq = irq_open(*state);

    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), 0);
    assert_int_equal(irq_no_data(&irq, TRIGGER, INTX, 0), 0);
    assert_int_equal(irq_set_event(&irq, INTX, irq.event), 0);
    assert_int_equal(irq_with_data(&irq, EVENTFD | UNMASK, INTX, irq.event), 0);
}

static void msi_can_be_enabled_in_its_control_register_once_it_is_set_up(void **state)
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

static void msi_takes_back_an_intx_that_is_raised(void **state)
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

static void even_msi_that_fails_takes_back_an_intx(void **state)
{
    Irq irq = irq_open(*state);

    irq_raise(&irq);
    assert_int_equal(irq_set_event(&irq, MSI, STDOUT_FILENO), -EINVAL);
    assert_int_equal(device_get(irq.kernel, irq.device, STATUS, 2) & STATUS_INTERRUPT, 0);
    irq_acknowledge(&irq);
}

static void msi_that_the_control_register_disables_is_intx_again(void **state)
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

static void closing_the_device_takes_all_down(void **state)
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
        TEST(a_bad_struct_is_refused),
        TEST(data_that_cannot_be_read_is_efault),
        TEST(interrupts_that_are_not_there_are_einval),
        TEST(actions_that_an_interrupt_does_not_know_are_enotty),
        TEST(what_is_not_set_up_cannot_be_triggered_masked_or_taken_down),
        TEST(an_eventfd_is_signalled_by_a_trigger),
        TEST(a_byte_says_whether_to_trigger),
        TEST(what_was_taken_down_cannot_be_triggered),
        TEST(a_bad_descriptor_sets_nothing_up),
        TEST(without_a_descriptor_it_is_set_up_and_silent),
        TEST(a_request_without_a_descriptor_is_taken_down),
        TEST(an_eventfd_can_be_changed),
        TEST(a_bad_descriptor_leaves_msi_silent),
        TEST(a_bad_descriptor_leaves_intx_as_it_was),
        TEST(a_bad_descriptor_leaves_a_request_as_it_was),
        TEST(an_eventfd_that_the_caller_closes_lives_on),
        TEST(intx_and_msi_exclude_each_other),
        TEST(intx_can_be_masked_and_unmasked_again_and_again),
        TEST(intx_that_the_command_register_disables_is_not_triggered),
        TEST(no_vector_of_msi_can_be_set_but_not_as_the_first),
        TEST(an_eventfd_that_unmasks_has_to_be_taken_away_before_another),
        TEST(an_eventfd_that_unmasks_goes_with_its_line),
        TEST(msi_can_be_enabled_in_its_control_register_once_it_is_set_up),
        TEST(msi_takes_back_an_intx_that_is_raised),
        TEST(even_msi_that_fails_takes_back_an_intx),
        TEST(msi_that_the_control_register_disables_is_intx_again),
        TEST(closing_the_device_takes_all_down),
    };

    return RUN_TESTS(tests);
}
