/* SPDX-License-Identifier: MIT */
/* A PCI device, and its files' operations once a user may use it. Linux:
 * drivers/vfio/vfio_main.c. */
#ifndef PLUGMAP_SRC_FAKE_PCI_PCI_DEVICE_H
#define PLUGMAP_SRC_FAKE_PCI_PCI_DEVICE_H

#include <sys/types.h>

#include <glib.h>

#include "fake/memory/memory.h"
#include "fake/memory/page_table.h"
#include "fake/pci/edu.h"
#include "fake/pci/irqs.h"

/* The page table for the device's DMA; NULL: none. */
typedef PmPageTable *(*PmPciPageTableFunc)(void *user_data);

typedef struct PmPciDevice {
    PmFakeMemory *memory;
    PmPciPageTableFunc page_table;
    void *user_data; /* for @page_table */
    char *address;
    char *driver; /* NULL: none */
    PmEdu *edu;   /* NULL unless the driver is vfio-pci */
    PmIrqs irqs;
    unsigned n_open;
} PmPciDevice;

PmPciDevice *pm_pci_device_new(PmFakeMemory *memory, const char *address, const char *driver,
                               PmPciPageTableFunc page_table, void *user_data);
void pm_pci_device_free(void *data); /* a PmPciDevice; a GDestroyNotify */

/* Enabled on first open, disabled on last close. */
void pm_pci_device_use(PmPciDevice *device);
void pm_pci_device_unuse(PmPciDevice *device);

int pm_pci_device_ioctl(PmPciDevice *device, unsigned long request, void *argument);
ssize_t pm_pci_device_pread(PmPciDevice *device, void *buffer, size_t size, uint64_t offset);
ssize_t pm_pci_device_pwrite(PmPciDevice *device, const void *buffer, size_t size, uint64_t offset);

#endif
