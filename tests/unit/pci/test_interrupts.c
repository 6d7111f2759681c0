/* SPDX-License-Identifier: MIT */
/* Message-signalled interrupts of a device with as many as a test says. */
#include "pci/interrupts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "kernel-uapi/vfio.h"

#define DEVICE 7
#define NAME   "0000:00:06.0"

typedef struct {
    PmKernel parent;
    unsigned counts[VFIO_PCI_NUM_IRQS];
    int get_result;
    int set_result;
    uint32_t flags; /* set last */
    uint32_t index;
    uint32_t start;
    uint32_t count;
    int32_t events[8];
} Kernel;

static int set_interrupts(Kernel *kernel, const struct vfio_irq_set *set)
{
    if (kernel->set_result < 0)
        return kernel->set_result;
    kernel->flags = set->flags;
    kernel->index = set->index;
    kernel->start = set->start;
    kernel->count = set->count;
    assert_int_equal(set->argsz, sizeof *set + set->count * sizeof(int32_t));
    memcpy(kernel->events, set->data, set->count * sizeof(int32_t));
    return 0;
}

static int answer_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    Kernel *own = (Kernel *)kernel;
    struct vfio_irq_info *info = argument;

    assert_int_equal(fd, DEVICE);
    if (request == VFIO_DEVICE_SET_IRQS)
        return set_interrupts(own, argument);
    assert_int_equal(request, VFIO_DEVICE_GET_IRQ_INFO);
    info->count = own->counts[info->index];
    return own->get_result;
}

static const PmKernelOps ops = {.struct_size = sizeof(ops), .ioctl = answer_ioctl};

static Kernel make_kernel(unsigned n_msix, unsigned n_msi)
{
    Kernel kernel = {
        .counts = {[VFIO_PCI_MSIX_IRQ_INDEX] = n_msix, [VFIO_PCI_MSI_IRQ_INDEX] = n_msi}};

    assert_true(pm_kernel_init(&kernel.parent, &ops, NULL, NULL));
    return kernel;
}

static bool enable(PmPciInterrupts *interrupts, Kernel *kernel, unsigned n, GError **error)
{
    return pm_pci_interrupts_enable(interrupts, &kernel->parent, NAME, DEVICE, n, error);
}

static void each_interrupt_has_an_event(void **state)
{
    Kernel kernel = make_kernel(8, 0);
    PmPciInterrupts interrupts;

    (void)state;
    assert_true(enable(&interrupts, &kernel, 3, NULL));
    assert_int_equal(kernel.index, VFIO_PCI_MSIX_IRQ_INDEX);
    assert_int_equal(kernel.flags, VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD);
    assert_int_equal(kernel.start, 0);
    assert_int_equal(kernel.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        int event = pm_pci_interrupts_get_event(&interrupts, i);
        eventfd_t n;

        assert_int_equal(kernel.events[i], event);
        assert_int_not_equal(eventfd_read(event, &n), 0);
        assert_int_equal(errno, EAGAIN);
    }
    pm_pci_interrupts_disable(&interrupts);
    pm_kernel_unref(&kernel.parent);
}

static void disabling_disables_all_once(void **state)
{
    Kernel kernel = make_kernel(8, 0);
    PmPciInterrupts interrupts = {0};

    (void)state;
    pm_pci_interrupts_disable(&interrupts);
    assert_true(enable(&interrupts, &kernel, 3, NULL));
    pm_pci_interrupts_disable(&interrupts);
    assert_int_equal(kernel.count, 0);
    assert_int_equal(kernel.flags, VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE);
    kernel.set_result = -EIO;
    kernel.count = 99;
    pm_pci_interrupts_disable(&interrupts);
    assert_int_equal(kernel.count, 99);
    pm_kernel_unref(&kernel.parent);
}

static void msi_is_used_where_msix_is_too_small(void **state)
{
    Kernel kernel = make_kernel(2, 4);
    PmPciInterrupts interrupts;

    (void)state;
    assert_true(enable(&interrupts, &kernel, 4, NULL));
    assert_int_equal(kernel.index, VFIO_PCI_MSI_IRQ_INDEX);
    pm_pci_interrupts_disable(&interrupts);
    pm_kernel_unref(&kernel.parent);
}

static void too_few_interrupts_are_an_error(void **state)
{
    Kernel kernel = make_kernel(2, 1);
    PmPciInterrupts interrupts;
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_false(enable(&interrupts, &kernel, 3, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_UNSUPPORTED));
    assert_non_null(strstr(error->message, NAME " has 2 MSI-X and 1 MSI interrupts, must have 3"));
    pm_pci_interrupts_disable(&interrupts);
    pm_kernel_unref(&kernel.parent);
}

/* Nothing is left to be disabled. */
static void failed_calls_are_errors(void **state)
{
    Kernel kernel = make_kernel(8, 0);
    PmPciInterrupts interrupts;
    g_autoptr(GError) of_get = NULL;
    g_autoptr(GError) of_set = NULL;

    (void)state;
    kernel.get_result = -ENODEV;
    assert_false(enable(&interrupts, &kernel, 3, &of_get));
    assert_true(g_error_matches(of_get, PM_ERROR, PM_ERROR_KERNEL));
    assert_non_null(
        strstr(of_get->message, "asking for the interrupts of " NAME " failed: ENODEV"));
    kernel.get_result = 0;
    kernel.set_result = -ENOSPC;
    assert_false(enable(&interrupts, &kernel, 3, &of_set));
    assert_true(g_error_matches(of_set, PM_ERROR, PM_ERROR_KERNEL));
    assert_non_null(strstr(of_set->message, "enabling 3 interrupts of " NAME " failed: ENOSPC"));
    assert_int_equal(interrupts.n, 0);
    pm_kernel_unref(&kernel.parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_interrupt_has_an_event),
        cmocka_unit_test(disabling_disables_all_once),
        cmocka_unit_test(msi_is_used_where_msix_is_too_small),
        cmocka_unit_test(too_few_interrupts_are_an_error),
        cmocka_unit_test(failed_calls_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
