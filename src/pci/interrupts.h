/* SPDX-License-Identifier: MIT */
/* The message-signalled interrupts of a VFIO device, as eventfds. */
#ifndef PLUGMAP_SRC_PCI_INTERRUPTS_H
#define PLUGMAP_SRC_PCI_INTERRUPTS_H

#include <plugmap/kernel.h>

/* Private fields. */
typedef struct {
    PmKernel *kernel; /* outlives the interrupts */
    int fd;           /* of the device; outlives the interrupts */
    unsigned index;   /* VFIO_PCI_MSIX_IRQ_INDEX or VFIO_PCI_MSI_IRQ_INDEX */
    unsigned n;
    int *events;
} PmPciInterrupts;

/*
 * Enables the first @n interrupts, MSI-X or, if the device has too few of those, MSI.
 * @device: its name, for messages. Errors: PM_ERROR_UNSUPPORTED (too few interrupts),
 * PM_ERROR_KERNEL.
 */
bool pm_pci_interrupts_enable(PmPciInterrupts *interrupts, PmKernel *kernel, const char *device,
                              int fd, unsigned n, GError **error);

/* Does nothing to a zeroed struct. */
void pm_pci_interrupts_disable(PmPciInterrupts *interrupts);

/* The eventfd (non-blocking) of interrupt @number, which is less than the number enabled. */
int pm_pci_interrupts_get_event(const PmPciInterrupts *interrupts, unsigned number);

#endif
