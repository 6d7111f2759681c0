/* SPDX-License-Identifier: MIT */
/*
 * Who is told of a device's interrupts. Linux: drivers/vfio/pci/vfio_pci_intrs.c.
 */
#ifndef PLUGMAP_SRC_FAKE_PCI_IRQS_H
#define PLUGMAP_SRC_FAKE_PCI_IRQS_H

#include <stdbool.h>
#include <stdint.h>

#include "fake/machine/file_table.h"

typedef struct {
    int64_t line;   /* the index that is set up, INTx or MSI; -1: neither */
    int event;      /* its eventfd, a descriptor of our own; -1: none */
    int unmask;     /* one that unmasks INTx; -1: none */
    bool asserted;  /* the device's INTx */
    bool disabled;  /* INTx, by the COMMAND register */
    bool masked;    /* INTx that is set up */
    bool had_event; /* MSI, since it was set up */
    bool pending;   /* a message has come before MSI had its first eventfd */
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
 * Returns 0 or -errno. */
int pm_irqs_set(PmIrqs *irqs, const PmFileTable *files, const void *argument);

/* The device asserts INTx from now on, or does not; @disabled: the COMMAND register keeps it from
 * that. */
void pm_irqs_set_intx(PmIrqs *irqs, bool asserted, bool disabled);
/* The device sends a message. */
void pm_irqs_send_message(PmIrqs *irqs);

#endif
