/* SPDX-License-Identifier: MIT */
/*
 * Who is told of a device's interrupts. Linux: drivers/vfio/pci/vfio_pci_intrs.c. The device itself
 * does not deliver any here; they can be triggered by hand.
 */
#ifndef PLUGMAP_FAKE_IRQS_H
#define PLUGMAP_FAKE_IRQS_H

#include <stdbool.h>
#include <stdint.h>

#include "fake/file_table.h"

typedef struct {
    int64_t line;   /* the index that is set up, INTx or MSI; -1: neither */
    int event;      /* its eventfd, a descriptor of our own; -1: none */
    int unmask;     /* one that unmasks INTx; -1: none */
    bool msi_tried; /* set up since this was last cleared, if only until its eventfd proved bad */
    int requested;  /* that of VFIO_PCI_REQ_IRQ_INDEX; -1: none */
} PmIrqs;

/* How many interrupts there are at an index, and what they can do (VFIO_IRQ_INFO_*). */
uint32_t pm_irqs_count(uint32_t index);
uint32_t pm_irqs_flags(uint32_t index);

void pm_irqs_init(PmIrqs *irqs);
bool pm_irqs_are_messages(const PmIrqs *irqs);
/* Takes all down, as the last close of the device does. */
void pm_irqs_clear(PmIrqs *irqs);

/* VFIO_DEVICE_SET_IRQS. @files: the fake kernel's own, which are no eventfds though they look it.
 * @intx_disabled: by the COMMAND register. Returns 0 or -errno. */
int pm_irqs_set(PmIrqs *irqs, const PmFileTable *files, bool intx_disabled, const void *argument);

#endif
