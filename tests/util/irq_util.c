/* SPDX-License-Identifier: MIT */
#include "util/irq_util.h"

#include <sys/eventfd.h>

#define RAISE       (BAR0 + 0x60)
#define ACKNOWLEDGE (BAR0 + 0x64)
#define ALL         UINT32_MAX

Irq irq_open(Kernel *kernel)
{
    Irq irq = {kernel, device_open(kernel), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

    assert_true(irq.event >= 0);
    return irq;
}

int irq_send(Irq *irq, Set set)
{
    return kernel_ioctl(irq->kernel, irq->device, VFIO_DEVICE_SET_IRQS, &set);
}

int irq_no_data(Irq *irq, uint32_t action, uint32_t index, uint32_t count)
{
    return irq_send(irq,
                    (Set){.argsz = 20, .flags = NONE | action, .index = index, .count = count});
}

int irq_with_data(Irq *irq, uint32_t flags, uint32_t index, int32_t data)
{
    return irq_send(
        irq, (Set){.argsz = sizeof(Set), .flags = flags, .index = index, .count = 1, .data = data});
}

int irq_set_event(Irq *irq, uint32_t index, int fd)
{
    return irq_with_data(irq, EVENTFD | TRIGGER, index, fd);
}

uint64_t irq_n_events(Irq *irq)
{
    uint64_t n = 0;

    return read(irq->event, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

void irq_raise(Irq *irq)
{
    device_put(irq->kernel, irq->device, RAISE, 1, 4);
}

void irq_acknowledge(Irq *irq)
{
    device_put(irq->kernel, irq->device, ACKNOWLEDGE, ALL, 4);
}
