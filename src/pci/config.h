/* SPDX-License-Identifier: MIT */
/* The configuration space of a VFIO device, as far as a driver needs it: which device it is, and
 * whether it may do DMA. */
#ifndef PLUGMAP_SRC_PCI_CONFIG_H
#define PLUGMAP_SRC_PCI_CONFIG_H

#include "pci/region.h"

/* Private fields. */
typedef struct {
    PmPciRegion region;
    uint64_t command; /* before pm_pci_config_enable() */
    bool is_enabled;
} PmPciConfig;

/* Arguments and errors: those of pm_pci_region_open(). */
bool pm_pci_config_open(PmPciConfig *config, PmKernel *kernel, const char *device, int fd,
                        GError **error);

/* @id: set to device << 16 | vendor. Errors: PM_ERROR_KERNEL. */
bool pm_pci_config_read_id(const PmPciConfig *config, uint32_t *id, GError **error);

/* Lets the device do DMA, and answer at its registers. Errors: PM_ERROR_KERNEL. */
bool pm_pci_config_enable(PmPciConfig *config, GError **error);

/* Restores what it could do before it was enabled. Does nothing to a zeroed struct. */
void pm_pci_config_close(PmPciConfig *config);

#endif
