/* SPDX-License-Identifier: MIT */
/* A device's interrupts, with an eventfd. */
#ifndef PLUGMAP_TESTS_UTIL_IRQ_UTIL_H
#define PLUGMAP_TESTS_UTIL_IRQ_UTIL_H

#include "util/device_util.h"

#define INTX VFIO_PCI_INTX_IRQ_INDEX
#define MSI  VFIO_PCI_MSI_IRQ_INDEX
#define REQ  VFIO_PCI_REQ_IRQ_INDEX

#define STATUS           (CONFIG + 0x06)
#define STATUS_INTERRUPT 0x08
#define MSI_CONTROL      (CONFIG + 0x42)

#define NONE    VFIO_IRQ_SET_DATA_NONE
#define BOOL    VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define MASK    VFIO_IRQ_SET_ACTION_MASK
#define UNMASK  VFIO_IRQ_SET_ACTION_UNMASK
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER

/* struct vfio_irq_set with data for one interrupt. */
typedef struct {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t start;
    uint32_t count;
    int32_t data;
} Set;

/* A device, and an eventfd. */
typedef struct {
    Kernel *kernel;
    int device;
    int event;
} Irq;

Irq irq_open(Kernel *kernel);

/* VFIO_DEVICE_SET_IRQS: 0 or -errno. */
int irq_send(Irq *irq, Set set);
int irq_no_data(Irq *irq, uint32_t action, uint32_t index, uint32_t count);
int irq_with_data(Irq *irq, uint32_t flags, uint32_t index, int32_t data);
int irq_set_event(Irq *irq, uint32_t index, int fd);

/* How often it was signalled since the last call. */
uint64_t irq_n_events(Irq *irq);

/* The device asserts or deasserts an interrupt. */
void irq_raise(Irq *irq);
void irq_acknowledge(Irq *irq);

#endif
