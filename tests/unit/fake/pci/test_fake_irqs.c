/* SPDX-License-Identifier: MIT */
/* What tests/conformance/vfio/interrupts.c cannot test in the VM: QEMU's I/O APIC loses an INTx
 * asserted before an eventfd is set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake/pci/irqs.h"
#include "kernel-uapi/vfio.h"

static void asserted_intx_signals_once_set_up(void **state)
{
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int32_t set_up[] = {24,
                              VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                              VFIO_PCI_INTX_IRQ_INDEX,
                              0,
                              1,
                              event};
    PmFileTable files = {0};
    uint64_t n = 0;
    PmIrqs irqs;

    (void)state;
    pm_irqs_init(&irqs);
    pm_irqs_set_intx(&irqs, true, false);
    assert_int_equal(pm_irqs_set(&irqs, &files, set_up), 0);
    assert_int_equal(read(event, &n, sizeof(n)), sizeof(n));
    assert_int_equal(n, 1);
    pm_irqs_clear(&irqs);
    close(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asserted_intx_signals_once_set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
