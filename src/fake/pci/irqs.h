/* SPDX-License-Identifier: MIT */
/*
 * Who is notified of a device's interrupts. Linux: drivers/vfio/pci/vfio_pci_intrs.c.
 */
#ifndef PLUGMAP_SRC_FAKE_PCI_IRQS_H
#define PLUGMAP_SRC_FAKE_PCI_IRQS_H

#include <stdbool.h>
#include <stdint.h>

#include "fake/machine/file_table.h"

typedef struct {
    int64_t line;   /* the index in use, INTx or MSI; -1: neither */
    int event;      /* its eventfd, our duplicate; -1: none */
    int unmask;     /* the eventfd that unmasks INTx; -1: none */
    bool asserted;  /* INTx, by the device */
    bool disabled;  /* INTx, by the COMMAND register */
    bool masked;    /* INTx, by the user */
    bool had_event; /* since MSI was set up */
    bool pending;   /* MSI: a message was sent before the first eventfd was set */
    bool
        msi_tried; /* MSI was set up since this was cleared, if only until its eventfd proved bad */
    int requested; /* eventfd of VFIO_PCI_REQ_IRQ_INDEX; -1: none */
} PmIrqs;

/* Number of interrupts at an index, and their VFIO_IRQ_INFO_* flags. */
uint32_t pm_irqs_count(uint32_t index);
uint32_t pm_irqs_flags(uint32_t index);

void pm_irqs_init(PmIrqs *irqs);
bool pm_irqs_are_messages(const PmIrqs *irqs);
/* Disables all, as the last close of the device does. */
void pm_irqs_clear(PmIrqs *irqs);

/* VFIO_DEVICE_SET_IRQS. @files: the fake kernel's descriptors: each is an eventfd, but rejected as
 * one.
 * Returns 0 or -errno. */
int pm_irqs_set(PmIrqs *irqs, const PmFileTable *files, const void *argument);

/* The device asserts or deasserts INTx; @disabled: by the COMMAND register. */
void pm_irqs_set_intx(PmIrqs *irqs, bool asserted, bool disabled);
/* The device sends a message. */
void pm_irqs_send_message(PmIrqs *irqs);

#endif
